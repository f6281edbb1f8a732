"""What the Networking API takes about trunks."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from pilvi.network.wire import Text, Uuid

MOST_SUBPORTS = 4094


class SubPort(Struct, forbid_unknown_fields=True):
    port_id: Uuid
    segmentation_type: Literal["vlan", "inherit"] | None = None
    segmentation_id: Annotated[int, Meta(ge=1, le=4094)] | None = None


class SubPortGone(Struct, forbid_unknown_fields=True):
    port_id: Uuid


SubPorts = Annotated[list[SubPort], Meta(max_length=MOST_SUBPORTS)]


class SubPortsRequest(Struct, forbid_unknown_fields=True):
    sub_ports: SubPorts


class SubPortsGoneRequest(Struct, forbid_unknown_fields=True):
    sub_ports: Annotated[list[SubPortGone], Meta(max_length=MOST_SUBPORTS)]


class _Trunk(Struct, kw_only=True):
    name: Text | UnsetType = UNSET
    description: Text | UnsetType = UNSET
    admin_state_up: bool | UnsetType = UNSET


class TrunkNew(_Trunk, kw_only=True):
    project_id: Text | UnsetType = UNSET
    tenant_id: Text | UnsetType = UNSET
    port_id: Uuid
    sub_ports: SubPorts = []


class TrunkChange(_Trunk, kw_only=True):
    pass
