"""All SQL of Image."""

from __future__ import annotations

import operator
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from pilvi.db import Tx, one_of
from pilvi.image.listing import Filter, Listing
from pilvi.image.tables import images, locations, members, properties, tags
from pilvi.policy import Context

WITH_DATA = ("active", "deactivated", "uploading")


def _membership(project_id: Any, statuses: Sequence[str] | None = None) -> sa.ColumnElement[bool]:
    found = sa.select(1).where(members.c.image_id == images.c.id, members.c.member_id == project_id)
    if statuses is not None:
        found = found.where(members.c.status.in_(statuses))
    return sa.and_(images.c.visibility == "shared", found.exists())


def visible(context: Context) -> sa.ColumnElement[bool]:
    """Which images this caller can see when it knows their ids."""
    if context.is_admin:
        return sa.true()
    return _OPEN_TO_ALL if context.project_id is None else _seen_by(context.project_id)


_OPEN_TO_ALL = images.c.visibility.in_(("public", "community"))


def _seen_by(project_id: Any) -> sa.ColumnElement[bool]:
    return sa.or_(_OPEN_TO_ALL, images.c.owner == project_id, _membership(project_id))


def listed(context: Context, statuses: Sequence[str], visibility: str | None) -> sa.ColumnElement[bool]:
    """Which images a listing shows: community ones when asked for, shared ones by their member status."""
    own = images.c.owner == context.project_id
    if visibility == "all":
        seen = images.c.visibility.in_(("public", "community"))
    elif visibility == "community":
        seen = images.c.visibility == "community"
    else:
        seen = images.c.visibility == "public"
    if context.is_admin:
        all_seen = (
            sa.true()
            if visibility in ("all", "community")
            else sa.or_(images.c.visibility != "community", own)
        )
    elif context.project_id is None:
        all_seen = seen
    else:
        all_seen = sa.or_(seen, own, _membership(context.project_id, statuses))
    if visibility in (None, "all"):
        return all_seen
    return sa.and_(all_seen, images.c.visibility == visibility)


# Statements that every boot needs are built once: building one takes several times as long as running it.

_IMAGE = sa.select(images).where(images.c.id == sa.bindparam("id"))
_IMAGE_FOR_ALL = _IMAGE.where(_OPEN_TO_ALL)
_IMAGE_FOR_PROJECT = _IMAGE.where(_seen_by(sa.bindparam("project")))


def get(tx: Tx, context: Context, image_id: str) -> sa.Row | None:
    if context.is_admin:
        return any_image(tx, image_id)
    statement = _IMAGE_FOR_ALL if context.project_id is None else _IMAGE_FOR_PROJECT
    return tx.one(statement, {"id": image_id, "project": context.project_id})


def any_image(tx: Tx, image_id: str) -> sa.Row | None:
    """Whoever may see it."""
    return tx.one(_IMAGE, {"id": image_id})


_PROPERTIES = sa.select(properties).where(one_of(properties.c.image_id, "ids")).order_by(properties.c.name)
_TAGS = sa.select(tags).where(one_of(tags.c.image_id, "ids")).order_by(tags.c.tag)


def details(tx: Tx, ids: Sequence[str]) -> tuple[dict[str, dict[str, str]], dict[str, list[str]]]:
    """The properties and the tags of these images, in two queries."""
    found: dict[str, dict[str, str]] = defaultdict(dict)
    labels: dict[str, list[str]] = defaultdict(list)
    if ids:
        for image_id, name, value in tx.all(_PROPERTIES, {"ids": ids}):
            found[image_id][name] = value
        for image_id, tag in tx.all(_TAGS, {"ids": ids}):
            labels[image_id].append(tag)
    return found, labels


_SECOND = 1_000_000


def _matches(wanted: Filter) -> sa.ColumnElement[bool]:
    name, comparison, value = wanted
    if comparison == "property":
        found = sa.select(1).where(properties.c.image_id == images.c.id, properties.c.name == name)
        return found.where(properties.c.value == value).exists()
    if comparison == "tag":
        return sa.select(1).where(tags.c.image_id == images.c.id, tags.c.tag == value).exists()
    column = images.c[name]
    if comparison == "in":
        return column.in_(value)
    if name in ("created_at", "updated_at"):  # shown, and so compared, in whole seconds
        column, value = column - column % sa.literal(_SECOND), value - value % _SECOND
    return getattr(operator, comparison)(column, value)


