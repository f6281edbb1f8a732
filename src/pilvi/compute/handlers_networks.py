"""Networks, floating IPs and security groups by Compute's old names (until 2.35), from the Network service."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from msgspec import UNSET, UnsetType

from pilvi.compute import wire
from pilvi.faults import BadRequest, Conflict, Fault, NotFound, OverLimit
from pilvi.http.pagination import limit_of
from pilvi.http.request import Request, Response, integer

# -- networks

# What a network of Compute's own had, and one of the Network service has not.
NETWORK = dict.fromkeys((
    "bridge", "bridge_interface", "broadcast", "cidr_v6", "created_at", "deleted", "deleted_at", "dhcp_server",
    "dhcp_start", "dns1", "dns2", "enable_dhcp", "gateway", "gateway_v6", "host", "injected", "multi_host", "netmask",
    "netmask_v6", "priority", "rxtx_base", "share_address", "updated_at", "vlan", "vpn_private_address",
    "vpn_public_address", "vpn_public_port"))


def networks(request: Request) -> Response:
    return Response(200, {"networks": [
        {**NETWORK, "id": each["id"], "label": each["name"], "cidr": cidr, "mtu": each["mtu"],
         "project_id": each["project_id"]} for each, cidr in with_cidrs(request)]})


def network(request: Request) -> Response:
    for each, cidr in with_cidrs(request, request.params["network_id"]):
        return Response(200, {"network": {**NETWORK, "id": each["id"], "label": each["name"], "cidr": cidr,
                                          "mtu": each["mtu"], "project_id": each["project_id"]}})
    raise NotFound("Network not found")


def tenant_networks(request: Request) -> Response:
    return Response(200, {"networks": [{"id": each["id"], "label": each["name"], "cidr": cidr}
                                       for each, cidr in with_cidrs(request)]})


def tenant_network(request: Request) -> Response:
    for each, cidr in with_cidrs(request, request.params["network_id"]):
        return Response(200, {"network": {"id": each["id"], "label": each["name"], "cidr": cidr}})
    raise NotFound("Network not found")


def with_cidrs(request: Request, network_id: str | None = None) -> Iterator[tuple[dict[str, Any], str | None]]:
    """The networks that the caller sees (one of them), each with the range of its first subnet."""
    service = request.cloud.network
    found = service.seen(request.context, "networks", {"id": [network_id]} if network_id else None)
    ranges = service.cidrs(request.context, [each["id"] for each in found]) if found else {}
    return ((each, ranges.get(each["id"])) for each in found)


# -- floating IPs


class NewFloatingIp(wire.Body):
    pool: str | None = None


def pools(request: Request) -> dict[str, str]:
    """Id and name of the external networks."""
    found = request.cloud.network.seen(request.context, "networks", {"router:external": ["true"]})
    return {each["id"]: each["name"] for each in found}


def floating_ip_pools(request: Request) -> Response:
    return Response(200, {"floating_ip_pools": [{"name": name} for name in pools(request).values()]})


def floating_ip_views(request: Request, found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    names, servers = pools(request), request.cloud.network.servers_of(request.context, found)
    return [{"id": each["id"], "ip": each["floating_ip_address"], "fixed_ip": each["fixed_ip_address"],
             "pool": names.get(each["floating_network_id"], each["floating_network_id"]),
             "instance_id": servers.get(each["port_id"])} for each in found]


def floating_ips(request: Request) -> Response:
    owner = {"project_id": [request.context.project_id or ""]}
    found = request.cloud.network.seen(request.context, "floatingips", owner)
    return Response(200, {"floating_ips": floating_ip_views(request, found)})


def floating_ip(request: Request) -> Response:
    try:
        found = request.cloud.network.one_seen(request.context, "floatingips", request.params["floating_ip_id"])
    except NotFound:
        raise NotFound(f"Floating IP not found for ID {request.params['floating_ip_id']}") from None
    return Response(200, {"floating_ip": floating_ip_views(request, [found])[0]})


def create_floating_ip(request: Request) -> Response:
    """From the pool of this name or id; from the first one where none is named."""
    wanted = (request.decode(NewFloatingIp | None) or NewFloatingIp()).pool if request.body else None
    known = pools(request)
    chosen = next((each for each, name in known.items() if wanted in (None, each, name)), None)
    if chosen is None:
        raise NotFound(f"Floating IP pool not found: {wanted or 'there is no external network'}.")
    try:
        made = request.cloud.network.make_floating_ip(request.context, chosen)
    except Conflict as fault:
        refused = OverLimit if fault.kind == "OverQuota" else NotFound
        raise refused(f"No more floating IPs in pool {known[chosen]}. {fault.message}") from None
    return Response(200, {"floating_ip": floating_ip_views(request, [made])[0]})


def delete_floating_ip(request: Request) -> Response:
    request.cloud.network.delete_floating_ip(request.context, request.params["floating_ip_id"])
    return Response(202)


# -- security groups


class GroupBody(wire.Body):
    name: str
    description: str | None = None


class NamedGroup(wire.Body):
    security_group: GroupBody


class RuleBody(wire.Body):
    parent_group_id: str
    ip_protocol: str | UnsetType | None = UNSET
    from_port: wire.Whole | UnsetType | None = UNSET
    to_port: wire.Whole | UnsetType | None = UNSET
    cidr: str | UnsetType | None = UNSET
    group_id: str | UnsetType | None = UNSET


class NewRule(wire.Body):
    security_group_rule: RuleBody


@contextmanager
def plainly() -> Iterator[None]:
    """The Network service's faults as Compute gave them: 400 for a conflict, 403 at the quota."""
    try:
        yield
    except Conflict as fault:
        refused: type[Fault] = OverLimit if fault.kind == "OverQuota" else BadRequest
        raise refused(fault.message) from None


