"""What Compute answers about servers' network cards."""

from __future__ import annotations

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
