"""Address groups, and the rules that new security groups begin with, over HTTP, on a simulated cloud."""

from __future__ import annotations

import pytest

from tests.api.test_network import UNKNOWN, V2, fault, lan, make
from tests.support.cloud import simulated_cloud
from tests.support.wait import eventually


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    with simulated_cloud(tmp_path_factory.mktemp("cloud")) as cloud:
        yield cloud


@pytest.fixture
def user(served, request):
    return served.new_user(request.node.name[:60])


@pytest.fixture
def admin(served):
    return served.login("admin")


def change(session, group, verb, *addresses):
    path = f"{V2}/address-groups/{group}/{verb}_addresses"
    return session.ok("PUT", path, {"addresses": addresses})["address_group"]["addresses"]


def test_addresses_come_and_go(user):
    group = make(user, "address-group", name="lab", description="ours", addresses=["10.0.0.1", "fd00::/64"])
    assert group["addresses"] == ["10.0.0.1/32", "fd00::/64"]
    assert (group["name"], group["description"], group["shared"]) == ("lab", "ours", False)
    one = group["id"]
    assert change(user, one, "add", "192.0.2.0/24") == ["10.0.0.1/32", "192.0.2.0/24", "fd00::/64"]
    assert change(user, one, "remove", "10.0.0.1", "fd00::/64") == ["192.0.2.0/24"]
    path = f"/address-groups/{one}"
    again = fault(user, "PUT", path + "/add_addresses", {"addresses": ["192.0.2.0/24"]})
    assert again == (400, "AddressesAlreadyExist")
    gone = fault(user, "PUT", path + "/remove_addresses", {"addresses": ["10.0.0.1"]})
    assert gone == (404, "AddressesNotFound")
    for wrong in (["x"], ["10.0.0.0/33"], "10.0.0.1", [5]):
        assert fault(user, "PUT", path + "/add_addresses", {"addresses": wrong})[0] == 400
    named = user.ok("PUT", V2 + path, {"address_group": {"name": "other"}})["address_group"]
    assert (named["name"], named["addresses"]) == ("other", ["192.0.2.0/24"])
    assert [each["id"] for each in user.get(f"{V2}/address-groups?name=other")["address_groups"]] == [one]
    user.ok("DELETE", V2 + path)
    assert fault(user, "GET", path) == (404, "AddressGroupNotFound")


def test_rules_name_it(served, user):
    group = make(user, "address-group", name="lab", addresses=["10.0.0.0/24"])["id"]
    web = make(user, "security-group", name="web")["id"]
    wanted = {"security_group_id": web, "direction": "ingress", "remote_address_group_id": group}
    rule = make(user, "security-group-rule", **wanted)
    assert rule["remote_address_group_id"] == group
    assert fault(user, "POST", "/security-group-rules", {"security_group_rule": wanted})[0] == 409
    for more in ({"remote_ip_prefix": "10.0.0.0/8"}, {"remote_group_id": web}):
        assert fault(user, "POST", "/security-group-rules", {"security_group_rule": {**wanted, **more}})[0] == 400
    missing = {**wanted, "remote_address_group_id": UNKNOWN}
    assert fault(user, "POST", "/security-group-rules", {"security_group_rule": missing})[0] == 404
    found = user.get(f"{V2}/security-group-rules?remote_address_group_id={group}")["security_group_rules"]
    assert [one["id"] for one in found] == [rule["id"]]

    def told():
        topology = served.cloud.site.northbound.topology
        groups = {each.id: each.addresses for each in topology.address_groups}
        named = [one.remote_address_group_id for each in topology.security_groups for one in each.rules]
        return groups.get(group) if group in named else None

    eventually(lambda: told() == ("10.0.0.0/24",))
    change(user, group, "add", "10.1.0.0/24")
    eventually(lambda: told() == ("10.0.0.0/24", "10.1.0.0/24"))
    assert fault(user, "DELETE", f"/address-groups/{group}") == (409, "AddressGroupInUse")
    user.ok("DELETE", f"{V2}/security-group-rules/{rule['id']}")
    user.ok("DELETE", f"{V2}/address-groups/{group}")


def test_it_is_shared(served, user):
    friend = served.new_user("friend-of-" + user.project_id[:8])
    group = make(user, "address-group", name="lab", addresses=["10.0.0.0/24"])["id"]
    assert fault(friend, "GET", f"/address-groups/{group}")[0] == 404
    policy = user.post(f"{V2}/rbac-policies", {"rbac_policy": {
        "object_type": "address_group", "object_id": group, "action": "access_as_shared",
        "target_tenant": friend.project_id}})["rbac_policy"]["id"]  # fmt: skip
    assert friend.get(f"{V2}/address-groups/{group}")["address_group"]["shared"] is True
    assert fault(friend, "PUT", f"/address-groups/{group}/add_addresses", {"addresses": ["10.9.0.1"]})[0] == 403
    web = make(friend, "security-group", name="web")["id"]
    rule = make(friend, "security-group-rule", security_group_id=web, direction="ingress",
                remote_address_group_id=group)["id"]  # fmt: skip
    assert fault(user, "DELETE", f"/rbac-policies/{policy}") == (409, "RbacPolicyInUse")
    friend.ok("DELETE", f"{V2}/security-group-rules/{rule}")
    user.ok("DELETE", f"{V2}/rbac-policies/{policy}")


