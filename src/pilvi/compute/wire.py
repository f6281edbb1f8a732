"""Request bodies of Compute's API, and which microversions know which of their fields."""

from __future__ import annotations

import base64
import binascii
import ipaddress
from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType, field

from pilvi.compute import requirements
from pilvi.faults import BadRequest
from pilvi.http.request import Request, Version, boolean, field_message, integer

MAX_USER_DATA = 65535  # characters of base64

# Visible characters, with no blank at either end.
Name = Annotated[str, Meta(min_length=1, max_length=255, pattern=r"^(?!\s)[^\x00-\x1f\x7f]*(?<!\s)\Z")]
Text255 = Annotated[str, Meta(max_length=255, pattern=r"^[^\x00]*\Z")]
MetadataKey = Annotated[str, Meta(min_length=1, max_length=255, pattern=r"^[a-zA-Z0-9\-_:. ]+\Z")]
Metadata = dict[MetadataKey, Text255]
Tag = Annotated[str, Meta(min_length=1, max_length=60, pattern=r"^[^,/\x00]+\Z")]
Hostname = Annotated[str, Meta(min_length=2, max_length=63,
                               pattern=r"^[a-zA-Z0-9]+[a-zA-Z0-9\-]*[a-zA-Z0-9]+\Z")]
QualifiedHostname = Annotated[str, Meta(min_length=2, max_length=255,
                                        pattern=r"^[a-zA-Z0-9]+[a-zA-Z0-9\-.]*[a-zA-Z0-9]+\Z")]  # from 2.94 on
DeviceName = Annotated[str, Meta(min_length=1, max_length=255, pattern=r"^[a-zA-Z0-9._\-/]+\Z")]
Uuid = Annotated[str, Meta(pattern=r"^[0-9a-fA-F]{8}-?([0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}\Z")]
Digits = Annotated[str, Meta(pattern=r"^-?[0-9]{1,10}\Z")]
Whole = int | Digits
Flag = bool | Annotated[str, Meta(max_length=5)]


