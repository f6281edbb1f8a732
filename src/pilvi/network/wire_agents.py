"""What the Networking API takes about agents."""

from __future__ import annotations

from msgspec import UNSET, Struct, UnsetType

from pilvi.network.wire import Text


class AgentChange(Struct, kw_only=True):
    admin_state_up: bool | UnsetType = UNSET
    description: Text | UnsetType = UNSET
