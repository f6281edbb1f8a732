"""The access rules of a user's application credentials: what requests they are for."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from pilvi.db import Tx
from pilvi.faults import BadRequest, Forbidden
from pilvi.identity import store, wire
from pilvi.identity import store_delegation as sql
from pilvi.identity.base import Base, own_or_admin, own_or_auditor
from pilvi.identity.tables_delegation import access_rules
from pilvi.policy import Context


class Access(Base):
    def access_rules(self, context: Context, user_id: str, wanted: dict[str, str]) -> list[sa.Row]:
        own_or_auditor(context, user_id, "identity:list_access_rules")
        with self._db.read() as tx:
            return list(sql.access_rules_of(tx, user_id, wanted))

    def access_rule(self, context: Context, user_id: str, key: str) -> sa.Row:
        own_or_auditor(context, user_id, "identity:get_access_rule")
        with self._db.read() as tx:
            return self._get(tx, access_rules, key, "access rule", user_id=user_id)

    def delete_access_rule(self, context: Context, user_id: str, key: str) -> None:
        """Raises Forbidden while an application credential has it."""
        own_or_admin(context, user_id, "identity:delete_access_rule")
        if context.restricted:
            raise Forbidden("A restricted application credential cannot delete access rules.")
        with self._db.transaction() as tx:
            self._get(tx, access_rules, key, "access rule", user_id=user_id)
            if key in sql.rules_in_use(tx, user_id):
                raise Forbidden(f"The access rule {key} is in use by an application credential: delete that first.")
            store.delete(tx, access_rules, key)

    def rules_of(self, rows: Sequence[sa.Row]) -> dict[str, sa.Row]:
        """By id, of all these application credentials."""
        with self._db.read() as tx:
            return sql.access_rules_by_id(tx, (rule for row in rows for rule in row.access_rule_ids or ()))

    def _rule_ids(self, tx: Tx, user_id: str, wanted: Sequence[wire.AccessRuleNew] | None) -> list[str] | None:
        """None where no rule was given: for every request. Raises BadRequest, NotFound."""
        found = []
        for rule in wanted or ():
            said = {"service": rule.service, "method": rule.method, "path": rule.path}
            if rule.id is not None:
                found.append(self._get(tx, access_rules, rule.id, "access rule", user_id=user_id).id)
            elif None in said.values():
                raise BadRequest(
                    "Invalid input for field/attribute access_rules. Each has a service, a method and a path, "
                    "or the id of one there is."
                )
            else:
                found.append(sql.access_rule(tx, self._ids.hex(), user_id, said))
        return list(dict.fromkeys(found)) or None
