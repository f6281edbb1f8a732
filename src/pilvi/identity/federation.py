"""Federation: other clouds whose users may come here, and other clouds that ours may go to, as they are registered.

Nobody logs in by them here: what is kept is given back, for tools that manage it.
"""

from __future__ import annotations

import sqlalchemy as sa

from pilvi.db import Tx
from pilvi.faults import BadRequest, Conflict, Forbidden
from pilvi.identity import store
from pilvi.identity.base import missing
from pilvi.identity.directory import Directory, Values
from pilvi.identity.tables import projects
from pilvi.identity.tables_registry import identity_providers, mappings, protocols, service_providers
from pilvi.policy import Context

RELAY_STATE_PREFIX = "ss:mem:"  # Keystone's default


class Federation(Directory):
    def create_identity_provider(self, context: Context, values: Values, extra: Values) -> sa.Row:
        """In a domain of its own where none is named. Raises Conflict, NotFound for no such domain."""
        with self._change() as tx:
            self._is_new(tx, identity_providers, "identity provider", values["id"])
            self._remote_ids_free(tx, values)
            domain_id = values["domain_id"]
            if domain_id is None:
                made = {**_DOMAIN, "name": f"idp-{values['id']}"[:64], "parent_id": None, "domain_id": ""}
                domain_id = self._insert_project(tx, self._ids.hex(), made, {}, "domain").id
            self._get(tx, projects, domain_id, "domain", is_domain=True)
            known = {**values, "domain_id": domain_id, "remote_ids": values["remote_ids"] or []}
            tx.execute(identity_providers.insert(), known)
            return store.get(tx, identity_providers, values["id"])

    def update_identity_provider(self, context: Context, key: str, values: Values, extra: Values) -> sa.Row:
        with self._change() as tx:
            self._get(tx, identity_providers, key, "identity provider")
            self._remote_ids_free(tx, {**values, "id": key})
            known = {**values, "remote_ids": values["remote_ids"] or []} if "remote_ids" in values else values
            return _changed(tx, identity_providers, key, known)

    def delete_identity_provider(self, context: Context, key: str) -> None:
        """With its protocols."""
        self._gone(identity_providers, key, "identity provider")

    def create_mapping(self, context: Context, values: Values, extra: Values) -> sa.Row:
        return self._named(mappings, {**values, "schema_version": values["schema_version"] or "1.0"}, "mapping")

    def update_mapping(self, context: Context, key: str, values: Values, extra: Values) -> sa.Row:
        with self._change() as tx:
            self._get(tx, mappings, key, "mapping")
            if values.get("id") not in (None, key):
                raise BadRequest("Invalid input for field/attribute id. It cannot be changed.")
            return _changed(tx, mappings, key, {name: value for name, value in values.items() if value is not None})

    def delete_mapping(self, context: Context, key: str) -> None:
        """Raises Forbidden while a protocol uses it."""
        with self._db.read() as tx:
            if store.find(tx, protocols, mapping_id=key) is not None:
                raise Forbidden(f"Cannot delete mapping {key}: there are protocols that use it.")
        self._gone(mappings, key, "mapping")

    def create_service_provider(self, context: Context, values: Values, extra: Values) -> sa.Row:
        prefix = (
            values["relay_state_prefix"] if values["relay_state_prefix"] is not None else RELAY_STATE_PREFIX
        )
        return self._named(service_providers, {**values, "relay_state_prefix": prefix}, "service provider")

    def update_service_provider(self, context: Context, key: str, values: Values, extra: Values) -> sa.Row:
        with self._change() as tx:
            self._get(tx, service_providers, key, "service provider")
            return _changed(tx, service_providers, key, values)

    def delete_service_provider(self, context: Context, key: str) -> None:
        self._gone(service_providers, key, "service provider")

    # Protocols, which join identity providers to mappings

    def protocols(self, idp_id: str) -> list[sa.Row]:
        with self._db.read() as tx:
            self._get(tx, identity_providers, idp_id, "identity provider")
            return list(store.listing(tx, protocols, [protocols.c.idp_id == idp_id]))

    def protocol(self, idp_id: str, key: str) -> sa.Row:
        with self._db.read() as tx:
            return self._protocol(tx, idp_id, key)

    def create_protocol(self, idp_id: str, key: str, values: Values) -> sa.Row:
        """Raises Conflict, NotFound for the provider, BadRequest for the mapping."""
        with self._change() as tx:
            self._get(tx, identity_providers, idp_id, "identity provider")
            if store.find(tx, protocols, idp_id=idp_id, id=key) is not None:
                raise _taken("protocol", key)
            self._mapping_exists(tx, values)
            tx.execute(protocols.insert(), {"id": key, "idp_id": idp_id, **values})
            return self._protocol(tx, idp_id, key)

    def update_protocol(self, idp_id: str, key: str, values: Values) -> sa.Row:
        with self._change() as tx:
            self._protocol(tx, idp_id, key)
            self._mapping_exists(tx, values)
            if values:
                tx.execute(protocols.update().where(*_protocol_is(idp_id, key)).values(**values))
            return self._protocol(tx, idp_id, key)

    def delete_protocol(self, idp_id: str, key: str) -> None:
        with self._change() as tx:
            self._protocol(tx, idp_id, key)
            tx.execute(protocols.delete().where(*_protocol_is(idp_id, key)))

    def _protocol(self, tx: Tx, idp_id: str, key: str) -> sa.Row:
        row = store.find(tx, protocols, idp_id=idp_id, id=key)
        if row is None:
            raise missing("federated protocol", key)
        return row

    def _mapping_exists(self, tx: Tx, values: Values) -> None:
        if "mapping_id" in values and store.get(tx, mappings, values["mapping_id"]) is None:
            raise BadRequest(
                f"Invalid input for field/attribute mapping_id. There is no mapping {values['mapping_id']}."
            )

    def _remote_ids_free(self, tx: Tx, values: Values) -> None:
        """Raises Conflict where a remote id is another provider's."""
        wanted = set(values.get("remote_ids") or ())
        for row in store.listing(tx, identity_providers, []) if wanted else ():
            if row.id != values["id"] and (both := wanted & set(row.remote_ids)):
                raise Conflict(f"The remote id {min(both)} is the identity provider {row.id}'s already.")

    # What is alike for all that is named by its maker

    def _named(self, table: sa.Table, values: Values, what: str) -> sa.Row:
        with self._change() as tx:
            self._is_new(tx, table, what, values["id"])
            tx.execute(table.insert(), dict(values))
            return store.get(tx, table, values["id"])

    def _is_new(self, tx: Tx, table: sa.Table, what: str, key: str) -> None:
        if store.get(tx, table, key) is not None:
            raise _taken(what, key)

    def _gone(self, table: sa.Table, key: str, what: str) -> None:
        with self._change() as tx:
            if not store.delete(tx, table, key):
                raise missing(what, key)


_DOMAIN = {"description": "Made for an identity provider.", "enabled": True, "tags": [], "options": {}}


def _changed(tx: Tx, table: sa.Table, key: str, values: Values) -> sa.Row:
    if values:
        store.update(tx, table, key, values)
    return store.get(tx, table, key)


def _protocol_is(idp_id: str, key: str) -> tuple[sa.ColumnElement, ...]:
    return protocols.c.idp_id == idp_id, protocols.c.id == key


def _taken(what: str, key: str) -> Conflict:
    return Conflict(f"Conflict occurred attempting to store {what}: there is one with the id {key} already.")
