"""Quality of service: the verbs. What a policy does is `shaping`'s."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from pilvi.db import Tx
from pilvi.faults import BadRequest, Conflict, NotFound
from pilvi.network import store, store_qos, store_sharing, wire
from pilvi.network.nouns import (
    BANDWIDTH_LIMIT_RULE,
    DSCP_MARKING_RULE,
    FLOATING_IP,
    NETWORK,
    PORT,
    QOS_POLICY,
    ROUTER,
    Noun,
)
from pilvi.network.sharing import SharingVerbs
from pilvi.network.store_sharing import EVERYBODY, SHARED
from pilvi.network.views import shared_ones, shows, standard, views
from pilvi.network.wire_qos import (
    DSCP_MARKS,
    MOST,
    BandwidthLimitChange,
    BandwidthLimitNew,
    DscpMarkingChange,
    DscpMarkingNew,
    PolicyChange,
    PolicyNew,
)
from pilvi.policy import Context

DRIVER = "ovn"


class Kind(NamedTuple):
    """A kind of rule."""

    noun: Noun
    new: type
    change: type
    parameters: tuple[dict[str, Any], ...]  # as rule type details tell them


def _range(name: str, start: int) -> dict[str, Any]:
    values = {"start": start, "end": MOST}
    return {"parameter_name": name, "parameter_type": "range", "parameter_values": values}


def _choices(name: str, values: Sequence[Any]) -> dict[str, Any]:
    return {"parameter_name": name, "parameter_type": "choices", "parameter_values": list(values)}


KINDS = {
    "bandwidth_limit": Kind(
        BANDWIDTH_LIMIT_RULE,
        BandwidthLimitNew,
        BandwidthLimitChange,
        (_range("max_kbps", 1), _range("max_burst_kbps", 0), _choices("direction", ("egress", "ingress"))),
    ),
    "dscp_marking": Kind(
        DSCP_MARKING_RULE, DscpMarkingNew, DscpMarkingChange, (_choices("dscp_mark", DSCP_MARKS),)
    ),
}
_GUARANTEED = "OVN limits and marks traffic; it guarantees none, and so no host could promise it to the scheduler"
# Kinds of rules that Neutron has and this cloud has not, and why.
UNSUPPORTED = {
    "minimum_bandwidth": _GUARANTEED,
    "minimum_packet_rate": _GUARANTEED,
    "packet_rate_limit": "OVN counts the bits of what it limits, not the packets",
}

USERS = {noun.name: noun for noun in (NETWORK, PORT, FLOATING_IP, ROUTER)}


@shows(QOS_POLICY)
def _policies(tx: Tx, context: Context, rows: Sequence[Any], labels: dict[str, list[str]]) -> list[dict[str, Any]]:
    rules: dict[str, list[dict[str, Any]]] = {row.id: [] for row in rows}
    shared = shared_ones(tx, QOS_POLICY, context, list(rules))
    for kind, (noun, *_) in KINDS.items():
        found = store_qos.rules(tx, noun.table, list(rules))
        for row, view in zip(found, views(tx, noun, context, found), strict=True):
            rules[row.policy_id].append({**view, "type": kind, "qos_policy_id": row.policy_id})
    return [
        {
            **standard(row, labels),
            "shared": row.id in shared,
            "is_default": row.default_of is not None,
            "rules": rules[row.id],
        }
        for row in rows
    ]


@shows(BANDWIDTH_LIMIT_RULE)
def _limits(_tx: Tx, _context: Context, rows: Sequence[Any], _labels: dict[str, list[str]]) -> list[dict[str, Any]]:
    fields = ("id", "max_kbps", "max_burst_kbps", "direction")
    return [{field: getattr(row, field) for field in fields} for row in rows]


@shows(DSCP_MARKING_RULE)
def _marks(_tx: Tx, _context: Context, rows: Sequence[Any], _labels: dict[str, list[str]]) -> list[dict[str, Any]]:
    return [{"id": row.id, "dscp_mark": row.dscp_mark} for row in rows]


class QosVerbs(SharingVerbs):
    # -- policies

    def create_qos_policies(self, context: Context, wanted: Sequence[PolicyNew]) -> list[dict[str, Any]]:
        """Raises Conflict where the project has a default policy already."""
        return self._each(context, QOS_POLICY, wanted, self._create_policy)

    def _create_policy(self, tx: Tx, context: Context, wanted: PolicyNew) -> str:
        values = wire.given(wanted)
        project = self._project(context, values)
        self._default(tx, project, values)
        policy_id = self._ids.uuid()
        store.insert(tx, QOS_POLICY, {**values, "id": policy_id, "project_id": project})
        self._share_with_all(tx, QOS_POLICY, policy_id, project, values)
        return policy_id

    def update_qos_policy(self, context: Context, policy_id: str, change: PolicyChange) -> dict[str, Any]:
        """Raises Conflict where the project has another default policy, or others use one that is to be shared no more."""
        values = wire.given(change)
        with self._db.transaction() as tx:
            row = self._locked_policy(tx, context, policy_id)
            self._lock_shared(tx, QOS_POLICY, policy_id)
            if row.shared and not values.get("shared", True):
                self._not_shared_in_use(tx, row)
            self._share_with_all(tx, QOS_POLICY, policy_id, row.project_id, values)
            self._default(tx, row.project_id, values, policy_id)
            store.update(tx, QOS_POLICY, policy_id, **values)
            return self._fresh(tx, QOS_POLICY, context, [policy_id])[0]

    def _not_shared_in_use(self, tx: Tx, row: Any) -> None:
        left = store_sharing.targets(tx, "qos_policy", row.id, SHARED) - {EVERYBODY}
        if self._users_but(tx, QOS_POLICY, row.id, SHARED, left):
            raise Conflict(
                f"QoS policy {row.id} is used by other projects: it cannot be unshared.", kind="InvalidSharedSetting"
            )

    def _default(self, tx: Tx, project_id: str, values: dict[str, Any], policy_id: str | None = None) -> None:
        """Makes `is_default` the column that it is kept in."""
        if "is_default" not in values:
            return
        values["default_of"] = project_id if values.pop("is_default") else None
        if values["default_of"] is None:
            return
        tx.lock("qos default", project_id)
        if (other := store_qos.default_of(tx, project_id)) not in (None, policy_id):
            raise Conflict(
                f"A default QoS policy exists for project {project_id}: {other}.", kind="QoSPolicyDefaultAlreadyExists"
            )

    def delete_qos_policy(self, context: Context, policy_id: str) -> None:
        """Raises Conflict where anything has it."""
        with self._db.transaction() as tx:
            self._locked_policy(tx, context, policy_id)
            for kind, users in store_qos.users_of(tx, policy_id).items():
                raise Conflict(f"QoS Policy {policy_id} is used by {kind} {users[0]}.", kind="QosPolicyInUse")
            store_qos.delete_rules(tx, policy_id)
            store.delete(tx, QOS_POLICY, policy_id)

    def _locked_policy(self, tx: Tx, context: Context, policy_id: str) -> Any:
        tx.lock("qos policy", policy_id)
        return self._own(tx, QOS_POLICY, context, policy_id)

    # -- their rules

    def qos_rules(
        self, context: Context, kind: str, policy_id: str, query: Mapping[str, list[str]]
    ) -> tuple[list[dict[str, Any]], bool, bool]:
        """As `page`, of one policy."""
        self.show(context, QOS_POLICY, policy_id)
        return self.page(context, KINDS[kind].noun, {**query, "policy_id": [policy_id]})

    def qos_rule(self, context: Context, kind: str, policy_id: str | None, rule_id: str) -> dict[str, Any]:
        """`policy_id` None: whatever policy it is of."""
        noun = KINDS[kind].noun
        with self._db.read() as tx:
            return self._view(tx, noun, context, self._rule(tx, context, noun, policy_id, rule_id))

    def _rule(self, tx: Tx, context: Context, noun: Noun, policy_id: str | None, rule_id: str) -> Any:
        if policy_id is not None:
            self._get(tx, QOS_POLICY, context, policy_id)
        row = store.find(tx, noun, context, rule_id)
        if row is None or policy_id not in (None, row.policy_id):
            raise NotFound(
                f"QoS rule {rule_id} for policy {policy_id or 'of any kind'} could not be found.", kind="QosRuleNotFound"
            )
        return row

    def create_qos_rules(
        self, context: Context, kind: str, policy_id: str, wanted: Sequence[Any]
    ) -> list[dict[str, Any]]:
        """Raises Conflict where the policy has such a rule for that direction already."""
        noun, ids = KINDS[kind].noun, []
        with self._db.transaction() as tx:
            policy = self._locked_policy(tx, context, policy_id)
            for one in wanted:
                values = wire.given(one)
                for name in ("project_id", "tenant_id"):
                    values.pop(name, None)
                self._check_alone(tx, kind, policy_id, values.get("direction"))
                ids.append(self._ids.uuid())
                kept = {**values, "id": ids[-1], "policy_id": policy_id, "project_id": policy.project_id}
                store.insert(tx, noun, kept)
            self._policy_changed(tx, policy_id)
            return self._fresh(tx, noun, context, ids)

    def _policy_changed(self, tx: Tx, policy_id: str) -> None:
        """What has the policy is to be looked at."""
        store.update(tx, QOS_POLICY, policy_id)
        for kind, users in store_qos.users_of(tx, policy_id).items():
            self._changed(tx, USERS[kind], *users)

    def _check_alone(self, tx: Tx, kind: str, policy_id: str, direction: str | None, but: str | None = None) -> None:
        for row in store_qos.rules(tx, KINDS[kind].noun.table, [policy_id]):
            if row.id != but and direction in (None, getattr(row, "direction", None)):
                raise Conflict(
                    f"Rule {kind} conflicts with rule {row.id} which already exists in QoS Policy {policy_id}.",
                    kind="QoSRulesConflict",
                )

    def update_qos_rule(
        self, context: Context, kind: str, policy_id: str | None, rule_id: str, change: Any
    ) -> dict[str, Any]:
        noun, values = KINDS[kind].noun, wire.given(change)
        with self._db.transaction() as tx:
            row = self._rule(tx, context, noun, policy_id, rule_id)
            self._locked_policy(tx, context, row.policy_id)
            if "direction" in values:
                self._check_alone(tx, kind, row.policy_id, values["direction"], rule_id)
            store.update(tx, noun, rule_id, **values)
            self._policy_changed(tx, row.policy_id)
            return self._fresh(tx, noun, context, [rule_id])[0]

    def delete_qos_rule(self, context: Context, kind: str, policy_id: str | None, rule_id: str) -> None:
        noun = KINDS[kind].noun
        with self._db.transaction() as tx:
            row = self._rule(tx, context, noun, policy_id, rule_id)
            self._locked_policy(tx, context, row.policy_id)
            store.delete(tx, noun, rule_id)
            self._policy_changed(tx, row.policy_id)

    def unsupported_qos_rule(self, context: Context, kind: str, policy_id: str) -> None:
        """Raises BadRequest, or NotFound where the policy is not there either."""
        self.show(context, QOS_POLICY, policy_id)
        raise BadRequest(f"QoS rules of type {kind} are not supported: {UNSUPPORTED[kind]}.", kind="QosRuleNotSupported")

    # -- kinds of rules

    def qos_rule_types(self, every: bool = False) -> list[str]:
        """Those that work here, or every one there is."""
        return sorted([*KINDS, *(UNSUPPORTED if every else ())])

    def qos_rule_type(self, name: str) -> dict[str, Any]:
        if name in UNSUPPORTED:
            return {"type": name, "drivers": []}
        if name not in KINDS:
            raise NotFound(f"QoS rule type {name} could not be found.", kind="QosRuleTypeNotFound")
        return {"type": name, "drivers": [{"name": DRIVER, "supported_parameters": list(KINDS[name].parameters)}]}
