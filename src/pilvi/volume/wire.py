"""Request bodies of the Block Storage API."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType, field

from pilvi.faults import BadRequest
from pilvi.http.request import Request, boolean, field_message

Name = Annotated[str, Meta(max_length=255)]
Required = Annotated[str, Meta(min_length=1, max_length=255, pattern=r"\S")]
Text = Annotated[str, Meta(max_length=65535)]
Key = Annotated[str, Meta(min_length=1, max_length=255)]
Value = Annotated[str, Meta(max_length=255)]
Metadata = dict[Key, Value]
Specs = dict[Annotated[str, Meta(min_length=1, max_length=255, pattern=r"^[a-zA-Z0-9\-_:. ]+\Z")], Value]
Flag = bool | Annotated[str, Meta(max_length=5)]
Size = int | Annotated[str, Meta(pattern=r"^[0-9]{1,9}\Z")]
Maximum = 1 << 20  # GiB of a volume


class Body(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    pass


class NewVolume(Body):
    size: Size | None = None
    name: Name | None = None
    description: Text | None = None
    display_name: Name | None = None
    display_description: Text | None = None
    volume_type: Name | None = None
    availability_zone: Name | None = None
    metadata: Metadata | None = None
    multiattach: Flag | None = None
    imageRef: Name | None = None
    image_id: Name | None = None
    snapshot_id: Name | None = None
    source_volid: Name | None = None
    consistencygroup_id: Name | None = None
    group_id: Name | UnsetType | None = UNSET  # from 3.13 on
    backup_id: Name | UnsetType | None = UNSET  # from 3.47 on


class NewVolumeRequest(Body):
    volume: NewVolume
    hints: dict[str, Any] = field(name="OS-SCH-HNT:scheduler_hints", default_factory=dict)


class ChangedVolume(Body):
    name: Name | UnsetType | None = UNSET
    description: Text | UnsetType | None = UNSET
    display_name: Name | UnsetType | None = UNSET
    display_description: Text | UnsetType | None = UNSET
    metadata: Metadata | UnsetType = UNSET


class ChangedVolumeRequest(Body):
    volume: ChangedVolume


class NewSnapshot(Body):
    volume_id: Name | None = None
    name: Name | None = None
    display_name: Name | None = None
    description: Text | None = None
    display_description: Text | None = None
    metadata: Metadata | None = None
    force: Flag | None = None


class NewSnapshotRequest(Body):
    snapshot: NewSnapshot


class ChangedSnapshotRequest(Body):
    snapshot: ChangedVolume


class MetadataRequest(Body):
    metadata: Metadata


class MetaRequest(Body):
    meta: Metadata


class NewType(Body):
    name: Required
    description: Text | None = None
    extra_specs: Specs | None = None
    is_public: Flag = field(name="os-volume-type-access:is_public", default=True)


class NewTypeRequest(Body):
    volume_type: NewType


class ChangedType(Body):
    name: Required | UnsetType | None = UNSET
    description: Text | UnsetType | None = UNSET
    is_public: Flag | UnsetType = UNSET


class ChangedTypeRequest(Body):
    volume_type: ChangedType


class SpecsRequest(Body):
    extra_specs: Specs


class Encryption(Body):
    provider: Required | UnsetType = UNSET
    cipher: Name | UnsetType | None = UNSET
    key_size: Annotated[int, Meta(ge=0, le=1 << 16)] | UnsetType | None = UNSET
    control_location: Annotated[str, Meta(pattern=r"^(front-end|back-end)\Z")] | UnsetType = UNSET


class EncryptionRequest(Body):
    encryption: Encryption


class QuotaRequest(msgspec.Struct):
    quota_set: dict[str, Any]


class QuotaClassRequest(msgspec.Struct):
    quota_class_set: dict[str, Any]


class Service(Body):
    host: Required
    binary: Name | None = None
    service: Name | None = None
    disabled_reason: Required | UnsetType | None = UNSET


class HostOnly(Body):
    host: Required


class Failover(Body):
    host: Required | None = None
    cluster: Required | None = None
    backend_id: Name | None = None


class Cluster(Body):
    name: Required
    binary: Name | None = None
    disabled_reason: Name | None = None


class DefaultType(Body):
    volume_type: Required


class DefaultTypeRequest(Body):
    default_type: DefaultType


# -- arguments of actions


class Extend(Body):
    new_size: Size


class Reimage(Body):
    image_id: Annotated[str, Meta(pattern=r"^[0-9a-fA-F]{8}-?([0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}\Z")]
    reimage_reserved: Flag = False


class Bootable(Body):
    bootable: Flag


class Readonly(Body):
    readonly: Flag


class Status(Body):
    status: Required | None = None
    attach_status: Annotated[str, Meta(pattern=r"^(attached|detached)\Z")] | None = None
    migration_status: Name | None = None


class Migrate(Body):
    host: Required
    force_host_copy: Flag = False
    lock_volume: Flag = False


class Retype(Body):
    new_type: Required
    migration_policy: Annotated[str, Meta(pattern=r"^(never|on-demand)\Z")] | None = None


class Upload(Body):
    image_name: Required
    force: Flag = False
    disk_format: Annotated[str, Meta(pattern=r"^(raw|vmdk|vdi|qcow2|vhd|vhdx|ploop)\Z")] = "raw"
    container_format: Name = "bare"
    visibility: Annotated[str, Meta(pattern=r"^(community|public|private|shared)\Z")] | UnsetType = UNSET  # from 3.1 on
    protected: Flag | UnsetType = UNSET


class Revert(Body):
    snapshot_id: Required


class ImageMetadata(Body):
    metadata: Metadata


class OneKey(Body):
    key: Key


class Attach(Body):
    mountpoint: Required
    instance_uuid: Name | None = None
    host_name: Name | None = None
    mode: Annotated[str, Meta(pattern=r"^(rw|ro)\Z")] | None = None


class Detach(Body):
    attachment_id: Name | None = None
    connector: dict[str, Any] | None = None


class Connector(Body):
    connector: dict[str, Any]


class SnapshotStatus(Body):
    status: Required
    progress: Annotated[str, Meta(pattern=r"^(100|[0-9]{1,2})%\Z")] | None = None


class Access(Body):
    project: Required


class NewAttachment(Body):
    volume_uuid: Required
    instance_uuid: Name | None = None
    connector: dict[str, Any] | None = None
    mode: Annotated[str, Meta(pattern=r"^(rw|ro)\Z")] | UnsetType | None = UNSET  # from 3.54 on


class NewAttachmentRequest(Body):
    attachment: NewAttachment


class ChangedAttachmentRequest(Body):
    attachment: Connector


# -- backups, transfers, groups


class NewBackup(Body):
    volume_id: Required
    name: Name | None = None
    description: Text | None = None
    container: Annotated[str, Meta(max_length=255, pattern=r"^[^/]*\Z")] | None = None
    incremental: Flag | None = None
    force: Flag | None = None
    snapshot_id: Name | None = None
    metadata: Metadata | UnsetType | None = UNSET  # from 3.43 on
    availability_zone: Name | UnsetType | None = UNSET  # from 3.51 on


class NewBackupRequest(Body):
    backup: NewBackup


class ChangedBackup(Body):
    name: Name | UnsetType | None = UNSET
    description: Text | UnsetType | None = UNSET
    metadata: Metadata | UnsetType = UNSET


class ChangedBackupRequest(Body):
    backup: ChangedBackup


class Restore(Body):
    volume_id: Name | None = None
    name: Name | None = None


class RestoreRequest(Body):
    restore: Restore


class Record(Body):
    backup_service: Required
    backup_url: Annotated[str, Meta(min_length=1)]


class RecordRequest(Body):
    record: Record = field(name="backup-record")


class NewTransfer(Body):
    volume_id: Required
    name: Name | None = None
    no_snapshots: Flag | UnsetType = UNSET  # from 3.55 on


class NewTransferRequest(Body):
    transfer: NewTransfer


class Accept(Body):
    auth_key: Required


class AcceptRequest(Body):
    accept: Accept


class ManageVolume(Body):
    ref: dict[str, str]
    host: Required | UnsetType = UNSET
    cluster: Required | UnsetType | None = UNSET
    name: Name | None = None
    description: Text | None = None
    volume_type: Name | None = None
    availability_zone: Name | None = None
    metadata: Metadata | None = None
    bootable: Flag = False


class ManageVolumeRequest(Body):
    volume: ManageVolume


class ManageSnapshot(Body):
    volume_id: Required
    ref: dict[str, str] | str
    name: Name | None = None
    description: Text | None = None
    metadata: Metadata | None = None


class ManageSnapshotRequest(Body):
    snapshot: ManageSnapshot


class NewGroupType(Body):
    name: Required
    description: Text | None = None
    is_public: Flag = True
    group_specs: Specs | None = None


class NewGroupTypeRequest(Body):
    group_type: NewGroupType


class ChangedGroupTypeRequest(Body):
    group_type: ChangedType


class GroupSpecsRequest(Body):
    group_specs: Specs


class NewGroup(Body):
    group_type: Required
    volume_types: Annotated[list[Required], Meta(min_length=1)]
    name: Name | None = None
    description: Text | None = None
    availability_zone: Name | None = None


class NewGroupRequest(Body):
    group: NewGroup


class ChangedGroup(Body):
    name: Name | UnsetType | None = UNSET
    description: Text | UnsetType | None = UNSET
    add_volumes: str | None = None
    remove_volumes: str | None = None


class ChangedGroupRequest(Body):
    group: ChangedGroup


class GroupFrom(Body):
    name: Name | None = None
    description: Text | None = None
    group_snapshot_id: Name | None = None
    source_group_id: Name | None = None


class GroupFromRequest(Body):
    source: GroupFrom = field(name="create-from-src")


class DeleteGroup(Body):
    delete_volumes: Flag = field(name="delete-volumes", default=False)


class NewGroupSnapshot(Body):
    group_id: Required
    name: Name | None = None
    description: Text | None = None


class NewGroupSnapshotRequest(Body):
    group_snapshot: NewGroupSnapshot


class KeysRequest(Body):
    keys: list[Key]


def spec_of_address(request: Request) -> Any:
    """The body's one spec. Raises BadRequest where it is not the one that the address names."""
    specs = request.decode(Specs)
    if list(specs) != [request.params["key"]]:
        raise BadRequest("Request body and URI mismatch: the body names one key, that of the address.")
    return specs


