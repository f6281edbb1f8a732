"""Quality of service over the Networking API: policies, their rules, what has them, and what becomes of packets."""

from __future__ import annotations

import pytest

from pilvi.drivers.fabric.base import Shaping
from tests.api.test_network_edges import ADMIN, ALICE, BOB, UNKNOWN, Client, client, cloud  # noqa: F401


@pytest.fixture
def policy(client: Client) -> dict:  # noqa: F811
    return make(client, name="slow", shared=True)


def make(client, **fields):  # noqa: F811
    return client("POST", "/qos/policies", {"policy": fields}, ADMIN, 201).json["policy"]


def rule(client, policy, kind="bandwidth_limit", status=201, **fields):  # noqa: F811
    path, body = f"/qos/policies/{policy['id']}/{kind}_rules", {f"{kind}_rule": fields}
    answer = client("POST", path, body, ADMIN, status).json
    return answer[f"{kind}_rule"] if status == 201 else answer["NeutronError"]["type"]


def shaping(cloud):  # noqa: F811
    """By port or floating address: what is shaped in the logical network."""
    cloud.network.reconciler.reconcile()
    topology = cloud.northbound.topology
    found = {port.id: port.shaping for port in topology.ports}
    for router in topology.routers:
        found |= {leg.id: leg.shaping for leg in router.ports}
        found |= {one.floating_ip: one.shaping for one in router.floating_ips}
        if router.gateway:
            found["gateway"] = router.gateway.shaping
    return {what: one for what, one in found.items() if one}


def test_a_policy_says_what_it_is_and_has_rules(client, policy):  # noqa: F811
    assert (policy["shared"], policy["is_default"], policy["rules"], policy["tags"]) == (True, False, [], [])
    limit = rule(client, policy, max_kbps="1000", max_burst_kbps=100)
    assert {**limit, "id": 0} == {"id": 0, "max_kbps": 1000, "max_burst_kbps": 100, "direction": "egress"}
    mark = rule(client, policy, "dscp_marking", dscp_mark=26)
    shown = client.get(f"/qos/policies/{policy['id']}")["policy"]
    assert shown["rules"] == [
        {**limit, "type": "bandwidth_limit", "qos_policy_id": policy["id"]},
        {**mark, "type": "dscp_marking", "qos_policy_id": policy["id"]},
    ]
    assert shown["revision_number"] > policy["revision_number"]
    inner = f"/qos/policies/{policy['id']}/bandwidth_limit_rules"
    assert client.get(f"{inner}?max_kbps=1000&fields=id")["bandwidth_limit_rules"] == [{"id": limit["id"]}]
    assert client.get(f"{inner}?direction=ingress")["bandwidth_limit_rules"] == []
    body = {"bandwidth_limit_rule": {"max_kbps": 2000, "direction": "ingress"}}
    changed = client("PUT", f"{inner}/{limit['id']}", body, ADMIN, 200).json["bandwidth_limit_rule"]
    assert (changed["max_kbps"], changed["direction"], changed["max_burst_kbps"]) == (2000, "ingress", 100)
    client.delete_as_admin(f"{inner}/{limit['id']}")
    assert client.refused("GET", f"{inner}/{limit['id']}") == (404, "QosRuleNotFound")


def test_rules_are_also_found_without_their_policy(client, policy):  # noqa: F811
    mark = rule(client, policy, "dscp_marking", dscp_mark=26)
    path = f"/qos/alias-dscp-marking-rules/{mark['id']}"
    assert client.get(path)["alias_dscp_marking_rule"] == mark
    changed = client("PUT", path, {"alias_dscp_marking_rule": {"dscp_mark": 10}}, ADMIN, 200).json
    assert changed["alias_dscp_marking_rule"]["dscp_mark"] == 10
    client.delete_as_admin(path)
    assert client.refused("GET", path) == (404, "QosRuleNotFound")


def test_the_kinds_of_rules_are_those_that_work(client, policy):  # noqa: F811
    names = [one["type"] for one in client.get("/qos/rule-types")["rule_types"]]
    assert names == ["bandwidth_limit", "dscp_marking"]
    every = [one["type"] for one in client.get("/qos/rule-types?all_rules=true")["rule_types"]]
    assert "minimum_bandwidth" in every
    assert client.get("/qos/rule-types/minimum_bandwidth")["rule_type"]["drivers"] == []
    (driver,) = client.get("/qos/rule-types/bandwidth_limit")["rule_type"]["drivers"]
    assert {one["parameter_name"] for one in driver["supported_parameters"]} == {"max_kbps", "max_burst_kbps", "direction"}
    assert client.refused("GET", "/qos/rule-types/none") == (404, "QosRuleTypeNotFound")
    assert client.refused("GET", "/qos/rule-types?all_rules=1&all_supported=1") == (400, "HTTPBadRequest")
    for kind, field in (("minimum_bandwidth", "min_kbps"), ("minimum_packet_rate", "min_kpps"),
                        ("packet_rate_limit", "max_kpps")):  # fmt: skip
        assert rule(client, policy, kind, 400, **{field: 1000}) == "QosRuleNotSupported"


