"""The rules that new security groups begin with: what the administrator wants of all projects. The verbs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from pilvi.db import Tx
from pilvi.faults import Conflict
from pilvi.network import store, wire
from pilvi.network.nouns import ADDRESS_GROUP, DEFAULT_RULE, SECURITY_GROUP
from pilvi.network.securitygroups import PARENT, SecurityGroupVerbs, check_rule, meaning
from pilvi.network.tables import default_rules
from pilvi.network.wire_groups import DefaultRuleNew
from pilvi.policy import Context


class DefaultRuleVerbs(SecurityGroupVerbs):
    def create_default_rules(self, context: Context, wanted: Sequence[DefaultRuleNew]) -> list[dict[str, Any]]:
        """A remote group of "PARENT" is the new group itself. Raises as `create_security_group_rules`."""
        with self._db.transaction() as tx:
            ids = [self._create_default_rule(tx, context, one) for one in wanted]
            return self._fresh(tx, DEFAULT_RULE, context, ids)

    def _create_default_rule(self, tx: Tx, context: Context, wanted: DefaultRuleNew) -> str:
        values = wire.given(wanted)
        for name in ("project_id", "tenant_id"):
            values.pop(name, None)
        check_rule(values)
        if wanted.remote_group_id not in (None, PARENT):
            self._get(tx, SECURITY_GROUP, context, wanted.remote_group_id)
        if wanted.remote_address_group_id is not None:
            self._get(tx, ADDRESS_GROUP, context, wanted.remote_address_group_id)
        tx.lock("default security group rules")
        same = tx.one(sa.select(default_rules.c.id).where(default_rules.c.meaning == meaning(values)))
        if same is not None:
            raise Conflict(
                f"Default security group rule already exists. Rule id is {same.id}.",
                kind="DefaultSecurityGroupRuleExists",
            )
        return self._insert_default_rule(tx, values)

    def _insert_default_rule(self, tx: Tx, values: dict[str, Any]) -> str:
        rule_id = self._ids.uuid()
        store.insert(tx, DEFAULT_RULE, {**values, "id": rule_id, "project_id": "", "meaning": meaning(values)})
        return rule_id

    def delete_default_rule(self, context: Context, rule_id: str) -> None:
        """The groups that are there keep it."""
        with self._db.transaction() as tx:
            self._get(tx, DEFAULT_RULE, context, rule_id)
            store.delete(tx, DEFAULT_RULE, rule_id)
