"""RBAC policies over HTTP, on a simulated cloud: who sees and uses what of whom."""

from __future__ import annotations

import pytest

from tests.api.test_network import UNKNOWN, V2, fault, lan, make, public
from tests.support.cloud import simulated_cloud


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    with simulated_cloud(tmp_path_factory.mktemp("cloud")) as cloud:
        yield cloud


class Pair:
    """Two projects, neither of which knows of the other."""

    def __init__(self, served, name):
        self.admin = served.login("admin")
        self.owner, self.guest = (served.new_user(f"{name[:50]}-{role}") for role in ("owner", "guest"))

    def policy(self, kind, object_id, action="access_as_shared", target=None):
        target = self.guest.project_id if target is None else target
        fields = {"object_type": kind, "object_id": object_id, "action": action, "target_tenant": target}
        return {"rbac_policy": fields}

    def share(self, *arguments, by=None, **named):
        return (by or self.owner).post(f"{V2}/rbac-policies", self.policy(*arguments, **named))["rbac_policy"]

    def seen(self, kind, object_id, by=None):
        """The object's `shared` as somebody sees it; None where it is not seen."""
        found = (by or self.guest).get(f"{V2}/{kind}?id={object_id}")[kind.replace("-", "_")]
        return found[0]["shared"] if found else None


@pytest.fixture
def pair(served, request):
    return Pair(served, request.node.name)


def test_a_network_is_shared_with_one_project(served, pair):
    network, subnet = lan(pair.owner)
    assert pair.seen("networks", network) is None
    policy = pair.share("network", network)
    assert pair.seen("networks", network) is True
    assert pair.seen("networks", network, pair.owner) is False
    assert pair.seen("networks", network, served.new_user("third-" + network)) is None
    assert [one["id"] for one in pair.guest.get(f"{V2}/subnets?network_id={network}")["subnets"]] == [subnet]
    assert network in [one["id"] for one in pair.guest.get(f"{V2}/networks?shared=true")["networks"]]
    port = make(pair.guest, "port", network_id=network)["id"]
    assert fault(pair.guest, "PUT", f"/networks/{network}", {"network": {"name": "mine"}})[0] == 403
    assert fault(pair.owner, "DELETE", f"/rbac-policies/{policy['id']}") == (409, "RbacPolicyInUse")
    pair.guest.ok("DELETE", f"{V2}/ports/{port}")
    pair.owner.ok("DELETE", f"{V2}/rbac-policies/{policy['id']}")
    assert pair.seen("networks", network) is None


def test_a_policy_is_its_makers(pair):
    network, _ = lan(pair.owner)
    policy = pair.share("network", network)
    assert policy == {"id": policy["id"], "tenant_id": pair.owner.project_id, "project_id": pair.owner.project_id,
                      **pair.policy("network", network)["rbac_policy"]}  # fmt: skip
    path = f"/rbac-policies/{policy['id']}"
    assert pair.owner.get(V2 + path)["rbac_policy"] == policy
    assert [one["id"] for one in pair.owner.get(f"{V2}/rbac-policies?object_type=network")["rbac_policies"]] == [
        policy["id"]]
    assert pair.owner.get(f"{V2}/rbac-policies?target_tenant={UNKNOWN}")["rbac_policies"] == []
    assert fault(pair.guest, "GET", path) == (404, "RbacPolicyNotFound")
    assert fault(pair.owner, "POST", "/rbac-policies", pair.policy("network", network)) == (409, "DuplicateRbacPolicy")
    assert fault(pair.owner, "PUT", path, {"rbac_policy": {"action": "access_as_external"}})[0] == 400
    changed = pair.owner.ok("PUT", V2 + path, {"rbac_policy": {"target_tenant": "somebody"}})["rbac_policy"]
    assert changed["target_tenant"] == "somebody"
    assert pair.seen("networks", network) is None
    pair.owner.ok("DELETE", f"{V2}/networks/{network}")
    assert pair.owner.get(f"{V2}/rbac-policies")["rbac_policies"] == [], "they go with what they are about"


@pytest.mark.parametrize(("change", "status"), [
    ({"target_tenant": "*"}, 403), ({"object_type": "port"}, 400), ({"action": "access_as_owner"}, 400),
    ({"object_type": "security_group", "action": "access_as_external"}, 400), ({"object_id": UNKNOWN}, 404),
    ({"object_id": "x"}, 400), ({"target_tenant": ""}, 400), ({"project_id": "b"}, 403), ({"more": 1}, 400),
])  # fmt: skip
def test_what_cannot_be_shared(pair, change, status):
    network, _ = lan(pair.owner)
    body = pair.policy("network", network)
    body["rbac_policy"] |= change
    assert fault(pair.owner, "POST", "/rbac-policies", body)[0] == status


def test_what_is_shared_is_not_shared_on(pair):
    network, _ = lan(pair.owner)
    assert fault(pair.guest, "POST", "/rbac-policies", pair.policy("network", network))[0] == 404
    pair.share("network", network)
    assert fault(pair.guest, "POST", "/rbac-policies", pair.policy("network", network, target="c"))[0] == 400


def test_a_quota_bounds_policies(pair):
    network, _ = lan(pair.owner)
    for number in range(10):
        pair.share("network", network, target=f"project-{number}")
    assert fault(pair.owner, "POST", "/rbac-policies", pair.policy("network", network)) == (409, "OverQuota")


