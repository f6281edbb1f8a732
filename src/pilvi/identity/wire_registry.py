"""What goes over the wire of policies, endpoint groups, limits, configuration of domains, and federation."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from pilvi.identity.wire import AnyId, Id, Interface, Name, Text

Limit = Annotated[int, Meta(ge=-1, le=2**31 - 1)]
RemoteIds = Annotated[list[Annotated[str, Meta(min_length=1, max_length=255)]], Meta(max_length=100)]
Minutes = Annotated[int, Meta(ge=0, le=2**31 - 1)]
Plain = str | int | float | bool | list[str] | None
Config = dict[str, dict[str, Plain]]
OneOption = dict[str, Plain]
Rules = Annotated[list[dict[str, Any]], Meta(min_length=1, max_length=1000)]
Schema = Annotated[str, Meta(pattern=r"^[12]\.0$")]
ShortUrl = Annotated[str, Meta(min_length=1, max_length=256, pattern=r"^https?://\S+$")]
Prefix = Annotated[str, Meta(max_length=256)]


class PolicyNew(msgspec.Struct):
    type: Name
    blob: Text


class PolicyChange(msgspec.Struct):
    type: Name | UnsetType = UNSET
    blob: Text | UnsetType = UNSET


class EndpointFilters(msgspec.Struct, forbid_unknown_fields=True):
    service_id: Id | UnsetType = UNSET
    region_id: AnyId | UnsetType | None = UNSET
    interface: Interface | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET


class EndpointGroupNew(msgspec.Struct, forbid_unknown_fields=True):
    name: Name
    filters: EndpointFilters
    description: Text | None = None


class EndpointGroupChange(msgspec.Struct, forbid_unknown_fields=True):
    """openstackclient sends null for filters that stay as they are."""

    name: Name | UnsetType = UNSET
    filters: EndpointFilters | UnsetType | None = UNSET
    description: Text | UnsetType | None = UNSET


class RegisteredLimitNew(msgspec.Struct, forbid_unknown_fields=True):
    service_id: Id
    resource_name: Name
    default_limit: Limit
    region_id: AnyId | None = None
    description: Text | None = None


class RegisteredLimitChange(msgspec.Struct, forbid_unknown_fields=True):
    service_id: Id | UnsetType = UNSET
    resource_name: Name | UnsetType = UNSET
    default_limit: Limit | UnsetType = UNSET
    region_id: AnyId | UnsetType | None = UNSET
    description: Text | UnsetType | None = UNSET


class LimitNew(msgspec.Struct, forbid_unknown_fields=True):
    service_id: Id
    resource_name: Name
    resource_limit: Limit
    region_id: AnyId | None = None
    project_id: Id | None = None
    domain_id: Id | None = None
    description: Text | None = None


class LimitChange(msgspec.Struct, forbid_unknown_fields=True):
    resource_limit: Limit | UnsetType = UNSET
    description: Text | UnsetType | None = UNSET


class IdentityProviderNew(msgspec.Struct, forbid_unknown_fields=True):
    domain_id: Id | None = None
    enabled: bool = False
    description: Text | None = None
    remote_ids: RemoteIds | None = None
    authorization_ttl: Minutes | None = None


class IdentityProviderChange(msgspec.Struct, forbid_unknown_fields=True):
    enabled: bool | UnsetType = UNSET
    description: Text | UnsetType | None = UNSET
    remote_ids: RemoteIds | UnsetType | None = UNSET
    authorization_ttl: Minutes | UnsetType | None = UNSET


class MappingNew(msgspec.Struct, forbid_unknown_fields=True):
    rules: Rules
    id: Id | None = None  # the one in the path
    schema_version: Schema | None = None


class MappingChange(msgspec.Struct, forbid_unknown_fields=True):
    """openstackclient sends null for what stays as it is."""

    id: Id | UnsetType | None = UNSET
    rules: Rules | UnsetType | None = UNSET
    schema_version: Schema | UnsetType | None = UNSET


class ProtocolNew(msgspec.Struct, forbid_unknown_fields=True):
    mapping_id: Id
    remote_id_attribute: Annotated[str, Meta(max_length=64)] | None = None


class ProtocolChange(msgspec.Struct, forbid_unknown_fields=True):
    mapping_id: Id | UnsetType = UNSET
    remote_id_attribute: Annotated[str, Meta(max_length=64)] | UnsetType | None = UNSET


class ServiceProviderNew(msgspec.Struct, forbid_unknown_fields=True):
    auth_url: ShortUrl
    sp_url: ShortUrl
    enabled: bool = False
    description: Text | None = None
    relay_state_prefix: Prefix | None = None


class ServiceProviderChange(msgspec.Struct, forbid_unknown_fields=True):
    auth_url: ShortUrl | UnsetType = UNSET
    sp_url: ShortUrl | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET
    description: Text | UnsetType | None = UNSET
    relay_state_prefix: Prefix | UnsetType = UNSET