_EMPTY = {"size": -1, "virtual_size": -1, "min_disk": -1, "min_ram": -1}


def _sortable(key: str) -> sa.ColumnElement:
    """A column with its NULLs in one place in every database."""
    column = images.c[key]
    return sa.func.coalesce(column, _EMPTY.get(key, "")) if column.nullable else column


def page(tx: Tx, context: Context, wanted: Listing, after: sa.Row | None = None) -> list[sa.Row]:
    """One page of what the caller can see; the part after the image `after`."""
    statement = sa.select(images).where(
        listed(context, wanted.member_statuses, wanted.visibility), *map(_matches, wanted.filters)
    )
    if after is not None:
        statement = statement.where(_later(wanted.sort, after))
    order = [_sortable(key).asc() if way == "asc" else _sortable(key).desc() for key, way in wanted.sort]
    return list(tx.all(statement.order_by(*order).limit(wanted.limit)))


def _later(sort: Sequence[tuple[str, str]], after: sa.Row) -> sa.ColumnElement[bool]:
    ways, same = [], []
    for key, way in sort:
        value = getattr(after, key)
        value = _EMPTY.get(key, "") if value is None else value
        column = _sortable(key)
        ways.append(sa.and_(*same, column > value if way == "asc" else column < value))
        same.append(column == value)
    return sa.or_(*ways)


def insert(tx: Tx, values: Mapping[str, Any]) -> None:
    tx.execute(images.insert(), {"created_at": tx.now, "updated_at": tx.now, **values})


def update(tx: Tx, image_id: str, *conditions: sa.ColumnElement[bool], **values: Any) -> bool:
    """False where the image is gone, or is not as the conditions say."""
    changed = images.update().where(images.c.id == image_id, *conditions).values(**values)
    return bool(tx.execute(changed).rowcount)


def switch(tx: Tx, image_id: str, old: str, new: str) -> bool:
    """From one status to another; False where it is not in the old one."""
    return update(tx, image_id, images.c.status == old, status=new, updated_at=tx.now)


def delete(tx: Tx, image_id: str) -> bool:
    """False where the image is gone, or protected."""
    return bool(
        tx.execute(images.delete().where(images.c.id == image_id, images.c.protected.is_(False))).rowcount
    )


def set_properties(tx: Tx, image_id: str, wanted: Mapping[str, str]) -> None:
    tx.execute(properties.delete().where(properties.c.image_id == image_id))
    if wanted:
        tx.execute(
            properties.insert(),
            [{"image_id": image_id, "name": name, "value": value} for name, value in wanted.items()],
        )


def with_properties(tx: Tx, wanted: Mapping[str, str]) -> list[str]:
    """The active images that have all of these additional properties, the newest first."""
    conditions = [
        images.c.id.in_(sa.select(properties.c.image_id).where(properties.c.name == name, properties.c.value == value))
        for name, value in wanted.items()
    ]
    newest = (images.c.created_at.desc(), images.c.id.desc())
    return [row.id for row in tx.all(
        sa.select(images.c.id).where(images.c.status == "active", *conditions).order_by(*newest))]


def set_tags(tx: Tx, image_id: str, wanted: Iterable[str]) -> None:
    tx.execute(tags.delete().where(tags.c.image_id == image_id))
    if rows := [{"image_id": image_id, "tag": tag} for tag in wanted]:
        tx.execute(tags.insert(), rows)


def lock(tx: Tx, image_id: str) -> None:
    """Changes of one image's attributes, properties and tags happen one after another."""
    tx.lock("image", image_id)


# -- data


def begin_upload(tx: Tx, image_id: str, upload_id: str, until: int) -> bool:
    """Takes the image for this upload; an upload that died is overtaken."""
    free = sa.or_(
        images.c.status == "queued", sa.and_(images.c.status == "saving", images.c.upload_until < tx.now)
    )
    return update(
        tx, image_id, free, status="saving", upload_id=upload_id, upload_until=until, updated_at=tx.now
    )


def renew_upload(tx: Tx, image_id: str, upload_id: str, until: int) -> bool:
    return update(tx, image_id, images.c.upload_id == upload_id, upload_until=until)


def end_upload(tx: Tx, image_id: str, upload_id: str, **values: Any) -> bool:
    return update(
        tx,
        image_id,
        images.c.upload_id == upload_id,
        upload_id=None,
        upload_until=None,
        updated_at=tx.now,
        **values,
    )


