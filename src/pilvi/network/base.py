"""What the verbs of all nouns share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from pilvi import quota
from pilvi.db import Database, Tx
from pilvi.drivers.fabric.base import Northbound
from pilvi.engine.clock import Clock, Ids
from pilvi.engine.engine import Engine
from pilvi.faults import BadRequest, Conflict, Forbidden, NotFound
from pilvi.network import listing, store, store_changes
from pilvi.network.nouns import QOS_POLICY, Noun
from pilvi.network.policy import ADMIN_ATTRIBUTES
from pilvi.network.scopes import affected
from pilvi.network.views import ZONE, views
from pilvi.policy import Context
from pilvi.settings import Settings

RECONCILER = "network"


class Base:
    def __init__(
        self,
        db: Database,
        clock: Clock,
        ids: Ids,
        engine: Engine,
        settings: Settings,
        *,
        northbound: Northbound,
    ):
        self._db, self._clock, self._ids, self._engine = db, clock, ids, engine
        self._settings, self._northbound = settings, northbound
        self._card_gone: list[Callable[[Tx, str, str], None]] = []  # who wants to know of a deleted server's port

    # -- reading

    def show(self, context: Context, noun: Noun, object_id: str) -> dict[str, Any]:
        with self._db.read() as tx:
            return self._view(tx, noun, context, self._get(tx, noun, context, object_id))

    def page(
        self, context: Context, noun: Noun, query: Mapping[str, list[str]]
    ) -> tuple[list[dict[str, Any]], bool, bool]:
        """(the objects, is there a page before them, is there one after). Raises BadRequest."""
        wanted = listing.parse(noun, context, query)
        with self._db.read() as tx:
            rows, before, after = listing.fetch(tx, noun, wanted)
            return views(tx, noun, context, rows), before, after

    def _get(self, tx: Tx, noun: Noun, context: Context, object_id: str) -> sa.Row:
        """What the caller may see. Raises NotFound."""
        row = store.find(tx, noun, context, object_id)
        if row is None:
            raise NotFound(f"{noun.title} {object_id} could not be found.", kind=f"{noun.title}NotFound")
        return row

    def _own(self, tx: Tx, noun: Noun, context: Context, object_id: str) -> sa.Row:
        """What the caller may change. Raises NotFound, Forbidden for what is shared with the caller."""
        row = self._get(tx, noun, context, object_id)
        if row.project_id != context.project_id and not context.is_admin:
            raise Forbidden(
                f"{noun.title} {object_id} belongs to another project, which shares it with yours.",
                kind="PolicyNotAuthorized",
            )
        return row

    def _view(self, tx: Tx, noun: Noun, context: Context, row: sa.Row) -> dict[str, Any]:
        return views(tx, noun, context, [row])[0]

    def _fresh(self, tx: Tx, noun: Noun, context: Context, ids: Sequence[str]) -> list[dict[str, Any]]:
        """Views of objects as they are now, in this order."""
        rows = {row.id: row for row in store.by_ids(tx, noun, ids)}
        return views(tx, noun, context, [rows[object_id] for object_id in ids])

    # -- writing

    def _changed(self, tx: Tx, noun: Noun | None = None, *ids: str) -> None:
        """This transaction changes the logical network: a pass is due after it.

        Where only these objects have changed, the pass looks at nothing else; so said while they are there."""
        found = noun and affected(tx, noun, ids)
        if found is None:
            store_changes.note_any(tx)
        else:
            store_changes.note(tx, *found)
        tx.after_commit(lambda: self._engine.poke_reconciler(RECONCILER))

    def _project(self, context: Context, values: dict[str, Any]) -> str:
        """Takes the new object's project out of its values; only an administrator gives things to another one."""
        named = {value for key in ("project_id", "tenant_id") if (value := values.pop(key, None)) is not None}
        if len(named) > 1:
            raise BadRequest("'project_id' and 'tenant_id' do not match.", kind="HTTPBadRequest")
        project = named.pop() if named else context.project_id or ""
        if project != context.project_id and not context.is_admin:
            raise Forbidden(
                "Policy doesn't allow a project to make things for another one.", kind="PolicyNotAuthorized"
            )
        if not project:
            raise BadRequest(
                "Running without keystone AuthN requires that tenant_id is specified", kind="HTTPBadRequest"
            )
        return project

    def _permit(
        self, context: Context, noun: Noun, values: Mapping[str, Any], defaults: Mapping[str, Any] = {}
    ) -> None:
        """Raises Forbidden where the values hold what only an administrator may set to other than its default."""
        refused = sorted(
            name
            for name in ADMIN_ATTRIBUTES.get(noun.name, ())
            if name in values and values[name] not in (None, defaults.get(name))
        )
        if refused and not context.is_admin:
            raise Forbidden(
                f"Policy doesn't allow to set {', '.join(refused)} of a {noun.name}: it takes the role admin.",
                kind="PolicyNotAuthorized",
            )

    def _take_quota(self, tx: Tx, noun: Noun, project_id: str, wanted: int = 1) -> None:
        """Raises Conflict (OverQuota) where the project may not have so many more."""
        quota.lock(tx, project_id)
        limit = quota.limits(tx, "network", project_id)[noun.name]
        if limit != quota.UNLIMITED and store.count(tx, noun, project_id) + wanted > limit:
            raise Conflict(
                f"Quota exceeded for resources: ['{noun.name}']. The project's limit is {limit}.",
                kind="OverQuota",
            )

    def _check_policy(
        self, tx: Tx, context: Context, values: Mapping[str, Any], present: str | None = None
    ) -> None:
        """`values` may name a QoS policy, of those that the caller may use; one that somebody else gave it stays.

        Raises NotFound, Forbidden."""
        if "qos_policy_id" not in values or (wanted := values["qos_policy_id"]) == present:
            return
        if wanted is not None:
            tx.lock("qos policy", wanted)
            self._get(tx, QOS_POLICY, context, wanted)
        if present is not None and store.find(tx, QOS_POLICY, context, present) is None:
            raise Forbidden(
                f"QoS policy {present} is not yours to remove: an administrator gave it.",
                kind="PolicyRemoveAuthorizationError",
            )

    def _zones(self, values: Mapping[str, Any]) -> None:
        for hint in values.get("availability_zone_hints", ()):
            if hint != ZONE:
                raise NotFound(f"AvailabilityZone {hint} could not be found.", kind="AvailabilityZoneNotFound")

    def _each(
        self, context: Context, noun: Noun, wanted: Sequence[Any], create: Callable[[Tx, Context, Any], str]
    ) -> list[dict[str, Any]]:
        """All of them or none."""
        with self._db.transaction() as tx:
            ids = [create(tx, context, one) for one in wanted]
            self._changed(tx, noun, *ids)
            return self._fresh(tx, noun, context, ids)
