"""What Networking API v2.0 takes of address scopes, and of what changes subnet pools bit by bit."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from pilvi.network.wire import Ip, Text, Uuid


class AddressScopeChange(Struct, kw_only=True):
    name: Text | UnsetType = UNSET
    shared: bool | UnsetType = UNSET


class AddressScopeNew(AddressScopeChange, kw_only=True):
    ip_version: Literal[4, 6]
    project_id: Text | UnsetType = UNSET
    tenant_id: Text | UnsetType = UNSET


class PrefixesRequest(Struct, forbid_unknown_fields=True):
    prefixes: Annotated[list[Ip], Meta(min_length=1, max_length=200)]


class OnboardRequest(Struct, forbid_unknown_fields=True):
    network_id: Uuid