def flag(value: Any, name: str, default: bool = False) -> bool:
    """A boolean as OpenStack's clients write it. Raises BadRequest."""
    if value is None or value is UNSET:
        return default
    return value if isinstance(value, bool) else boolean(value, name)


def size(value: int | str | None) -> int | None:
    """GiB. Raises BadRequest."""
    if value is None:
        return None
    if not 0 < int(value) <= Maximum:
        raise BadRequest(f"Invalid input for field/attribute size. Value: {value}. It must be a whole number from 1 to "
                         f"{Maximum}.")
    return int(value)


def limits(values: dict[str, Any]) -> dict[str, int]:
    """Of a quota set. Raises BadRequest."""
    found = {}
    for name, value in values.items():
        if name in ("tenant_id", "skip_validation", "class_name", "id"):
            continue
        text = str(value)
        if isinstance(value, bool | float) or not text.lstrip("-").isdecimal() or not -1 <= int(text[:20]) < 1 << 31:
            raise BadRequest(f"Invalid input for field/attribute {name}. Value: {text[:80]}. It must be a whole number from "
                             "-1 to 2147483647.")
        found[name] = int(text)
    return found


def set_fields(body: msgspec.Struct, *names: str) -> dict[str, Any]:
    """Those that were sent."""
    return {name: value for name in names if (value := getattr(body, name)) is not UNSET}


def renamed(body: Any) -> dict[str, Any]:
    """Name and description that were sent, also by their older names."""
    found = {}
    for name in ("name", "description"):
        for sent in (f"display_{name}", name):
            if (value := getattr(body, sent)) is not UNSET:
                found[name] = value
    return found


def argument(name: str, value: Any, shape: Any) -> Any:
    """What comes with an action. Raises BadRequest."""
    try:
        return msgspec.convert(value if value is not None else {}, shape)
    except msgspec.ValidationError as error:
        raise BadRequest(field_message(error).replace("attribute ", f"attribute {name}.", 1)) from None


def unexpected(name: str) -> BadRequest:
    return BadRequest(f"Additional properties are not allowed ('{name}' was unexpected) in this microversion.")
