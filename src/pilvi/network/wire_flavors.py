"""What the Networking API takes about routers' flavors and service profiles."""

from __future__ import annotations

from msgspec import UNSET, Struct, UnsetType

from pilvi.network.wire import Text, Uuid


class _Flavor(Struct, kw_only=True):
    name: Text | UnsetType = UNSET
    description: Text | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET


class FlavorNew(_Flavor, kw_only=True):
    service_type: Text


class FlavorChange(_Flavor, kw_only=True):
    pass


class _Profile(Struct, kw_only=True):
    description: Text | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET
    metainfo: Text | UnsetType = UNSET


class ProfileNew(_Profile, kw_only=True):
    driver: Text


class ProfileChange(_Profile, kw_only=True):
    driver: Text | UnsetType = UNSET


class ProfileNamed(Struct, forbid_unknown_fields=True):
    id: Uuid


class ProfileRequest(Struct, forbid_unknown_fields=True):
    service_profile: ProfileNamed
