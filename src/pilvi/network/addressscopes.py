"""Address scopes: within one no address is there twice, so that routers need not translate it. The verbs."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from pilvi.db import Tx
from pilvi.faults import BadRequest, Conflict
from pilvi.network import store, store_sharing, wire
from pilvi.network.nouns import ADDRESS_SCOPE
from pilvi.network.sharing import USERS, SharingVerbs
from pilvi.network.tables import subnetpools
from pilvi.network.wire_addressing import AddressScopeChange, AddressScopeNew
from pilvi.policy import Context

USERS["address_scope", store_sharing.SHARED] = lambda object_id: sa.select(subnetpools.c.project_id).where(
    subnetpools.c.address_scope_id == object_id
)


class AddressScopeVerbs(SharingVerbs):
    def create_address_scopes(self, context: Context, wanted: Sequence[AddressScopeNew]) -> list[dict[str, Any]]:
        """Raises BadRequest, Forbidden (to share with all takes an administrator)."""
        return self._each(context, ADDRESS_SCOPE, wanted, self._create_address_scope)

    def _create_address_scope(self, tx: Tx, context: Context, wanted: AddressScopeNew) -> str:
        values = wire.given(wanted)
        project = self._project(context, values)
        self._permit(context, ADDRESS_SCOPE, values, {"shared": False})
        scope_id = self._ids.uuid()
        store.insert(tx, ADDRESS_SCOPE, {**values, "id": scope_id, "project_id": project})
        self._share_with_all(tx, ADDRESS_SCOPE, scope_id, project, values)
        return scope_id

    def update_address_scope(self, context: Context, scope_id: str, change: AddressScopeChange) -> dict[str, Any]:
        """Raises BadRequest to take back that all share it."""
        values = wire.given(change)
        with self._db.transaction() as tx:
            self._lock_shared(tx, ADDRESS_SCOPE, scope_id)
            row = self._own(tx, ADDRESS_SCOPE, context, scope_id)
            self._permit(context, ADDRESS_SCOPE, values, {"shared": row.shared})
            if row.shared and not values.get("shared", True):
                raise BadRequest(
                    f"Unable to update address scope {scope_id} : Shared address scope can't be unshared.",
                    kind="AddressScopeUpdateError",
                )
            store.update(tx, ADDRESS_SCOPE, scope_id, **values)
            self._share_with_all(tx, ADDRESS_SCOPE, scope_id, row.project_id, values)
            return self._fresh(tx, ADDRESS_SCOPE, context, [scope_id])[0]

    def delete_address_scope(self, context: Context, scope_id: str) -> None:
        """Raises Conflict where subnet pools are in it."""
        with self._db.transaction() as tx:
            tx.lock("address scope", scope_id)
            self._own(tx, ADDRESS_SCOPE, context, scope_id)
            if _pools(tx, scope_id):
                raise Conflict(
                    f"Unable to complete operation on address scope {scope_id}. There are one or more subnet pools "
                    "in use on the address scope.",
                    kind="AddressScopeInUse",
                )
            store.delete(tx, ADDRESS_SCOPE, scope_id)

    # -- for subnet pools

    def _check_scope(
        self, tx: Tx, context: Context, scope_id: str | None, version: int, prefixes: Sequence[str], but: str = ""
    ) -> None:
        """May a pool (`but` is its id, when it is there already) with these prefixes be in the scope?

        Raises NotFound, BadRequest (IP version), Conflict where another pool in it has such addresses."""
        if scope_id is None:
            return
        tx.lock("address scope", scope_id)
        scope = self._get(tx, ADDRESS_SCOPE, context, scope_id)
        if scope.ip_version != version:
            raise BadRequest(
                f"Illegal subnetpool association: subnetpool cannot associate with address scope {scope_id} because "
                f"subnetpool ip_version is not {scope.ip_version}.",
                kind="IllegalSubnetPoolIpVersionAssociationToAddressScope",
            )
        mine = [ipaddress.ip_network(text) for text in prefixes]
        for pool in _pools(tx, scope_id):
            others = [] if pool.id == but else [ipaddress.ip_network(text) for text in pool.prefixes]
            if any(prefix.overlaps(other) for prefix in mine for other in others):
                raise Conflict(
                    "Failed to associate address scope: subnetpools within an address scope must have unique "
                    f"prefixes; {pool.id} has {', '.join(pool.prefixes)}.",
                    kind="AddressScopePrefixConflict",
                )


def _pools(tx: Tx, scope_id: str) -> list[sa.Row]:
    return list(tx.all(sa.select(subnetpools).where(subnetpools.c.address_scope_id == scope_id)))