# -- what new groups begin with


def rules(session, group):
    """(direction, IP version, protocol, remote group) of a group's rules."""
    found = session.get(f"{V2}/security-groups/{group}")["security_group"]["security_group_rules"]
    return sorted((one["direction"], one["ethertype"], one["protocol"] or "", one["remote_group_id"] or "")
                  for one in found)  # fmt: skip


def test_groups_begin_with_what_the_administrator_wants(served, admin):
    at_first = admin.get(f"{V2}/default-security-group-rules")["default_security_group_rules"]
    assert sorted((one["direction"], one["ethertype"], one["remote_group_id"]) for one in at_first) == [
        (way, ip, who) for way, who in (("egress", None), ("ingress", "PARENT")) for ip in ("IPv4", "IPv6")]
    lab = make(admin, "address-group", name="lab", addresses=["10.0.0.0/24"])["id"]
    wanted = {"direction": "ingress", "protocol": "tcp", "port_range_min": 22, "port_range_max": 22,
              "remote_address_group_id": lab, "used_in_default_sg": True, "description": "ssh"}  # fmt: skip
    ssh = make(admin, "default-security-group-rule", **wanted)
    path = f"/default-security-group-rules/{ssh['id']}"
    try:
        body = {"default_security_group_rule": wanted}
        assert fault(admin, "POST", "/default-security-group-rules", body) == (409, "DefaultSecurityGroupRuleExists")
        assert fault(admin, "DELETE", f"/address-groups/{lab}") == (409, "AddressGroupInUse")
        user = served.new_user("begins")
        assert user.get(V2 + path)["default_security_group_rule"] == ssh, "anybody may look"
        assert fault(user, "DELETE", path)[0] == fault(user, "POST", "/default-security-group-rules", body)[0] == 403
        group = make(user, "security-group", name="web")["id"]
        egress = [("egress", "IPv4", "", ""), ("egress", "IPv6", "", "")]
        assert rules(user, group) == [*egress, ("ingress", "IPv4", "tcp", "")]
        (default,) = user.get(f"{V2}/security-groups?name=default")["security_groups"]
        members = [("ingress", ip, "", default["id"]) for ip in ("IPv4", "IPv6")]
        assert rules(user, default["id"]) == [*egress, members[0], ("ingress", "IPv4", "tcp", ""), members[1]]
        belonging = user.get(f"{V2}/security-group-rules?belongs_to_default_sg=true")["security_group_rules"]
        assert {one["security_group_id"] for one in belonging} == {default["id"]}
        assert all(one["belongs_to_default_sg"] for one in belonging)
    finally:
        admin.ok("DELETE", V2 + path)
    assert rules(user, group) == [*egress, ("ingress", "IPv4", "tcp", "")], "those that are there keep it"
    assert rules(user, make(user, "security-group", name="more")["id"]) == egress


@pytest.mark.parametrize(("change", "status"), [
    ({"direction": "up"}, 400), ({"protocol": "nonsense"}, 400), ({"port_range_min": 5}, 400),
    ({"remote_group_id": UNKNOWN}, 404), ({"remote_address_group_id": UNKNOWN}, 404),
    ({"remote_group_id": "PARENT", "remote_ip_prefix": "10.0.0.0/8"}, 400), ({"security_group_id": UNKNOWN}, 400),
])  # fmt: skip
def test_what_they_cannot_begin_with(admin, change, status):
    body = {"default_security_group_rule": {"direction": "ingress", **change}}
    assert fault(admin, "POST", "/default-security-group-rules", body)[0] == status


def test_servers_are_put_into_what_others_share(served, user):
    """Compute takes a shared group by its id."""
    friend = served.new_user("guest-of-" + user.project_id[:8])
    network, _ = lan(friend)
    group = make(user, "security-group", name="theirs")["id"]
    user.post(f"{V2}/rbac-policies", {"rbac_policy": {
        "object_type": "security_group", "object_id": group, "action": "access_as_shared",
        "target_tenant": friend.project_id}})  # fmt: skip
    flavor = friend.get("/compute/v2.1/flavors")["flavors"][0]["id"]
    server = {"name": "s", "flavorRef": flavor, "imageRef": served.image(), "networks": [{"uuid": network}],
              "security_groups": [{"name": group}]}  # fmt: skip
    made = friend.post("/compute/v2.1/servers", {"server": server})["server"]["id"]
    ports = friend.get(f"{V2}/ports?device_id={made}")["ports"]
    assert [port["security_groups"] for port in ports] == [[group]]
