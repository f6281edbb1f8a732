"""Request bodies about servers' network cards."""

from __future__ import annotations

import ipaddress
from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from pilvi.compute.wire import Body, Tag, Uuid, invalid


class WantedAddress(Body):
    ip_address: str


class Attachment(Body):
    net_id: Uuid | UnsetType = UNSET
    port_id: Uuid | UnsetType = UNSET
    fixed_ips: Annotated[list[WantedAddress], Meta(min_length=1, max_length=1)] | UnsetType = UNSET
    tag: Tag | UnsetType = UNSET


class AttachInterface(Body):
    interfaceAttachment: Attachment | UnsetType = UNSET


class GroupAction(Body):
    name: Annotated[str, Meta(min_length=1, max_length=255)]


class AddFixedIp(Body):
    networkId: Annotated[str, Meta(min_length=1, max_length=255)] | int


class RemoveFixedIp(Body):
    address: str


class AddFloatingIp(Body):
    address: str
    fixed_address: str | UnsetType = UNSET


class RemoveFloatingIp(Body):
    address: str


def address(text: str, name: str) -> str:
    """An IP address of either version, written as it is kept. Raises BadRequest."""
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise invalid(name, f"Value: {text}. '{text}' is not an IP address") from None