def test_the_flag_of_a_network_is_a_policy_for_everybody(pair):
    network = make(pair.admin, "network", shared=True)["id"]
    assert pair.seen("networks", network) is True
    (policy,) = pair.admin.get(f"{V2}/rbac-policies?object_id={network}")["rbac_policies"]
    assert (policy["action"], policy["target_tenant"]) == ("access_as_shared", "*")
    subnet = {"subnet": {"network_id": network, "ip_version": 4, "cidr": "10.3.0.0/24"}}
    pair.admin.post(f"{V2}/subnets", subnet)
    port = make(pair.guest, "port", network_id=network)["id"]
    unshared = {"network": {"shared": False}}
    assert fault(pair.admin, "PUT", f"/networks/{network}", unshared) == (409, "InvalidSharedSetting")
    assert fault(pair.admin, "DELETE", f"/rbac-policies/{policy['id']}") == (409, "RbacPolicyInUse")
    own = pair.share("network", network, by=pair.admin)
    pair.admin.ok("PUT", f"{V2}/networks/{network}", unshared)
    assert [one["id"] for one in pair.admin.get(f"{V2}/rbac-policies?object_id={network}")["rbac_policies"]] == [own["id"]]
    assert pair.seen("networks", network) is True
    assert pair.seen("networks", network, pair.owner) is None
    wild = pair.share("network", network, target="*", by=pair.admin)
    assert pair.seen("networks", network, pair.owner) is True
    pair.admin.ok("DELETE", f"{V2}/rbac-policies/{wild['id']}")
    pair.guest.ok("DELETE", f"{V2}/ports/{port}")


def test_a_network_is_external_for_one_project(pair):
    network = make(pair.admin, "network", name="theirs")["id"]
    pair.admin.post(f"{V2}/subnets", {"subnet": {"network_id": network, "ip_version": 4, "cidr": "198.51.100.0/24"}})
    way = {"router": {"name": "r", "external_gateway_info": {"network_id": network}}}
    policy = pair.share("network", network, "access_as_external", by=pair.admin)
    assert pair.seen("networks", network) is False
    assert pair.guest.get(f"{V2}/networks/{network}")["network"]["router:external"] is True
    assert pair.seen("networks", network, pair.owner) is None
    assert fault(pair.owner, "POST", "/routers", way)[0] == 404
    assert fault(pair.guest, "POST", "/ports", {"port": {"network_id": network}})[0] == 403
    router = pair.guest.post(f"{V2}/routers", way)["router"]["id"]
    assert fault(pair.admin, "DELETE", f"/rbac-policies/{policy['id']}") == (409, "RbacPolicyInUse")
    pair.guest.ok("DELETE", f"{V2}/routers/{router}")
    pair.admin.ok("DELETE", f"{V2}/rbac-policies/{policy['id']}")
    assert pair.seen("networks", network) is None


def test_everybody_finds_the_world_by_a_policy(pair):
    found = pair.admin.get(f"{V2}/rbac-policies?object_id={public(pair.owner)}")["rbac_policies"]
    assert [(one["action"], one["target_tenant"]) for one in found] == [("access_as_external", "*")]


def test_a_security_group_is_shared(pair):
    group = make(pair.owner, "security-group", name="web")["id"]
    rule = make(pair.owner, "security-group-rule", security_group_id=group, direction="ingress")["id"]
    network, _ = lan(pair.guest)
    body = {"port": {"network_id": network, "security_groups": [group]}}
    assert fault(pair.guest, "POST", "/ports", body)[0] == 404
    policy = pair.share("security_group", group)
    assert pair.seen("security-groups", group) is True
    assert pair.seen("security-groups", group, pair.owner) is False
    assert group in [one["id"] for one in pair.guest.get(f"{V2}/security-groups?shared=True")["security_groups"]]
    assert pair.guest.get(f"{V2}/security-group-rules/{rule}")["security_group_rule"]["id"] == rule
    assert fault(pair.guest, "DELETE", f"/security-group-rules/{rule}")[0] == 403
    more = {"security_group_rule": {"security_group_id": group, "direction": "ingress", "protocol": "tcp"}}
    assert fault(pair.guest, "POST", "/security-group-rules", more)[0] == 403
    port = pair.guest.post(f"{V2}/ports", body)["port"]
    assert port["security_groups"] == [group]
    assert fault(pair.owner, "DELETE", f"/rbac-policies/{policy['id']}") == (409, "RbacPolicyInUse")
    pair.guest.ok("DELETE", f"{V2}/ports/{port['id']}")
    pair.owner.ok("DELETE", f"{V2}/rbac-policies/{policy['id']}")
    assert pair.seen("security-groups", group) is None


def test_a_subnet_pool_is_shared(pair):
    pool = make(pair.owner, "subnetpool", name="pool", prefixes=["10.9.0.0/16"], default_prefixlen=24)["id"]
    network = make(pair.guest, "network")["id"]
    wanted = {"subnet": {"network_id": network, "ip_version": 4, "subnetpool_id": pool}}
    assert fault(pair.guest, "POST", "/subnets", wanted)[0] == 404
    policy = pair.share("subnetpool", pool)
    assert pair.seen("subnetpools", pool) is True
    assert pair.guest.post(f"{V2}/subnets", wanted)["subnet"]["cidr"] == "10.9.0.0/24"
    assert fault(pair.owner, "DELETE", f"/rbac-policies/{policy['id']}") == (409, "RbacPolicyInUse")
    pair.guest.ok("DELETE", f"{V2}/networks/{network}")
    pair.owner.ok("DELETE", f"{V2}/rbac-policies/{policy['id']}")
