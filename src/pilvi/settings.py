"""What can be configured, read from `pilvi.toml` in the state folder; `pilvi up` writes it at the first start."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated

import msgspec

from pilvi.faults import ConfigurationError


class NetworkSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    external_cidr: str = "172.24.4.0/24"
    mtu: int = 1442  # of tenant networks, bytes: 1500 less Geneve's overhead
    geneve_ids: tuple[int, int] = (100_000, 999_999)  # first and last of those that networks' tunnels are given
    dns_nameservers: tuple[str, ...] = ()
    default_pool: str = "10.128.0.0/9"  # that subnets are taken from by default; made at the first start; "": none
    uplink: str = ""  # interface that joins the external network to the world

    def __post_init__(self) -> None:
        first, last = self.geneve_ids
        if not 1 <= first <= last < 2**24:
            raise ValueError(f"network.geneve_ids: {first} to {last} is no range within 1 to {2**24 - 1}")


class IdentitySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Rules on passwords, all off as in OpenStack; a user's options exempt from them one by one."""

    lockout_attempts: int = 0  # wrong passwords in a row that lock a user out; 0: none do
    lockout_seconds: int = 1800  # for how long; 0: until an administrator enables the user
    unique_passwords: int = 0  # the last so many passwords, the present one among them, are not taken again
    minimum_password_days: int = 0  # a user's own change has to wait so long after the one before
    password_expires_days: int = 0  # 0: never
    password_regex: str = ""  # what a password has to match from its beginning
    password_regex_description: str = ""  # told to who chose one that does not
    change_password_upon_first_use: bool = False  # after an administrator has set it
    inactive_days: int = 0  # a user who has not logged in for longer cannot any more; 0: no limit

    def __post_init__(self) -> None:
        try:
            re.compile(self.password_regex)
        except re.error as error:
            raise ValueError(f"password_regex is no regular expression: {error}") from None


class HostSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Over-commitment and reserves of one host; capacity = (total - reserved) * ratio."""

    name: str = ""
    vcpus: int = 0  # 0: what the host has
    memory_mib: int = 0
    disk_gib: int = 0
    cpu_ratio: float = 16.0
    memory_ratio: float = 1.0
    disk_ratio: float = 1.0
    reserved_memory_mib: int = 512
    guest_uid: int = 64535  # the unprivileged user and group that guests' processes run as


class StoreSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A folder that keeps images' data, beside the one in the state folder."""

    name: str
    path: str
    description: str = ""
    weight: int = 0  # of an image in several stores, the copy in the heaviest is read


class ImageSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    format_enforcement: bool = True  # an upload whose content is not of its disk format is refused
    import_allow: tuple[str, ...] = ()  # hosts and networks that images may come from though they are not public
    http_store: bool = False  # images may stay on the web server they are on
    show_multiple_locations: bool = False  # the API shows where data lies, and changes it by PATCH
    cache_gib: int = 100  # the least recently read copies are given up beyond this
    stores: tuple[StoreSettings, ...] = ()


class S3Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A bucket of an S3 server; it must be there."""

    endpoint: str = ""  # http://host:port; "": none
    bucket: str = ""
    access_key: str = ""
    secret_key: str = ""
    region: str = "us-east-1"


class BackendSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A further place where volumes are kept."""

    name: Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
    path: str  # a folder


class VolumeSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    backends: tuple[BackendSettings, ...] = ()  # beside "file", in the state folder
    backup_s3: S3Settings = S3Settings()  # where backups are kept, if not in the state folder

    def __post_init__(self) -> None:
        names = ["file", *(each.name for each in self.backends)]
        if len(set(names)) < len(names):
            raise ValueError("two backends have one name; \"file\" is the one in the state folder")

    @property
    def names(self) -> list[str]:
        return ["file", *(each.name for each in self.backends)]


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    listen: str = "127.0.0.1:8774"
    database: str = ""  # SQLAlchemy URL; empty: SQLite in the state folder
    simulated: bool = False
    simulated_hosts: int = 1
    region: str = "RegionOne"
    token_hours: float = 12
    shutdown_seconds: float = 60  # how long a guest may take to switch itself off before it is forced
    allow_resize_to_same_host: bool = True
    shelved_offload_seconds: int = 0  # after which a shelved server leaves its host; negative: never
    reclaim_instance_interval: int = 0  # seconds for which a deleted server can be restored; 0: it is gone at once
    resize_confirm_seconds: int = 0  # after which a resize counts as confirmed; 0: never
    workers: int = 8  # operations that may be at work at once; those that wait for something do not count
    oscloud_networks: tuple[str, ...] = ("127.0.0.0/8", "::1/128")  # who may use the unauthenticated OS Cloud face
    network: NetworkSettings = NetworkSettings()
    identity: IdentitySettings = IdentitySettings()
    image: ImageSettings = ImageSettings()
    volume: VolumeSettings = VolumeSettings()
    host: HostSettings = HostSettings()


class Place:
    """The state folder: where everything that Pilvi keeps lies."""

    def __init__(self, root: Path):
        self.root = root.absolute()

    def __truediv__(self, name: str) -> Path:
        return self.root / name

    @property
    def settings(self) -> Path:
        return self.root / "pilvi.toml"

    @property
    def pid_file(self) -> Path:
        return self.root / "pilvi.pid"

    @property
    def log(self) -> Path:
        return self.root / "pilvi.log"

    @property
    def images(self) -> Path:
        return self.root / "images"

    @property
    def node(self) -> Path:
        return self.root / "node"

    def load(self) -> Settings:
        """Raises ConfigurationError, naming the file and the key."""
        try:
            text = self.settings.read_bytes()
        except FileNotFoundError:
            return Settings()
        try:
            return msgspec.toml.decode(text, type=Settings)
        except msgspec.DecodeError as error:
            raise ConfigurationError(f"{self.settings}: {error}. Mend the file, or delete it for the defaults.") from None

    def save(self, settings: Settings) -> None:
        self.root.mkdir(parents=True, exist_ok=True, mode=0o711)
        partial = self.settings.with_suffix(".part")
        partial.write_bytes(msgspec.toml.encode(settings))
        partial.replace(self.settings)


def default_place() -> Path:
    if state := os.environ.get("PILVI_STATE"):
        return Path(state)
    if os.geteuid() == 0:
        return Path("/var/lib/pilvi")
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state") / "pilvi"
