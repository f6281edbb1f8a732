"""Domains, projects and groups.

`values` are the fields of `wire`, `extra` the client's own ones. Every verb that changes something moves the
change count, so that no token outlives what it rests on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from pilvi.db import Tx
from pilvi.faults import BadRequest, Forbidden, NotFound
from pilvi.identity import store, store_grants
from pilvi.identity import store_delegation as sql
from pilvi.identity.base import Base, forbidden, may_manage, may_see, missing
from pilvi.identity.tables import ROOT, groups, projects, users
from pilvi.policy import Context

DEPTH = 5  # of a tree of projects, the domain not counted: OpenStack's limit
Values = Mapping[str, Any]


class Directory(Base):
    def listing(
        self, table: sa.Table, filters: Sequence[store.Filter], limit: int | None, marker: str | None
    ) -> list[sa.Row]:
        """Raises BadRequest for a comparison that is none."""
        conditions = [store.comparison(table, each) for each in filters]
        with self._db.read() as tx:
            return list(store.listing(tx, table, conditions, limit, marker))

    def row(self, table: sa.Table, key: str, what: str) -> sa.Row:
        """Raises NotFound."""
        with self._db.read() as tx:
            return self._get(tx, table, key, what)

    # Domains

    def domain(self, context: Context, domain_id: str) -> sa.Row:
        """Raises NotFound; Forbidden for another than the caller's own."""
        if domain_id not in (context.domain_id, context.project_domain_id) and not context.is_auditor:
            raise forbidden("identity:get_domain")
        with self._db.read() as tx:
            return self._get(tx, projects, domain_id, "domain", is_domain=True)

    def create_domain(self, context: Context, values: Values, extra: Values) -> sa.Row:
        with self._change() as tx:
            key = values.get("explicit_domain_id") or self._ids.hex()
            return self._insert_project(
                tx, key, {**values, "domain_id": ROOT, "parent_id": None}, extra, "domain"
            )

    def update_domain(self, context: Context, domain_id: str, values: Values, extra: Values) -> sa.Row:
        with self._change() as tx:
            return self._update_project(
                tx, self._get(tx, projects, domain_id, "domain", is_domain=True), values, extra
            )

    def delete_domain(self, context: Context, domain_id: str) -> None:
        """With all that is in it. Raises Forbidden while it is enabled."""
        with self._change() as tx:
            row = self._get(tx, projects, domain_id, "domain", is_domain=True)
            mutable_options(row, {})
            self._delete_domain(tx, row)

    def _delete_domain(self, tx: Tx, row: sa.Row) -> None:
        if row.enabled:
            raise Forbidden(f"Domain {row.id} is enabled: disable it before deleting it.")
        if row.id == "default":
            raise Forbidden("The default domain cannot be deleted.")
        store.delete_domain(tx, row.id)
        sql.note_revocation(tx, domain_id=row.id)

    # Projects

    def project(self, context: Context, project_id: str) -> sa.Row:
        """Raises NotFound, and Forbidden for another than the token's own that the caller may not see either."""
        with self._db.read() as tx:
            row = store.get(tx, projects, project_id)
            if project_id != context.project_id:
                may_see(context, row and (row.domain_id or row.id), "identity:get_project")
            return self._get(tx, projects, project_id, "project")

    def ancestors(self, context: Context, row: sa.Row) -> list[sa.Row]:
        """The projects above one, the nearest first, as far as one may see them; its domain is none of them."""
        with self._db.read() as tx:
            rows = {each.id: each for each in self._seen(tx, context, row, store.above(row.id))}
        found = []
        while (row := rows.get(row.parent_id)) is not None:
            found.append(row)
        return found

    def descendants(self, context: Context, row: sa.Row) -> list[sa.Row]:
        """The projects below one, as far as one may see them, those above before those below."""
        with self._db.read() as tx:
            rows = self._seen(tx, context, row, store.below([row.id]))
        found, level = [], {row.id}
        while level:
            below = [each for each in rows if each.parent_id in level]
            found += below
            level = {each.id for each in below}
        return found

    def _seen(self, tx: Tx, context: Context, row: sa.Row, ids: sa.Select) -> list[sa.Row]:
        """Who may not see all that is in the domain sees the projects in which they have a role."""
        rows = store.listing(tx, projects, [projects.c.id.in_(ids), ~projects.c.is_domain])
        if context.is_auditor or context.read_domain == (row.domain_id or row.id):
            return list(rows)
        own = {each.id for each in store.targets_of(tx, context.user_id, "project")}
        return [each for each in rows if each.id in own]

    def create_project(self, context: Context, values: Values, extra: Values) -> sa.Row:
        if values["is_domain"]:
            if not context.is_admin:
                raise forbidden("identity:create_domain")
            if values["domain_id"] or values["parent_id"]:
                raise BadRequest("A project that is a domain has neither domain_id nor parent_id.")
            return self.create_domain(context, values, extra)
        with self._change() as tx:
            domain_id, parent_id = self._home(tx, context, values["domain_id"], values["parent_id"])
            may_manage(context, domain_id, "identity:create_project")
            home = {"domain_id": domain_id, "parent_id": parent_id}
            return self._insert_project(tx, self._ids.hex(), {**values, **home}, extra, "project")

    def update_project(self, context: Context, project_id: str, values: Values, extra: Values) -> sa.Row:
        with self._change() as tx:
            row = self._managed_project(tx, context, project_id, "identity:update_project")
            for name in ("domain_id", "parent_id", "is_domain"):
                if name in values and values[name] != (
                    getattr(row, name) or None if name != "is_domain" else row.is_domain
                ):
                    raise BadRequest(f"Invalid input for field/attribute {name}. It cannot be changed.")
            return self._update_project(tx, row, values, extra)

    def delete_project(self, context: Context, project_id: str) -> None:
        """Raises Forbidden for one that others are below; a domain goes with all that is in it, once disabled."""
        with self._change() as tx:
            row = self._managed_project(tx, context, project_id, "identity:delete_project")
            mutable_options(row, {})
            if row.is_domain:
                return self._delete_domain(tx, row)
            if store.children(tx, project_id):
                raise Forbidden(f"Cannot delete project {project_id}: there are projects below it.")
            store.delete_project(tx, project_id)
            sql.note_revocation(tx, project_id=project_id)

    def _managed_project(self, tx: Tx, context: Context, project_id: str, action: str) -> sa.Row:
        """Raises Forbidden, and NotFound to those who may manage all."""
        row = store.get(tx, projects, project_id)
        may_manage(context, row and row.domain_id, action)  # a domain itself is not its manager's to change
        return self._get(tx, projects, project_id, "project")

    def set_tags(self, context: Context, project_id: str, tags: Sequence[str]) -> list[str]:
        with self._change() as tx:
            self._managed_project(tx, context, project_id, "identity:update_project_tags")
            kept = list(dict.fromkeys(tags))
            store.update(tx, projects, project_id, {"tags": kept})
            return kept

    def add_tag(self, context: Context, project_id: str, tag: str) -> None:
        """Raises BadRequest when there would be too many."""
        with self._change() as tx:
            tags = self._managed_project(tx, context, project_id, "identity:create_project_tag").tags
            if len(tags) >= 80 and tag not in tags:
                raise BadRequest("A project has 80 tags at the most.")
            store.update(tx, projects, project_id, {"tags": list(dict.fromkeys([*tags, tag]))})

    def remove_tag(self, context: Context, project_id: str, tag: str) -> None:
        with self._change() as tx:
            tags = self._managed_project(tx, context, project_id, "identity:delete_project_tag").tags
            if tag not in tags:
                raise missing("project tag", tag)
            store.update(tx, projects, project_id, {"tags": [each for each in tags if each != tag]})

    def _home(
        self, tx: Tx, context: Context, domain_id: str | None, parent_id: str | None
    ) -> tuple[str, str]:
        """The domain and the parent of a new project. Raises NotFound, BadRequest, Forbidden."""
        if parent_id is None:
            domain_id = self._domain_for(tx, context, domain_id)
            return domain_id, domain_id
        parent = self._get(tx, projects, parent_id, "project")
        domain_of_parent = parent.id if parent.is_domain else parent.domain_id
        if domain_id not in (None, domain_of_parent):
            raise BadRequest(
                f"The parent project {parent_id} is in the domain {domain_of_parent}, not in {domain_id}."
            )
        if not parent.enabled:
            raise Forbidden(f"The parent project {parent_id} is disabled.")
        depth = 1
        while not parent.is_domain:
            parent, depth = store.get(tx, projects, parent.parent_id), depth + 1
        if depth > DEPTH:
            raise Forbidden(f"A tree of projects is {DEPTH} deep at the most.")
        return domain_of_parent, parent_id

    def _domain_for(self, tx: Tx, context: Context, domain_id: str | None) -> str:
        """The domain that was asked for, or else the caller's. Raises NotFound."""
        wanted = domain_id or context.domain_id or context.project_domain_id or "default"
        return self._get(tx, projects, wanted, "domain", is_domain=True).id

    def _insert_project(self, tx: Tx, key: str, values: Values, extra: Values, what: str) -> sa.Row:
        store.insert(
            tx,
            projects,
            {
                "id": key,
                "name": values["name"],
                "domain_id": values["domain_id"],
                "parent_id": values["parent_id"],
                "description": values["description"] or "",
                "enabled": values["enabled"],
                "is_domain": values["domain_id"] == ROOT,
                "tags": list(dict.fromkeys(values["tags"])),
                "options": merged({}, values["options"]),
                "extra": extra,
            },
            taken(what, values["name"]),
        )
        return store.get(tx, projects, key)

    def _update_project(self, tx: Tx, row: sa.Row, values: Values, extra: Values) -> sa.Row:
        changes = {name: values[name] for name in ("name", "enabled", "tags") if name in values}
        changes["options"] = mutable_options(row, values)
        if "description" in values:
            changes["description"] = values["description"] or ""
        if not values.get("enabled", True) and row.enabled:
            if not row.is_domain and any(child.enabled for child in store.children(tx, row.id)):
                raise Forbidden(f"Cannot disable project {row.id}: there are enabled projects below it.")
            store.end_tokens(tx, projects, row.id)
            sql.note_revocation(tx, **{"domain_id" if row.is_domain else "project_id": row.id})
        if values.get("enabled") and row.parent_id and not store.get(tx, projects, row.parent_id).enabled:
            raise Forbidden(f"Cannot enable project {row.id}: its parent is disabled.")
        what = "domain" if row.is_domain else "project"
        store.update(
            tx,
            projects,
            row.id,
            {**changes, "extra": {**row.extra, **extra}},
            taken(what, values.get("name", row.name)),
        )
        return store.get(tx, projects, row.id)

    # Groups

    def group(self, context: Context, group_id: str) -> sa.Row:
        with self._db.read() as tx:
            return self._seen_group(tx, context, group_id, "identity:get_group")

    def create_group(self, context: Context, values: Values, extra: Values) -> sa.Row:
        with self._change() as tx:
            key, domain_id = self._ids.hex(), self._domain_for(tx, context, values["domain_id"])
            may_manage(context, domain_id, "identity:create_group")
            store.insert(
                tx,
                groups,
                {
                    "id": key,
                    "domain_id": domain_id,
                    "name": values["name"],
                    "description": values["description"] or "",
                    "extra": extra,
                },
                taken("group", values["name"]),
            )
            return store.get(tx, groups, key)

    def update_group(self, context: Context, group_id: str, values: Values, extra: Values) -> sa.Row:
        with self._change() as tx:
            row = self._managed_group(tx, context, group_id, "identity:update_group")
            same_domain(row, values)
            changes = {name: values[name] or "" for name in ("name", "description") if name in values}
            store.update(
                tx,
                groups,
                group_id,
                {**changes, "extra": {**row.extra, **extra}},
                taken("group", values.get("name", row.name)),
            )
            return store.get(tx, groups, group_id)

    def delete_group(self, context: Context, group_id: str) -> None:
        with self._change() as tx:
            self._managed_group(tx, context, group_id, "identity:delete_group")
            store.delete_actor(tx, groups, "group", group_id)

    def members_of(self, context: Context, group_id: str, wanted: store.Page) -> list[sa.Row]:
        """The users in it, as far as they match."""
        with self._db.read() as tx:
            self._seen_group(tx, context, group_id, "identity:list_users_in_group")
            return list(store.members_of(tx, group_id, wanted))

    def groups_of(self, context: Context, user_id: str, wanted: store.Page) -> list[sa.Row]:
        with self._db.read() as tx:
            row = store.get(tx, users, user_id)
            if user_id != context.user_id:
                may_see(context, row and row.domain_id, "identity:list_groups_for_user")
            self._get(tx, users, user_id, "user")
            return list(store.groups_of(tx, user_id, wanted))

    def check_member(self, context: Context, group_id: str, user_id: str) -> None:
        """Raises NotFound where the user is not in the group."""
        with self._db.read() as tx:
            self._seen_group(tx, context, group_id, "identity:check_user_in_group")
            if not store.is_member(tx, group_id, user_id):
                raise NotFound(f"User {user_id} was not found in group {group_id}.")

    def add_member(self, context: Context, group_id: str, user_id: str) -> None:
        with self._change() as tx:
            self._managed_group(tx, context, group_id, "identity:add_user_to_group")
            row = store.get(tx, users, user_id)
            may_manage(context, row and row.domain_id, "identity:add_user_to_group")
            self._get(tx, users, user_id, "user")
            store.add_member(tx, group_id, user_id)

    def remove_member(self, context: Context, group_id: str, user_id: str) -> None:
        with self._change() as tx:
            self._managed_group(tx, context, group_id, "identity:remove_user_from_group")
            if not store.remove_member(tx, group_id, user_id):
                raise NotFound(f"User {user_id} was not found in group {group_id}.")

    def _seen_group(self, tx: Tx, context: Context, group_id: str, action: str) -> sa.Row:
        row = store.get(tx, groups, group_id)
        may_see(context, row and row.domain_id, action)
        return self._get(tx, groups, group_id, "group")

    def _managed_group(self, tx: Tx, context: Context, group_id: str, action: str) -> sa.Row:
        row = store.get(tx, groups, group_id)
        may_manage(context, row and row.domain_id, action)
        self._is_below(tx, context, "group", group_id, action)
        return self._get(tx, groups, group_id, "group")

    def _is_below(self, tx: Tx, context: Context, kind: str, key: str, action: str) -> None:
        """Raises Forbidden where who manages a domain would come to be more by way of somebody in it."""
        if not context.is_admin and store_grants.is_admin_beyond(tx, kind, key, context.managed_domain):
            raise forbidden(action)


def taken(what: str, name: str) -> str:
    return f"Conflict occurred attempting to store {what}: there is one with the name {name} already."


def same_domain(row: sa.Row, values: Values) -> None:
    if values.get("domain_id") not in (None, row.domain_id):
        raise BadRequest("Invalid input for field/attribute domain_id. It cannot be changed.")


def merged(old: Values, new: Values) -> dict[str, Any]:
    """Options: a None takes one away."""
    return {name: value for name, value in {**old, **new}.items() if value is not None}


def mutable_options(row: sa.Row, values: Values) -> dict[str, Any]:
    """The options after a change. Raises Forbidden for what is immutable and stays so."""
    options = merged(row.options, values.get("options", {}))
    if row.options.get("immutable") and options.get("immutable"):
        raise Forbidden(f"{row.name} ({row.id}) is immutable: set its option immutable to false first.")
    return options
