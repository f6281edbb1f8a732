"""Domains, projects, users, groups: what is not the same for every noun (see `nouns`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import unquote

import msgspec

from pilvi.faults import BadRequest, Unauthorized
from pilvi.http.app import unauthorized
from pilvi.http.request import Request, Response
from pilvi.identity import nouns, store, wire
from pilvi.identity.base import missing
from pilvi.identity.tables import projects
from pilvi.identity.views import collection, project_view


class PasswordBody(msgspec.Struct):
    user: wire.PasswordChange


class TagsBody(msgspec.Struct):
    tags: wire.Tags


def change_password(request: Request) -> Response:
    wanted = request.decode(PasswordBody).user
    try:
        request.cloud.identity.change_password(
            request.params["user_id"], wanted.original_password, wanted.password
        )
    except Unauthorized as fault:
        raise unauthorized(request, fault.message) from None
    return Response(204)


def list_user_projects(request: Request) -> Response:
    rows = request.cloud.identity.projects_of_user(request.context, request.params["user_id"])
    return Response(200, collection(request, "projects", [project_view(row, request) for row in rows]))


def list_user_groups(request: Request) -> Response:
    limit, marker = nouns.page(request)
    wanted = store.Page(nouns.filters(request, nouns.GROUP), limit, marker)
    rows = request.cloud.identity.groups_of(request.context, request.params["user_id"], wanted)
    return nouns.page_of(request, nouns.GROUP, rows, limit)


def list_group_users(request: Request) -> Response:
    limit, marker = nouns.page(request)
    wanted = store.Page(nouns.filters(request, nouns.USER), limit, marker)
    rows = request.cloud.identity.members_of(request.context, request.params["group_id"], wanted)
    return nouns.page_of(request, nouns.USER, rows, limit)


def check_member(request: Request) -> Response:
    request.cloud.identity.check_member(
        request.context, request.params["group_id"], request.params["user_id"]
    )
    return Response(204)


def add_member(request: Request) -> Response:
    request.cloud.identity.add_member(request.context, request.params["group_id"], request.params["user_id"])
    return Response(204)


def remove_member(request: Request) -> Response:
    request.cloud.identity.remove_member(
        request.context, request.params["group_id"], request.params["user_id"]
    )
    return Response(204)


def list_domains(request: Request) -> Response:
    limit, marker = nouns.page(request)
    wanted = [*nouns.filters(request, nouns.DOMAIN), nouns.Filter("is_domain", "", True)]
    if not request.context.is_auditor:
        wanted.append(nouns.Filter("id", "", request.context.read_domain))
    return nouns.page_of(
        request, nouns.DOMAIN, request.cloud.identity.listing(projects, wanted, limit, marker), limit
    )


def list_projects(request: Request) -> Response:
    """Domains only when asked for; tags are compared here, since they are lists."""
    filters = [*nouns.filters(request, nouns.PROJECT), *nouns.reach(request)]
    if not any(each.column == "is_domain" for each in filters):
        filters.append(nouns.Filter("is_domain", "", False))
    tagged = any(name in request.query for name in _TAG_FILTERS)
    limit, marker = nouns.page(request)
    rows = request.cloud.identity.listing(projects, filters, None if tagged else limit, marker)
    if tagged:
        rows = [row for row in rows if _tags_fit(request, set(row.tags))][:limit]
    return nouns.page_of(request, nouns.PROJECT, rows, limit)


def show_project(request: Request) -> Response:
    """With what is above and below it, where that is asked for: a list of projects, or a tree of ids."""
    identity, key = request.cloud.identity, request.params["project_id"]
    row = identity.project(request.context, key)
    asked, view = _HIERARCHY & request.query.keys(), project_view(row, request)
    if above := asked & {"parents_as_list", "parents_as_ids"}:
        rows = identity.ancestors(request.context, row)
        view["parents"] = _as_list(rows, request) if "parents_as_list" in above else _chain(rows)
    if below := asked & {"subtree_as_list", "subtree_as_ids"}:
        rows = identity.descendants(request.context, row)
        view["subtree"] = _as_list(rows, request) if "subtree_as_list" in below else _tree(key, rows)
    return Response(200, {"project": view})


_HIERARCHY = {"parents_as_list", "parents_as_ids", "subtree_as_list", "subtree_as_ids"}


def _as_list(rows: Sequence[Any], request: Request) -> list[dict[str, Any]]:
    return [{"project": project_view(row, request)} for row in rows]


def _chain(above: Sequence[Any]) -> dict[str, Any] | None:
    return {above[0].id: _chain(above[1:])} if above else None


def _tree(key: str, below: Sequence[Any]) -> dict[str, Any] | None:
    return {row.id: _tree(row.id, below) for row in below if row.parent_id == key} or None


_TAG_FILTERS = {
    "tags": lambda wanted, tags: wanted <= tags,
    "tags-any": lambda wanted, tags: bool(wanted & tags),
    "not-tags": lambda wanted, tags: not wanted <= tags,
    "not-tags-any": lambda wanted, tags: not wanted & tags,
}


def _tags_fit(request: Request, tags: set[str]) -> bool:
    return all(
        fits(set(text.split(",")), tags)
        for name, fits in _TAG_FILTERS.items()
        if (text := request.arg(name)) is not None
    )


def list_tags(request: Request) -> Response:
    row = request.cloud.identity.project(request.context, request.params["project_id"])
    return Response(200, {"tags": row.tags, "links": {"self": request.base_url + request.path}})


def replace_tags(request: Request) -> Response:
    tags = request.cloud.identity.set_tags(
        request.context, request.params["project_id"], request.decode(TagsBody).tags
    )
    return Response(200, {"tags": tags, "links": {"self": request.base_url + request.path}})


def delete_tags(request: Request) -> Response:
    request.cloud.identity.set_tags(request.context, request.params["project_id"], [])
    return Response(204)


def check_tag(request: Request) -> Response:
    row = request.cloud.identity.project(request.context, request.params["project_id"])
    if _tag(request) not in row.tags:
        raise missing("project tag", _tag(request))
    return Response(204)


def add_tag(request: Request) -> Response:
    tag = nouns.converted(_tag(request), wire.Tag, "tag")
    request.cloud.identity.add_tag(request.context, request.params["project_id"], tag)
    return Response(201)


def remove_tag(request: Request) -> Response:
    request.cloud.identity.remove_tag(request.context, request.params["project_id"], _tag(request))
    return Response(204)


class RegionBody(msgspec.Struct):
    region: wire.RegionNew


def create_region_named(request: Request) -> Response:
    """By the id in the path. Raises BadRequest for another one in the body."""
    values, extra = nouns.given(request, RegionBody, "region")
    key = request.params["region_id"]
    if values["id"] not in (None, key):
        raise BadRequest(f"Invalid input for field/attribute id. The region is {key}, in the path.")
    values["id"] = nouns.converted(key, wire.RegionId, "id")
    row = request.cloud.identity.create_region(request.context, values, extra)
    return Response(201, {"region": nouns.REGION.view(row, request)})


def _tag(request: Request) -> str:
    return unquote(request.params["value"])
