"""What Networking API v2.0 takes of floating IPs' port forwardings."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from pilvi.network.wire import Ip, Text, Uuid

PortNumber = Annotated[int, Meta(ge=1, le=65535)]
PortRange = Annotated[str, Meta(pattern=r"^[0-9]{1,5}(:[0-9]{1,5})?\Z")]


class PortForwardingChange(Struct, kw_only=True):
    description: Text | UnsetType = UNSET
    protocol: Literal["tcp", "udp"] | UnsetType = UNSET
    internal_port_id: Uuid | UnsetType = UNSET
    internal_ip_address: Ip | UnsetType | None = UNSET
    internal_port: PortNumber | UnsetType | None = UNSET
    internal_port_range: PortRange | int | UnsetType | None = UNSET
    external_port: PortNumber | UnsetType | None = UNSET
    external_port_range: PortRange | int | UnsetType | None = UNSET


class PortForwardingNew(PortForwardingChange, kw_only=True):
    protocol: Literal["tcp", "udp"]
    internal_port_id: Uuid
    project_id: Text | UnsetType = UNSET
    tenant_id: Text | UnsetType = UNSET