def kill(tx: Tx, image_id: str) -> bool:
    """An image that was to be given data will never have any; False where it has, or is gone."""
    return update(
        tx,
        image_id,
        images.c.status.in_(("queued", "saving")),
        status="killed",
        upload_id=None,
        upload_until=None,
        updated_at=tx.now,
    )


def delete_unfinished(tx: Tx, image_id: str, statuses: Sequence[str]) -> bool:
    """False where it is gone, or in none of these statuses."""
    return bool(
        tx.execute(images.delete().where(images.c.id == image_id, images.c.status.in_(statuses))).rowcount
    )


def add_property(tx: Tx, image_id: str, name: str, value: str) -> None:
    tx.execute(
        properties.delete().where(properties.c.image_id == image_id, properties.c.name == name)
    )
    tx.execute(properties.insert(), {"image_id": image_id, "name": name, "value": value})


def reset_dead_uploads(tx: Tx) -> int:
    """Images whose upload died are queued again; returns how many."""
    dead = images.update().where(images.c.status == "saving", images.c.upload_until < tx.now)
    return tx.execute(
        dead.values(status="queued", upload_id=None, upload_until=None, updated_at=tx.now)
    ).rowcount


def not_hashed(tx: Tx) -> list[sa.Row]:
    return list(
        tx.all(
            sa.select(images.c.id, images.c.data)
            .where(images.c.status.in_(WITH_DATA), images.c.data.is_not(None), images.c.checksum.is_(None))
            .order_by(images.c.size)
        )
    )


def set_digests(tx: Tx, image_id: str, data: str, md5: str, sha512: str) -> bool:
    return update(
        tx, image_id, images.c.data == data, checksum=md5, os_hash_algo="sha512", os_hash_value=sha512
    )


def empty(tx: Tx, image_id: str) -> None:
    """Takes everything from an image that comes with its data."""
    gone = ("data", "size", "virtual_size", "checksum", "os_hash_algo", "os_hash_value", "upload_id", "upload_until")
    update(tx, image_id, status="queued", updated_at=tx.now, **dict.fromkeys(gone))


def usage(tx: Tx, project_id: str) -> dict[str, int]:
    """What a project's images count against its limits; sizes in bytes, a copy in each store counted."""
    mine = images.c.owner == project_id
    counted = sa.select(
        sa.func.count(), sa.func.count(sa.case((images.c.status.in_(("saving", "uploading", "importing")), 1)))
    )
    total, uploading = tx.one(counted.where(mine))
    held = sa.select(sa.func.coalesce(sa.func.sum(images.c.size), 0)).select_from(images.join(locations))
    stored = held.where(mine, locations.c.status == "active", locations.c.url.is_(None))
    staged = held.where(mine, locations.c.status == "staged")
    return {
        "image_count_total": total,
        "image_count_uploading": uploading,
        "image_size_total": int(tx.scalar(stored)),
        "image_stage_total": int(tx.scalar(staged)),
    }


def names(tx: Tx, ids: Sequence[str]) -> dict[str, str | None]:
    return dict(
        tuple(row) for row in tx.all(sa.select(images.c.id, images.c.name).where(images.c.id.in_(ids)))
    )


# -- members


def members_of(tx: Tx, image_id: str, member_id: str | None = None) -> list[sa.Row]:
    statement = sa.select(members).where(members.c.image_id == image_id).order_by(members.c.created_at)
    if member_id is not None:
        statement = statement.where(members.c.member_id == member_id)
    return list(tx.all(statement))


def add_member(tx: Tx, image_id: str, member_id: str) -> None:
    tx.execute(
        members.insert(),
        {
            "image_id": image_id,
            "member_id": member_id,
            "status": "pending",
            "created_at": tx.now,
            "updated_at": tx.now,
        },
    )


def set_member_status(tx: Tx, image_id: str, member_id: str, status: str) -> bool:
    return bool(
        tx.execute(
            members.update()
            .where(members.c.image_id == image_id, members.c.member_id == member_id)
            .values(status=status, updated_at=tx.now)
        ).rowcount
    )


def delete_member(tx: Tx, image_id: str, member_id: str) -> bool:
    return bool(
        tx.execute(
            members.delete().where(members.c.image_id == image_id, members.c.member_id == member_id)
        ).rowcount
    )
