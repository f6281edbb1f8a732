"""Address groups: addresses and prefixes that security group rules name together. The verbs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa

from pilvi.db import Tx
from pilvi.faults import BadRequest, Conflict, NotFound
from pilvi.network import addresses, store, store_sharing, wire
from pilvi.network.nouns import ADDRESS_GROUP
from pilvi.network.sharing import USERS, SharingVerbs
from pilvi.network.tables import address_group_addresses, default_rules, rules
from pilvi.network.wire_groups import AddressGroupChange, AddressGroupNew
from pilvi.policy import Context

USERS["address_group", store_sharing.SHARED] = lambda object_id: sa.select(rules.c.project_id).where(
    rules.c.remote_address_group_id == object_id
)


class AddressGroupVerbs(SharingVerbs):
    def create_address_groups(self, context: Context, wanted: Sequence[AddressGroupNew]) -> list[dict[str, Any]]:
        """Raises BadRequest for what is no address."""
        return self._each(context, ADDRESS_GROUP, wanted, self._create_address_group)

    def _create_address_group(self, tx: Tx, context: Context, wanted: AddressGroupNew) -> str:
        values = wire.given(wanted)
        project = self._project(context, values)
        cidrs = _cidrs(values.pop("addresses", ()))
        group_id = self._ids.uuid()
        store.insert(tx, ADDRESS_GROUP, {**values, "id": group_id, "project_id": project})
        _insert(tx, group_id, cidrs)
        return group_id

    def update_address_group(self, context: Context, group_id: str, change: AddressGroupChange) -> dict[str, Any]:
        with self._db.transaction() as tx:
            self._own(tx, ADDRESS_GROUP, context, group_id)
            store.update(tx, ADDRESS_GROUP, group_id, **wire.given(change))
            return self._fresh(tx, ADDRESS_GROUP, context, [group_id])[0]

    def change_addresses(self, context: Context, group_id: str, texts: Sequence[str], add: bool) -> dict[str, Any]:
        """Raises BadRequest to add what is in the group, NotFound to remove what is not."""
        cidrs = _cidrs(texts)
        with self._db.transaction() as tx:
            tx.lock("address group", group_id)
            self._own(tx, ADDRESS_GROUP, context, group_id)
            columns = address_group_addresses.c
            same = (columns.address_group_id == group_id, columns.cidr.in_(cidrs))
            present = {row.cidr for row in tx.all(sa.select(columns.cidr).where(*same))}
            if add and present:
                raise BadRequest(
                    f"Addresses {', '.join(sorted(present))} already exist in the address group {group_id}.",
                    kind="AddressesAlreadyExist",
                )
            if not add and (missing := [cidr for cidr in cidrs if cidr not in present]):
                raise NotFound(
                    f"Addresses {', '.join(missing)} not found in the address group {group_id}.",
                    kind="AddressesNotFound",
                )
            if add:
                _insert(tx, group_id, cidrs)
            else:
                tx.execute(address_group_addresses.delete().where(*same))
            store.update(tx, ADDRESS_GROUP, group_id)
            self._changed(tx, ADDRESS_GROUP, group_id)
            return self._fresh(tx, ADDRESS_GROUP, context, [group_id])[0]

    def delete_address_group(self, context: Context, group_id: str) -> None:
        """Raises Conflict where a rule names it."""
        with self._db.transaction() as tx:
            tx.lock("address group", group_id)
            self._own(tx, ADDRESS_GROUP, context, group_id)
            for table in (rules, default_rules):
                if tx.one(sa.select(table.c.id).where(table.c.remote_address_group_id == group_id).limit(1)):
                    raise Conflict(f"Address group {group_id} is in use on one or more security group rules.",
                                   kind="AddressGroupInUse")  # fmt: skip
            tx.execute(
                address_group_addresses.delete().where(address_group_addresses.c.address_group_id == group_id)
            )
            store.delete(tx, ADDRESS_GROUP, group_id)
            self._changed(tx, ADDRESS_GROUP, group_id)


def _cidrs(texts: Iterable[str]) -> list[str]:
    """Prefixes in canonical writing, each once; an address is a prefix of its own. Raises BadRequest."""
    found = {}
    for text in texts:
        if "/" in text:
            found[str(addresses.parse_prefix(text, "addresses"))] = None
        else:
            address = addresses.parse(text, "addresses")
            found[f"{address}/{address.max_prefixlen}"] = None
    return list(found)


def _insert(tx: Tx, group_id: str, cidrs: Sequence[str]) -> None:
    if cidrs:
        tx.execute(
            address_group_addresses.insert(), [{"address_group_id": group_id, "cidr": cidr} for cidr in cidrs]
        )