class Body(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    pass


# -- servers


class Nic(Body):
    uuid: Uuid | UnsetType = UNSET
    port: Uuid | UnsetType | None = UNSET
    fixed_ip: str | UnsetType = UNSET
    tag: Tag | UnsetType = UNSET


class InjectedFile(Body):
    path: Annotated[str, Meta(pattern=r"^[^\x00]+\Z")]
    contents: str


class GroupName(Body):
    name: Name


class OldDevice(Body):
    """Of `block_device_mapping`."""

    device_name: DeviceName | UnsetType | None = UNSET
    volume_id: Uuid | UnsetType | None = UNSET
    snapshot_id: Uuid | UnsetType | None = UNSET
    virtual_name: Text255 | UnsetType | None = UNSET
    volume_size: Whole | UnsetType | None = UNSET
    delete_on_termination: Flag | UnsetType = UNSET
    no_device: Any = UNSET
    connection_info: Text255 | UnsetType | None = UNSET  # of no meaning: Volume says how a volume is reached


class NewDevice(OldDevice):
    """Of `block_device_mapping_v2`."""

    uuid: Text255 | UnsetType | None = UNSET
    image_id: Uuid | UnsetType | None = UNSET
    source_type: Annotated[str, Meta(pattern=r"^(volume|image|snapshot|blank)\Z")] | UnsetType = UNSET
    destination_type: Annotated[str, Meta(pattern=r"^(local|volume)\Z")] | UnsetType | None = UNSET
    boot_index: Whole | UnsetType | None = UNSET
    guest_format: Text255 | UnsetType | None = UNSET
    device_type: Text255 | UnsetType | None = UNSET
    disk_bus: Text255 | UnsetType | None = UNSET
    tag: Tag | UnsetType = UNSET  # in 2.32, and from 2.42 on
    volume_type: Text255 | UnsetType | None = UNSET  # from 2.67 on


class ServerNew(Body):
    name: Name
    flavorRef: Annotated[str, Meta(min_length=1, max_length=255)] | int
    imageRef: str | UnsetType = UNSET
    networks: list[Nic] | str | UnsetType = UNSET
    security_groups: list[GroupName] | UnsetType = UNSET
    key_name: Name | UnsetType = UNSET
    metadata: Metadata | UnsetType = UNSET
    user_data: Annotated[str, Meta(max_length=MAX_USER_DATA)] | UnsetType = UNSET
    config_drive: Flag | UnsetType = UNSET
    min_count: Whole | UnsetType = UNSET
    max_count: Whole | UnsetType = UNSET
    return_reservation_id: Flag | UnsetType = UNSET
    availability_zone: Name | UnsetType = UNSET
    adminPass: str | UnsetType = UNSET
    disk_config: str | UnsetType = field(default=UNSET, name="OS-DCF:diskConfig")
    accessIPv4: str | UnsetType = UNSET
    accessIPv6: str | UnsetType = UNSET
    description: Text255 | UnsetType | None = UNSET
    tags: list[Tag] | UnsetType = UNSET
    hostname: QualifiedHostname | UnsetType = UNSET
    host: Name | UnsetType = UNSET
    hypervisor_hostname: Name | UnsetType = UNSET
    trusted_image_certificates: list[str] | UnsetType | None = UNSET
    personality: list[InjectedFile] | UnsetType = UNSET
    block_device_mapping_v2: list[NewDevice] | UnsetType = UNSET
    block_device_mapping: list[OldDevice] | UnsetType = UNSET


class Hints(msgspec.Struct):
    """Those that Pilvi heeds. Others are for a cloud's own rules, so they are taken, and shown, but mean nothing."""

    group: Uuid | UnsetType = UNSET
    same_host: list[Uuid] | Uuid | UnsetType = UNSET
    different_host: list[Uuid] | Uuid | UnsetType = UNSET
    query: str | dict[str, Any] | UnsetType = UNSET
    build_near_host_ip: str | UnsetType = UNSET
    cidr: Annotated[str, Meta(pattern=r"^/[0-9]{1,3}\Z")] | UnsetType = UNSET
    target_cell: Name | UnsetType = UNSET
    different_cell: str | list[str] | UnsetType = UNSET


class CreateServer(Body):
    server: ServerNew
    hints: dict[str, Any] | UnsetType = field(default=UNSET, name="os:scheduler_hints")
    old_hints: dict[str, Any] | UnsetType = field(default=UNSET, name="OS-SCH-HNT:scheduler_hints")


def scheduler_hints(body: CreateServer) -> dict[str, Any]:
    """Raises BadRequest for one whose value makes no sense."""
    given = body.hints or body.old_hints or {}
    try:
        known = msgspec.convert(given, Hints)
    except msgspec.ValidationError as error:
        raise BadRequest(field_message(error).replace("attribute ", "attribute os:scheduler_hints.", 1)) from None
    if known.query is not UNSET:
        requirements.parse_query(known.query)
    if known.build_near_host_ip is not UNSET:
        near = f"{known.build_near_host_ip}{known.cidr or '/24'}"
        try:
            ipaddress.ip_network(near, strict=False)
        except ValueError:
            raise invalid("os:scheduler_hints.build_near_host_ip", f"Value: {near}. It is no network.") from None
    return given


class ServerChanges(Body):
    name: Name | UnsetType = UNSET
    pinned_availability_zone: Name | UnsetType | None = UNSET
    disk_config: str | UnsetType = field(default=UNSET, name="OS-DCF:diskConfig")
    accessIPv4: str | UnsetType = UNSET
    accessIPv6: str | UnsetType = UNSET
    description: Text255 | UnsetType | None = UNSET
    hostname: QualifiedHostname | UnsetType = UNSET


class UpdateServer(Body):
    server: ServerChanges


class MetadataBody(Body):
    metadata: Metadata


class MetadataItem(Body):
    meta: Annotated[Metadata, Meta(min_length=1, max_length=1)]


class TagsBody(Body):
    tags: Annotated[list[Tag], Meta(max_length=50)]


# First and last microversion that knows a field; a field that is not here is known to all.
SERVER_FIELDS: Mapping[str, tuple[Version, Version]] = {
    "description": ((2, 19), (9, 0)),
    "tags": ((2, 52), (9, 0)),
    "trusted_image_certificates": ((2, 63), (9, 0)),
    "host": ((2, 74), (9, 0)),
    "hypervisor_hostname": ((2, 74), (9, 0)),
    "hostname": ((2, 90), (9, 0)),
    "pinned_availability_zone": ((2, 104), (9, 0)),
    "personality": ((2, 1), (2, 56)),
}


def known(request: Request, body: Body, fields: Mapping[str, tuple[Version, Version]]) -> None:
    """Raises BadRequest for a field that the request's microversion does not know."""
    for name, (since, until) in fields.items():
        if getattr(body, name, UNSET) is not UNSET and not since <= request.version <= until:
            raise unexpected("server", name)
    if getattr(body, "hostname", UNSET) is not UNSET and not request.at_least(2, 94):
        check(body.hostname, Hostname, "hostname")


# -- actions on servers


class Reboot(Body):
    type: Annotated[str, Meta(pattern=r"^(?i:hard|soft)\Z")]


class ConsoleOutput(Body):
    length: Whole | None = None


class Lock(Body):
    locked_reason: Annotated[str, Meta(min_length=1, max_length=255)] | UnsetType = UNSET


class ResetState(Body):
    state: Annotated[str, Meta(pattern=r"^(active|error)\Z")]


# -- consoles


class ConsoleWanted(Body):
    protocol: str
    type: str


class RemoteConsole(Body):
    remote_console: ConsoleWanted


class LegacyConsole(Body):
    type: str


CONSOLE_PROTOCOLS: Mapping[str, Version] = {
    "vnc": (2, 6), "spice": (2, 6), "rdp": (2, 6), "serial": (2, 6), "mks": (2, 8)}
CONSOLE_TYPES: Mapping[str, Version] = {
    "novnc": (2, 6), "xvpvnc": (2, 6), "rdp-html5": (2, 6), "spice-html5": (2, 6), "serial": (2, 6),
    "webmks": (2, 8), "spice-direct": (2, 99)}


def check_console(request: Request, wanted: ConsoleWanted) -> None:
    """Raises BadRequest for a protocol or type that this microversion does not know."""
    for name, value, known_ones in (("protocol", wanted.protocol, CONSOLE_PROTOCOLS),
                                    ("type", wanted.type, CONSOLE_TYPES)):
        names = [each for each, since in known_ones.items() if request.version >= since]
        if value not in names:
            raise invalid(name, f"Value: {value}. '{value}' is not one of {names}")


# -- flavors


FlavorId = Annotated[str, Meta(min_length=1, max_length=255, pattern=r"^(?! )[a-zA-Z0-9. _-]+(?<! )\Z")]


class FlavorNew(Body):
    name: Name
    ram: Whole
    vcpus: Whole
    disk: Whole
    id: FlavorId | int | None = None
    swap: Whole = 0
    rxtx_factor: float | str | UnsetType = UNSET
    ephemeral: Whole = field(default=0, name="OS-FLV-EXT-DATA:ephemeral")
    is_public: Flag = field(default=True, name="os-flavor-access:is_public")
    description: Annotated[str, Meta(max_length=65535)] | UnsetType | None = UNSET


class CreateFlavor(Body):
    flavor: FlavorNew


class FlavorChanges(Body):
    description: Annotated[str, Meta(max_length=65535)] | None


class UpdateFlavor(Body):
    flavor: FlavorChanges


class ExtraSpecs(Body):
    extra_specs: dict[MetadataKey, Text255 | int | float]


class Access(Body):
    tenant: Annotated[str, Meta(min_length=1, max_length=255)]


# -- key pairs

KeyName = Annotated[str, Meta(min_length=1, max_length=255, pattern=r"^(?! )[a-zA-Z0-9 _-]+(?<! )\Z")]
KeyNameNew = Annotated[str, Meta(min_length=1, max_length=255, pattern=r"^(?! )[a-zA-Z0-9 _.@-]+(?<! )\Z")]


class KeypairNew(Body):
    name: KeyNameNew
    public_key: str | UnsetType = UNSET
    type: Annotated[str, Meta(pattern=r"^(ssh|x509)\Z")] | UnsetType = UNSET
    user_id: Annotated[str, Meta(min_length=1, max_length=255)] | UnsetType = UNSET


class CreateKeypair(Body):
    keypair: KeypairNew


# -- quotas, services


QuotaClass = Annotated[str, Meta(min_length=1, max_length=50)]


class QuotaChanges(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    instances: Whole | UnsetType = UNSET
    cores: Whole | UnsetType = UNSET
    ram: Whole | UnsetType = UNSET
    metadata_items: Whole | UnsetType = UNSET
    key_pairs: Whole | UnsetType = UNSET
    server_groups: Whole | UnsetType = UNSET
    server_group_members: Whole | UnsetType = UNSET
    injected_files: Whole | UnsetType = UNSET
    injected_file_content_bytes: Whole | UnsetType = UNSET
    injected_file_path_bytes: Whole | UnsetType = UNSET
    fixed_ips: Whole | UnsetType = UNSET
    floating_ips: Whole | UnsetType = UNSET
    security_groups: Whole | UnsetType = UNSET
    security_group_rules: Whole | UnsetType = UNSET
    force: Flag | UnsetType = UNSET
    tenant_id: str | UnsetType = UNSET


class UpdateQuota(Body):
    quota_set: QuotaChanges


class ServiceChanges(Body):
    status: Annotated[str, Meta(pattern=r"^(enabled|disabled)\Z")] | UnsetType = UNSET
    disabled_reason: Name | UnsetType = UNSET
    forced_down: Flag | UnsetType = UNSET


class ServiceNamed(Body):
    host: Name
    binary: Name
    disabled_reason: Name | UnsetType = UNSET
    forced_down: Flag | UnsetType = UNSET


# -- values


def invalid(name: str, why: str) -> BadRequest:
    return BadRequest(f"Invalid input for field/attribute {name}. {why}")


def unexpected(where: str, name: str) -> BadRequest:
    """For a field that there is not, or not in this microversion."""
    return invalid(where, f"Additional properties are not allowed ('{name}' was unexpected)")


def check(value: Any, shape: Any, name: str) -> None:
    """Raises BadRequest where a value that came in a path is not of this shape."""
    try:
        msgspec.convert(value, shape)
    except msgspec.ValidationError as error:
        raise invalid(name, f"Value: {value}. {error}") from None


def truth(value: bool | str | UnsetType, name: str, default: bool = False) -> bool:
    if isinstance(value, str):
        return boolean(value, name)
    return default if value is UNSET else bool(value)


def whole(value: int | str | UnsetType, name: str, minimum: int = 0, maximum: int = 2**31 - 1,
          default: int = 0) -> int:
    """A whole number within bounds, also one that was sent as a string. Raises BadRequest."""
    return default if value is UNSET else integer(str(value), name, minimum, maximum)


def address(value: str | UnsetType, name: str, version: int) -> str | None:
    """An IP address; None for an empty one. Raises BadRequest."""
    if value is UNSET or value == "":
        return None
    try:
        parsed = ipaddress.ip_address(value)
    except ValueError:
        parsed = None
    if parsed is None or parsed.version != version:
        raise invalid(name, f"Value: {value}. '{value}' is not a 'ipv{version}'")
    return str(parsed)


def user_data(value: str | UnsetType) -> str | None:
    if value is UNSET:
        return None
    try:
        base64.b64decode("".join(value.split()), validate=True)
    except (binascii.Error, ValueError):
        raise invalid("user_data", "It is not a 'base64'") from None
    return value


def personality(files: list[InjectedFile] | UnsetType) -> list[dict[str, str]]:
    """Files to put into a guest. Raises BadRequest where one's contents are not base64."""
    for file in files or ():
        try:
            base64.b64decode("".join(file.contents.split()), validate=True)
        except (binascii.Error, ValueError):
            raise invalid("personality", f"The contents of {file.path} are not a 'base64'") from None
    return [{"path": file.path, "contents": file.contents} for file in files or ()]


def disk_config(value: str | UnsetType) -> str:
    if value is UNSET:
        return "MANUAL"
    if value not in ("AUTO", "MANUAL"):
        raise invalid("OS-DCF:diskConfig", "It must be AUTO or MANUAL.")
    return value