@pytest.mark.parametrize(("kind", "fields", "status"), [
    ("bandwidth_limit", {"max_kbps": 0}, 400), ("bandwidth_limit", {}, 400), ("dscp_marking", {"dscp_mark": 27}, 400),
    ("bandwidth_limit", {"max_kbps": 2**31}, 400), ("bandwidth_limit", {"max_kbps": 1, "direction": "any"}, 400),
    ("bandwidth_limit", {"max_kbps": 1, "max_burst_kbps": -1}, 400), ("dscp_marking", {"mark": 26}, 400),
])  # fmt: skip
def test_what_no_rule_says(client, policy, kind, fields, status):  # noqa: F811
    rule(client, policy, kind, status, **fields)


def test_there_is_one_rule_of_a_kind_for_a_direction(client, policy):  # noqa: F811
    out = rule(client, policy, max_kbps=1000)
    assert rule(client, policy, status=409, max_kbps=2000) == "QoSRulesConflict"
    rule(client, policy, max_kbps=2000, direction="ingress")
    path = f"/qos/policies/{policy['id']}/bandwidth_limit_rules/{out['id']}"
    assert client("PUT", path, {"bandwidth_limit_rule": {"direction": "ingress"}}, ADMIN).status_code == 409
    rule(client, policy, "dscp_marking", dscp_mark=26)
    assert rule(client, policy, "dscp_marking", 409, dscp_mark=10) == "QoSRulesConflict"


def test_only_administrators_make_policies_and_only_shared_ones_are_others(client):  # noqa: F811
    assert client.refused("POST", "/qos/policies", {"policy": {"name": "mine"}})[0] == 403
    hidden = make(client, name="hidden")
    assert client.refused("GET", f"/qos/policies/{hidden['id']}") == (404, "QosPolicyNotFound")
    assert client.refused("POST", "/networks", {"network": {"qos_policy_id": hidden["id"]}}) == (404, "QosPolicyNotFound")
    own = make(client, name="alices", project_id="a")
    assert [one["id"] for one in client.get("/qos/policies?name=alices")["policies"]] == [own["id"]]
    assert client.get("/qos/policies?shared=true")["policies"] == []


def test_a_projects_default_policy_is_its_new_networks(client):  # noqa: F811
    default = make(client, name="default", project_id="a", is_default=True)
    assert default["is_default"] is True
    body = {"policy": {"name": "other", "project_id": "a", "is_default": True}}
    assert client.refused("POST", "/qos/policies", body, ADMIN) == (409, "QoSPolicyDefaultAlreadyExists")
    assert client.make("network")["qos_policy_id"] == default["id"]
    assert client.make("network", qos_policy_id=None)["qos_policy_id"] is None
    assert client.make("network", BOB)["qos_policy_id"] is None
    assert [one["id"] for one in client.get("/qos/policies?is_default=true")["policies"]] == [default["id"]]


def test_a_policy_that_something_has_is_not_deleted(client, policy):  # noqa: F811
    network, _ = client.lan()
    path = f"/qos/policies/{policy['id']}"
    client.put("network", network, qos_policy_id=policy["id"])
    assert client.refused("DELETE", path, token=ADMIN) == (409, "QosPolicyInUse")
    assert client.get(f"/networks?qos_policy_id={policy['id']}&fields=id")["networks"] == [{"id": network["id"]}]
    assert client.refused("PUT", path, {"policy": {"shared": False}}, ADMIN) == (409, "InvalidSharedSetting")
    client.put("network", network, qos_policy_id=None)
    rule(client, policy, max_kbps=1000)
    client.delete_as_admin(path)
    assert client.refused("PUT", f"/networks/{network['id']}", {"network": {"qos_policy_id": UNKNOWN}})[0] == 404


