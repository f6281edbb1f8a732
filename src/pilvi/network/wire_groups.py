"""What Networking API v2.0 takes of address groups, and of the rules that new security groups begin with."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType

from pilvi.http.request import Request
from pilvi.network.wire import Ip, RuleFields, Text, convert

Addresses = Annotated[list[Ip], Meta(max_length=1000)]


class AddressGroupChange(Struct, kw_only=True):
    name: Text | UnsetType = UNSET
    description: Text | UnsetType = UNSET


class AddressGroupNew(AddressGroupChange, kw_only=True):
    addresses: Addresses | UnsetType = UNSET
    project_id: Text | UnsetType = UNSET
    tenant_id: Text | UnsetType = UNSET


class AddressesRequest(Struct, forbid_unknown_fields=True):
    addresses: Addresses


def addresses(request: Request) -> list[str]:
    """Clients send them by themselves, and the API's description has them in an "address_group". Raises BadRequest."""
    body = request.decode(dict[str, Any])
    inner = body.get("address_group", body)
    return convert(inner, AddressesRequest, "PUT").addresses


class DefaultRuleNew(RuleFields, kw_only=True):
    used_in_default_sg: bool = False
    used_in_non_default_sg: bool = True