def group_views(request: Request, found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Security groups with the rules for what comes in: Compute knew no others."""
    names = {each["id"]: each["name"] for each in found}
    rules = [rule for each in found for rule in each["security_group_rules"]]
    others = {rule["remote_group_id"] for rule in rules if rule["remote_group_id"]} - names.keys()
    if others:
        names |= {each["id"]: each["name"] for each in request.cloud.network.seen(
            request.context, "security-groups", {"id": list(others)})}
    return [{"id": each["id"], "name": each["name"], "description": each["description"],
             "tenant_id": each["project_id"],
             "rules": [rule_view(rule, names) for rule in each["security_group_rules"]
                       if rule["direction"] == "ingress"]} for each in found]


def rule_view(rule: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    low, high, remote = rule["port_range_min"], rule["port_range_max"], rule["remote_group_id"]
    if rule["protocol"] is not None and low is None:
        low, high = (1, 65535) if rule["protocol"] in ("tcp", "udp") else (-1, -1)
    anywhere = "0.0.0.0/0" if rule["ethertype"] == "IPv4" else "::/0"
    return {
        "id": rule["id"], "parent_group_id": rule["security_group_id"], "ip_protocol": rule["protocol"],
        "from_port": low, "to_port": -1 if high is None and low is not None else high,
        "group": {"name": names.get(remote, remote), "tenant_id": rule["project_id"]} if remote else {},
        "ip_range": {} if remote else {"cidr": rule["remote_ip_prefix"] or anywhere},
    }


def groups(request: Request) -> Response:
    everybody = request.context.is_admin and request.flag("all_tenants", False)
    query = {} if everybody else {"project_id": [request.context.project_id or ""]}
    found = request.cloud.network.seen(request.context, "security-groups", query)
    start = integer(request.arg("offset", "0"), "offset")
    return Response(200, {"security_groups": group_views(request, found[start:start + limit_of(request)])})


def group(request: Request) -> Response:
    found = request.cloud.network.one_seen(request.context, "security-groups", request.params["group_id"])
    return Response(200, {"security_group": group_views(request, [found])[0]})


def create_group(request: Request) -> Response:
    new = request.decode(NamedGroup).security_group
    with plainly():
        made = request.cloud.network.make_group(request.context, new.name, new.description or "")
    return Response(200, {"security_group": group_views(request, [made])[0]})


def update_group(request: Request) -> Response:
    new = request.decode(NamedGroup).security_group
    changed = request.cloud.network.change_group(request.context, request.params["group_id"], new.name,
                                                 new.description)
    return Response(200, {"security_group": group_views(request, [changed])[0]})


def delete_group(request: Request) -> Response:
    with plainly():
        request.cloud.network.delete_security_group(request.context, request.params["group_id"])
    return Response(202)


def create_rule(request: Request) -> Response:
    """The range of addresses is answered as it was written, host bits and all."""
    new = request.decode(NewRule).security_group_rule
    with plainly():
        made = request.cloud.network.make_rule(request.context, **rule_values(new))
    if remote := made["remote_group_id"]:
        group = request.cloud.network.one_seen(request.context, "security-groups", remote)
        return Response(200, {"security_group_rule": rule_view(made, {remote: group["name"]})})
    body = rule_view(made, {})
    if new.cidr:
        body["ip_range"]["cidr"] = new.cidr
    return Response(200, {"security_group_rule": body})


def rule_values(new: RuleBody) -> dict[str, Any]:
    """What the Network service calls a rule's fields. Raises BadRequest."""
    wire.check(new.parent_group_id, wire.Uuid, "parent_group_id")
    if new.group_id:
        wire.check(new.group_id, wire.Uuid, "group_id")
    protocol = (new.ip_protocol or "").lower()
    low, high = (port(getattr(new, name), name) for name in ("from_port", "to_port"))
    if protocol not in ("", "tcp", "udp", "icmp"):
        raise BadRequest(f"Invalid IP protocol {new.ip_protocol}: it is tcp, udp or icmp.")
    if not new.group_id and (not protocol or low is None or high is None):
        raise BadRequest("A rule for addresses takes an ip_protocol, a from_port and a to_port.")
    if protocol in ("tcp", "udp") and low == high == -1:
        low = high = None
    if protocol == "icmp":
        low, high = (None if each == -1 else each for each in (low, high))
    return {"security_group_id": new.parent_group_id, "protocol": protocol or None, "port_range_min": low,
            "port_range_max": high, "remote_group_id": new.group_id or None,
            "remote_ip_prefix": None if new.group_id else new.cidr or None,
            "ethertype": "IPv6" if new.cidr and ":" in new.cidr else "IPv4"}


def port(value: int | str | UnsetType | None, name: str) -> int | None:
    return None if value is None or value is UNSET else integer(str(value), name, -1, 65535)


def delete_rule(request: Request) -> Response:
    request.cloud.network.delete_security_group_rule(request.context, request.params["rule_id"])
    return Response(202)
