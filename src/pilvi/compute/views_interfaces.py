"""What Compute answers about servers' network cards and security groups."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pilvi.http.request import Request


def interface(request: Request, port: Any) -> dict[str, Any]:
    body = {
        "port_id": port.id, "net_id": port.network_id, "mac_addr": port.mac, "port_state": port.status,
        "fixed_ips": [{"subnet_id": subnet, "ip_address": address} for subnet, address, _ in port.fixed_ips],
    }
    if request.at_least(2, 70):
        body["tag"] = port.tag
    return body


def virtual_interface(request: Request, port: Any) -> dict[str, Any]:
    body = {"id": port.id, "mac_address": port.mac}
    if request.at_least(2, 12):
        body["net_id"] = port.network_id
    return body


def security_group(group: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """Networking's security group in Compute's older words, which know what comes in, and no more.

    `names`: of the groups that its rules let in, by id."""
    rules = [rule for rule in group["security_group_rules"] if rule["direction"] == "ingress"]
    return {
        "id": group["id"], "name": group["name"], "description": group["description"],
        "tenant_id": group["project_id"], "rules": [security_group_rule(rule, names) for rule in rules],
    }


def security_group_rule(rule: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """Without ports a rule of TCP or UDP is for all of them, and one of no protocol for anything: (None, None)."""
    protocol, low, high = rule["protocol"], rule["port_range_min"], rule["port_range_max"]
    if protocol and low is None and high is None:
        low, high = (-1, -1) if protocol.startswith("icmp") else (1, 65535)
    remote = rule["remote_group_id"]
    return {
        "id": rule["id"], "parent_group_id": rule["security_group_id"], "ip_protocol": protocol, "from_port": low,
        "to_port": high, "group": {"name": names.get(remote, remote), "tenant_id": rule["project_id"]} if remote else {},
        "ip_range": {} if remote else {"cidr": rule["remote_ip_prefix"] or _everywhere(rule)},
    }


def _everywhere(rule: Mapping[str, Any]) -> str:
    return "::/0" if rule["ethertype"] == "IPv6" else "0.0.0.0/0"
