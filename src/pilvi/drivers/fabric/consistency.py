"""What a topology must hold for any fabric: every id that it names is in it."""

from __future__ import annotations

from collections.abc import Iterator

from pilvi.drivers.fabric.base import FabricError, FixedIp, Router, Topology


def check(topology: Topology) -> None:
    """Raises FabricError for the first reference to something that is not in the topology."""
    for problem in _problems(topology):
        raise FabricError(f"{problem}, which is not in the topology")


def _problems(topology: Topology) -> Iterator[str]:
    subnets = {network.id: {subnet.id for subnet in network.subnets} for network in topology.networks}
    groups = {group.id for group in topology.security_groups}
    address_groups = {group.id for group in topology.address_groups}
    for port in topology.ports:
        yield from _leg(f"port {port.id}", port.network_id, port.fixed_ips, subnets)
        for group in port.security_group_ids:
            if group not in groups:
                yield f"port {port.id} has security group {group}"
    for router in topology.routers:
        yield from _router(router, subnets)
    for group in topology.security_groups:
        for rule in group.rules:
            if rule.remote_address_group_id is not None and rule.remote_address_group_id not in address_groups:
                yield f"security group rule {rule.id} has remote address group {rule.remote_address_group_id}"
            if rule.remote_group_id is not None and rule.remote_group_id not in groups:
                yield f"security group rule {rule.id} has remote group {rule.remote_group_id}"


def _router(router: Router, subnets: dict[str, set[str]]) -> Iterator[str]:
    for port in router.ports:
        yield from _leg(f"port {port.id} of router {router.id}", port.network_id, port.fixed_ips, subnets)
    if gateway := router.gateway:
        yield from _leg(f"the gateway of router {router.id}", gateway.network_id, gateway.fixed_ips, subnets)


def _leg(
    what: str, network: str, fixed_ips: tuple[FixedIp, ...], subnets: dict[str, set[str]]
) -> Iterator[str]:
    if network not in subnets:
        yield f"{what} is on network {network}"
        return
    for fixed_ip in fixed_ips:
        if fixed_ip.subnet_id not in subnets[network]:
            yield f"{what} has an address of subnet {fixed_ip.subnet_id}"