def test_a_policy_that_an_administrator_gave_stays(client):  # noqa: F811
    hidden = make(client, name="hidden")
    network, _ = client.lan()
    client("PUT", f"/networks/{network['id']}", {"network": {"qos_policy_id": hidden["id"]}}, ADMIN, 200)
    assert client.put("network", network, status=403, qos_policy_id=None) == "PolicyRemoveAuthorizationError"
    assert client.put("network", network, qos_policy_id=hidden["id"], name="renamed")["name"] == "renamed"


def test_a_ports_packets_follow_its_own_policy_or_its_networks(client, cloud, policy):  # noqa: F811
    rule(client, policy, max_kbps=1000, max_burst_kbps=50)
    other = make(client, name="marked", shared=True)
    rule(client, other, "dscp_marking", dscp_mark=26)
    network, subnet = client.lan()
    one, two = (client.make("port", network_id=network["id"]) for _ in range(2))
    client.way_out(subnet)
    assert shaping(cloud) == {}
    client.put("network", network, qos_policy_id=policy["id"])
    limits = {port["id"]: (Shaping("egress", 1000, 50),) for port in (one, two)}
    assert shaping(cloud) == limits, "but not those of routers"
    shown = client.put("port", one, qos_policy_id=other["id"])
    assert (shown["qos_policy_id"], shown["qos_network_policy_id"]) == (other["id"], policy["id"])
    assert shaping(cloud)[one["id"]] == (Shaping("egress", dscp=26),)
    rule(client, other, max_kbps=5, direction="ingress")
    assert shaping(cloud)[one["id"]] == (Shaping("egress", dscp=26), Shaping("ingress", 5))
    client.put("network", network, qos_policy_id=None)
    client.put("port", one, qos_policy_id=None)
    assert shaping(cloud) == {}


def test_a_floating_ip_and_a_gateway_have_policies_of_their_own(client, cloud, policy):  # noqa: F811
    rule(client, policy, max_kbps=1000)
    network, subnet = client.lan()
    port = client.make("port", network_id=network["id"])
    router, public = client.way_out(subnet)
    body = {"floating_network_id": public["id"], "port_id": port["id"], "qos_policy_id": policy["id"]}
    floating = client("POST", "/floatingips", {"floatingip": body}, ALICE, 201).json["floatingip"]
    assert (floating["qos_policy_id"], floating["qos_network_policy_id"]) == (policy["id"], None)
    limit = (Shaping("egress", 1000),)
    assert shaping(cloud) == {floating["floating_ip_address"]: limit}
    client.put("floatingip", floating, qos_policy_id=None)
    gateway_info = {"network_id": public["id"], "qos_policy_id": policy["id"]}
    shown = client.put("router", router, external_gateway_info=gateway_info)
    assert shown["external_gateway_info"]["qos_policy_id"] == policy["id"]
    assert shaping(cloud) == {"gateway": limit}
    client.put("router", router, external_gateway_info={"network_id": public["id"], "qos_policy_id": None})
    assert shaping(cloud) == {}
    path = f"/networks/{public['id']}"
    client("PUT", path, {"network": {"qos_policy_id": policy["id"]}}, ADMIN, 200)
    inherited = shaping(cloud)
    assert inherited == {"gateway": limit, floating["floating_ip_address"]: limit}, "they have the external network's"
    client("PUT", path, {"network": {"qos_policy_id": None}}, ADMIN, 200)


def test_a_policy_has_tags(client, policy):  # noqa: F811
    client("PUT", f"/policies/{policy['id']}/tags", {"tags": ["red"]}, ADMIN, 200)
    assert client.get("/qos/policies?tags=red&fields=name")["policies"] == [{"name": "slow"}]


def test_a_policy_is_shared_with_one_project(client):  # noqa: F811
    hidden = make(client, name="hidden")
    rule(client, hidden, max_kbps=1000)
    body = {"object_type": "qos_policy", "object_id": hidden["id"], "action": "access_as_shared", "target_tenant": "a"}
    rbac = client("POST", "/rbac-policies", {"rbac_policy": body}, ADMIN, 201).json["rbac_policy"]
    assert len(client.get(f"/qos/policies/{hidden['id']}/bandwidth_limit_rules")["bandwidth_limit_rules"]) == 1
    assert client.refused("GET", f"/qos/policies/{hidden['id']}", token=BOB)[0] == 404
    network = client.make("network", qos_policy_id=hidden["id"])
    assert client.refused("DELETE", f"/rbac-policies/{rbac['id']}", token=ADMIN) == (409, "RbacPolicyInUse")
    client.put("network", network, qos_policy_id=None)
    client.delete_as_admin(f"/rbac-policies/{rbac['id']}")
    assert client.refused("GET", f"/qos/policies/{hidden['id']}")[0] == 404
