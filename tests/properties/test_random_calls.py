"""Random API calls by two tenants, with drivers that fail now and then, against a model of the cloud.

Always: no 5xx; and once the dust has settled: no state that nobody works on, and quota, capacity, addresses and the
hosts' guests are exactly what the servers that exist account for.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path

import sqlalchemy as sa
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule, run_state_machine_as_test

from pilvi.placement import tables as placement
from tests.support.cloud import simulated_cloud

NETWORK = "/network/v2.0"
COMPUTE = "/compute/v2.1"
ACTIONS = [{"os-stop": None}, {"os-start": None}, {"reboot": {"type": "SOFT"}}, {"reboot": {"type": "HARD"}},
           {"pause": None}, {"unpause": None}, {"lock": None}, {"unlock": None}, {"os-getConsoleOutput": {"length": 5}}]
SETTLED = {"ACTIVE", "SHUTOFF", "PAUSED", "ERROR"}


class Cloud(RuleBasedStateMachine):
    networks = Bundle("networks")
    ports = Bundle("ports")
    servers = Bundle("servers")
    routers = Bundle("routers")
    groups = Bundle("groups")

    def __init__(self):
        super().__init__()
        self._folder = tempfile.TemporaryDirectory(prefix="pilvi-properties-")
        self._manager = simulated_cloud(Path(self._folder.name), hosts=2, vcpus=1, memory_mib=1024, disk_gib=40)
        self.served = self._manager.__enter__()
        self.tenants = [self.served.new_user("one"), self.served.new_user("two")]
        self.image = self.served.image()
        self.subnets = 0
        self.alive: dict[str, tuple[int, str]] = {}  # server: tenant and flavor

    def teardown(self):
        self._manager.__exit__(None, None, None)
        self._folder.cleanup()

    def call(self, tenant: int, method: str, path: str, body=None):
        answer = self.tenants[tenant].request(method, path, body)
        assert answer.status < 500, (method, path, body, answer)
        return answer

    tenant = st.integers(0, 1)

    @rule(target=networks, tenant=tenant)
    def create_network(self, tenant):
        answer = self.call(tenant, "POST", f"{NETWORK}/networks", {"network": {"name": "n"}})
        network = answer.json()["network"]["id"] if answer.status == 201 else ""
        return tenant, network

    @rule(network=networks, size=st.sampled_from([24, 28, 29]))
    def create_subnet(self, network, size):
        self.subnets += 1
        self.call(network[0], "POST", f"{NETWORK}/subnets", {"subnet": {
            "network_id": network[1], "ip_version": 4, "cidr": f"10.{self.subnets // 200}.{self.subnets % 200}.0/{size}"}})

    @rule(network=networks)
    def delete_network(self, network):
        self.call(network[0], "DELETE", f"{NETWORK}/networks/{network[1]}")

    @rule(target=ports, network=networks, tenant=tenant)
    def create_port(self, network, tenant):
        answer = self.call(tenant, "POST", f"{NETWORK}/ports", {"port": {"network_id": network[1]}})
        assert (answer.status == 201) <= (tenant == network[0]), "only its owner puts a port on a network"
        return tenant, answer.json()["port"]["id"] if answer.status == 201 else "none"

    @rule(port=ports)
    def delete_port(self, port):
        self.call(port[0], "DELETE", f"{NETWORK}/ports/{port[1]}")

    @rule(target=groups, tenant=tenant)
    def create_group(self, tenant):
        answer = self.call(tenant, "POST", f"{NETWORK}/security-groups", {"security_group": {"name": "g"}})
        return tenant, answer.json()["security_group"]["id"] if answer.status == 201 else ""

    @rule(group=groups, low=st.integers(-1, 70000), high=st.integers(-1, 70000),
          protocol=st.sampled_from(["tcp", "udp", "icmp", "6", None, "nonsense"]))
    def create_rule(self, group, low, high, protocol):
        self.call(group[0], "POST", f"{NETWORK}/security-group-rules", {"security_group_rule": {
            "security_group_id": group[1], "direction": "ingress", "protocol": protocol, "port_range_min": low,
            "port_range_max": high}})

    @rule(target=routers, tenant=tenant)
    def create_router(self, tenant):
        answer = self.call(tenant, "POST", f"{NETWORK}/routers", {"router": {"name": "r"}})
        return tenant, answer.json()["router"]["id"] if answer.status == 201 else ""

    @rule(router=routers, network=networks, verb=st.sampled_from(["add", "remove"]))
    def router_interface(self, router, network, verb):
        found = self.call(network[0], "GET", f"{NETWORK}/subnets?network_id={network[1]}").json()["subnets"]
        for subnet in found[:1]:
            self.call(router[0], "PUT", f"{NETWORK}/routers/{router[1]}/{verb}_router_interface",
                      {"subnet_id": subnet["id"]})

    @rule(target=servers, tenant=tenant, network=networks, count=st.integers(1, 3),
          flavor=st.sampled_from(["42", "1", "none"]))
    def create_server(self, tenant, network, count, flavor):
        answer = self.call(tenant, "POST", f"{COMPUTE}/servers", {"server": {
            "name": "s", "imageRef": self.image, "flavorRef": flavor, "networks": [{"uuid": network[1]}],
            "max_count": count, "min_count": count}})
        return self._created(tenant, flavor, answer)

    @rule(target=servers, tenant=tenant, port=ports)
    def create_server_on_port(self, tenant, port):
        answer = self.call(tenant, "POST", f"{COMPUTE}/servers", {"server": {
            "name": "p", "imageRef": self.image, "flavorRef": "42", "networks": [{"port": port[1]}]}})
        return self._created(tenant, "42", answer)

    def _created(self, tenant, flavor, answer):
        if answer.status != 202:
            return tenant, "none"
        before = set(self.alive)
        for server in self.call(tenant, "GET", f"{COMPUTE}/servers").json()["servers"]:
            if server["id"] not in before:
                self.alive[server["id"]] = (tenant, flavor)
        return tenant, answer.json()["server"]["id"]

    @rule(server=servers, tenant=tenant, action=st.sampled_from(ACTIONS))
    def act(self, server, tenant, action):
        answer = self.call(tenant, "POST", f"{COMPUTE}/servers/{server[1]}/action", action)
        assert answer.status == 404 or tenant == server[0], "another tenant's server is not there"

    @rule(server=consumes(servers), tenant=tenant)
    def delete_server(self, server, tenant):
        answer = self.call(tenant, "DELETE", f"{COMPUTE}/servers/{server[1]}")
        if answer.status == 204:
            assert tenant == server[0]
            self.alive.pop(server[1], None)

    @rule(verb=st.sampled_from(["start", "shutdown", "stop", "pause"]), host=st.integers(0, 1))
    def a_driver_fails(self, verb, host):
        self.served.cloud.site.agents[host].hypervisor.fail(verb, "it was told to fail")

    @invariant()
    def settled(self):
        self.served.settle(60)
        for tenant, session in enumerate(self.tenants):
            found = session.get(f"{COMPUTE}/servers/detail")["servers"]
            assert {server["id"] for server in found} == {id for id, (t, _) in self.alive.items() if t == tenant}
            for server in found:
                assert server["status"] in SETTLED, server
                assert server["OS-EXT-STS:task_state"] is None, server
            limits = session.get(f"{COMPUTE}/limits")["limits"]["absolute"]
            assert limits["totalInstancesUsed"] == len(found)
            assert limits["totalRAMUsed"] == sum(server["flavor"]["ram"] for server in found)
        self.nothing_leaks()

    def nothing_leaks(self):
        cloud, guests = self.served.cloud, Counter()
        for agent in cloud.site.agents:
            guests.update(list(agent.hypervisor.guests()))
        assert set(guests) <= set(self.alive)
        assert set(guests.values()) <= {1}, "no guest is on two hosts"
        with cloud.db.read() as tx:
            held = {row.consumer_id for row in tx.all(sa.select(placement.allocations.c.consumer_id).distinct())}
            assert held <= set(self.alive)
            for row in tx.all(sa.select(placement.inventories)):
                summed = tx.scalar(sa.select(sa.func.coalesce(sa.func.sum(placement.allocations.c.used), 0)).where(
                    placement.allocations.c.host == row.host,
                    placement.allocations.c.resource_class == row.resource_class))
                assert row.used == summed, row
            owners = {row.device_id for row in tx.all(sa.text(
                "SELECT device_id FROM ports WHERE device_owner LIKE 'compute:%'"))}
            assert owners <= set(self.alive)


def test_random_calls():
    run_state_machine_as_test(Cloud, settings=settings(
        max_examples=15, stateful_step_count=40, deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]))
