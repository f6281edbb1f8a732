"""What the Networking API takes about quality of service."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from pilvi.network.wire import Text

# Those that have a meaning: RFC 2474 (class selectors), 2597 (AF), 3246 (EF), 5865 (voice).
DSCP_MARKS = (0, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30, 32, 34, 36, 38, 40, 44, 46, 48, 56)
MOST = 2**31 - 1

Kbps = Annotated[int, Meta(ge=1, le=MOST)]
BurstKbits = Annotated[int, Meta(ge=0, le=MOST)]
Direction = Literal["egress", "ingress"]
Dscp = Literal[DSCP_MARKS]


class _Policy(Struct, kw_only=True):
    description: Text | UnsetType = UNSET
    shared: bool | UnsetType = UNSET
    is_default: bool | UnsetType = UNSET


class PolicyNew(_Policy, kw_only=True):
    name: Text
    project_id: Text | UnsetType = UNSET
    tenant_id: Text | UnsetType = UNSET


class PolicyChange(_Policy, kw_only=True):
    name: Text | UnsetType = UNSET


class BandwidthLimitNew(Struct, kw_only=True):
    max_kbps: Kbps
    max_burst_kbps: BurstKbits = 0
    direction: Direction = "egress"
    project_id: Text | UnsetType = UNSET
    tenant_id: Text | UnsetType = UNSET


class BandwidthLimitChange(Struct, kw_only=True):
    max_kbps: Kbps | UnsetType = UNSET
    max_burst_kbps: BurstKbits | UnsetType = UNSET
    direction: Direction | UnsetType = UNSET


class DscpMarkingNew(Struct, kw_only=True):
    dscp_mark: Dscp
    project_id: Text | UnsetType = UNSET
    tenant_id: Text | UnsetType = UNSET


class DscpMarkingChange(Struct, kw_only=True):
    dscp_mark: Dscp | UnsetType = UNSET
