"""What a guest can read about itself, as a tree of names: OpenStack's shapes and EC2's."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from pilvi.node.messages import disk_name, disk_serial

OPENSTACK_VERSIONS = (
    "2012-08-10",
    "2013-04-04",
    "2013-10-17",
    "2015-10-15",
    "2016-06-30",
    "2016-10-06",
    "2017-02-22",
    "2018-08-27",
    "2020-10-14",
    "latest",
)
PASSWORD_SINCE, VENDOR_DATA_SINCE, NETWORK_DATA_SINCE, VENDOR_DATA2_SINCE = (
    "2013-04-04",
    "2013-10-17",
    "2015-10-15",
    "2016-10-06",
)
EC2_VERSIONS = (
    "1.0",
    "2007-01-19",
    "2007-03-01",
    "2007-08-29",
    "2007-10-10",
    "2007-12-15",
    "2008-02-01",
    "2008-09-01",
    "2009-04-04",
    "latest",
)

Tree = dict[str, Any]  # a name's value is a Tree, or its content in bytes


def tree_of(server: Any, ports: list[Any], network_data: dict[str, Any],
            addresses: Mapping[str, str] | None = None, local_disks: Mapping[str, str] = {}) -> Tree:
    """`server` is Compute's row, `ports` Network's, `network_data` as network_data.json has it.

    `addresses`: port or disk -> where the guest finds it, as far as it is known. `local_disks`: "ephemeral0" and the
    like -> device."""
    user_data = base64.b64decode(server.user_data) if server.user_data else None
    ec2: Tree = {"meta-data": _ec2(server, ports, local_disks)}
    if user_data is not None:
        ec2["user-data"] = user_data
    tagged = devices(server, ports, addresses or {}, local_disks)
    return {
        "openstack": {
            **{version: _openstack(server, network_data, user_data, version, tagged)
               for version in OPENSTACK_VERSIONS},
            "content": {f"{number:04}": base64.b64decode("".join(file["contents"].split()))
                        for number, file in enumerate(server.personality or ())},
        },
        **{version: ec2 for version in EC2_VERSIONS},
    }


def config_drive(server: Any, ports: list[Any], network_data: dict[str, Any],
                 addresses: Mapping[str, str] | None = None,
                 local_disks: Mapping[str, str] = {}) -> dict[str, bytes]:
    """The files of a config drive: the same tree, without the versions in between."""
    tree = tree_of(server, ports, network_data, addresses, local_disks)
    files = {}
    for version in ("2018-08-27", "latest"):
        files |= {
            f"openstack/{version}/{name}": content
            for name, content in tree["openstack"][version].items()
            if name != "password"
        }
    files |= {f"openstack/content/{name}": content for name, content in tree["openstack"]["content"].items()}
    files["ec2/latest/meta-data.json"] = json.dumps(_plain(tree["latest"]["meta-data"])).encode()
    if "user-data" in tree["latest"]:
        files["ec2/latest/user-data"] = tree["latest"]["user-data"]
    return files


def look_up(tree: Tree, path: str) -> bytes | None:
    """The content at a path, a folder's names line by line, or None."""
    found: Any = tree
    names = [name for name in path.split("/") if name]
    if names in ([], ["openstack"]):  # versions are listed without a slash
        return "\n".join(EC2_VERSIONS if not names else OPENSTACK_VERSIONS).encode()
    for name in names:
        if not isinstance(found, dict) or name not in found:
            return None
        found = found[name]
    if not isinstance(found, dict):
        return found
    if _is_keys(found):  # EC2 lists keys with their names
        return "\n".join(f"{number}={key['name'].decode()}" for number, key in found.items()).encode()
    return "\n".join(
        name + ("/" if isinstance(value, dict) else "") for name, value in found.items() if name != "name"
    ).encode()


def devices(server: Any, ports: list[Any], addresses: Mapping[str, str],
            local_disks: Mapping[str, str]) -> list[dict[str, Any]]:
    """The tagged network cards and disks, as meta_data.json describes devices."""
    return [*_cards(ports, addresses), *_own_disks(server, local_disks), *_volumes(server.volumes or (), addresses)]


def has_tags(server: Any, ports: list[Any]) -> bool:
    return any(port.tag for port in ports) or any(each.get("tag") for each in server.volumes or ())


def _own_disks(server: Any, local_disks: Mapping[str, str]) -> list[dict[str, Any]]:
    return [{"type": "disk", "bus": "none", "address": "none", "path": local_disks.get(each["name"], "/dev/vda"),
             "serial": server.id[:20] if each["name"] == "root" else each["name"], "tags": [each["tag"]]}
            for each in server.local_disks or () if each["tag"]]


def _cards(ports: list[Any], addresses: Mapping[str, str]) -> list[dict[str, Any]]:
    return [
        {
            "type": "nic",
            "bus": "pci" if port.id in addresses else "none",
            "address": addresses.get(port.id, "none"),
            "mac": port.mac,
            "tags": [port.tag],
        }
        for port in ports
        if port.tag
    ]


def _volumes(volumes: Sequence[Mapping[str, Any]], addresses: Mapping[str, str]) -> list[dict[str, Any]]:
    """By their serial numbers the guest tells them apart, wherever they are."""
    found = []
    for each in volumes:
        if each.get("tag"):
            where = addresses.get(disk_name(each["volume_id"]), "none")
            usual = "none" if where == "none" else "pci"
            bus = each.get("bus", "virtio")
            found.append({"type": "disk", "bus": usual if bus == "virtio" else bus.removesuffix("-cdrom"),
                          "address": where, "serial": disk_serial(each["volume_id"]), "path": each["device"],
                          "tags": [each["tag"]]})
    return found


def _openstack(
    server: Any,
    network_data: dict[str, Any],
    user_data: bytes | None,
    version: str,
    tagged: list[dict[str, Any]],
) -> Tree:
    facts: dict[str, Any] = {
        "uuid": server.id,
        "name": server.name,
        "hostname": server.hostname,
        "launch_index": server.launch_index,
        "availability_zone": server.availability_zone,
        "project_id": server.project_id,
        "meta": server.metadata,
        "random_seed": base64.b64encode(secrets.token_bytes(512)).decode(),
        "devices": tagged,
        "dedicated_cpus": [],
    }
    if server.key_name:
        facts["public_keys"] = {server.key_name: server.key_public}
        facts["keys"] = [{"name": server.key_name, "type": server.key_type, "data": server.key_public}]
    if server.personality:
        facts["files"] = [{"path": file["path"], "content_path": f"/content/{number:04}"}
                          for number, file in enumerate(server.personality)]
    if server.admin_password:
        facts["admin_pass"] = server.admin_password
    files: dict[str, tuple[str, bytes | None]] = {
        "meta_data.json": ("", json.dumps(facts).encode()),
        "user_data": ("", user_data),
        "password": (PASSWORD_SINCE, (server.guest_password or "").encode()),
        "vendor_data.json": (VENDOR_DATA_SINCE, b"{}"),
        "network_data.json": (NETWORK_DATA_SINCE, json.dumps(network_data).encode()),
        "vendor_data2.json": (VENDOR_DATA2_SINCE, b"{}"),
    }
    return {
        name: content for name, (since, content) in files.items() if content is not None and version >= since
    }


def _ec2(server: Any, ports: list[Any], local_disks: Mapping[str, str]) -> Tree:
    fixed = [address for port in ports for _, address, version in port.fixed_ips if version == 4]
    floating = [address for port in ports for address, _ in port.floating_ips]
    groups = sorted({name for port in ports for name in port.security_groups})
    facts = {
        "ami-id": ec2_id("ami", server.image_id or server.id),
        "ami-launch-index": str(server.launch_index),
        "block-device-mapping": _block_devices(server, local_disks),
        "hostname": server.hostname,
        "instance-action": "none",
        "instance-id": ec2_id("i", server.id),
        "instance-type": server.flavor["name"],
        "local-hostname": server.hostname,
        "local-ipv4": fixed[0] if fixed else "",
        "placement": {"availability-zone": (server.availability_zone or "").encode()},
        "public-hostname": server.hostname,
        "public-ipv4": floating[0] if floating else "",
        "reservation-id": server.reservation_id,
        "security-groups": "\n".join(groups),
    }
    if ports:
        facts["mac"] = ports[0].mac
    if server.key_name:
        facts["public-keys"] = {
            "0": {"name": server.key_name.encode(), "openssh-key": server.key_public.encode()}
        }
    return {
        name: value if isinstance(value, dict) else value.encode() for name, value in sorted(facts.items())
    }


def _block_devices(server: Any, local_disks: Mapping[str, str]) -> Tree:
    """EC2's names of the disks to the guest's; it numbers volumes by the order of the guest's names."""
    root = next((each["device"] for each in server.volumes or () if each.get("boot_index") == 0), "/dev/vda")
    volumes = sorted(each["device"] for each in server.volumes or ())
    return {
        "ami": root.removeprefix("/dev/").encode(),
        **{f"ebs{number}": device.encode() for number, device in enumerate(volumes)},
        **{name: device.encode() for name, device in local_disks.items()},
        "root": root.encode(),
    }


def ec2_id(kind: str, openstack_id: str) -> str:
    """EC2's shape of an id: eight hexadecimal digits, here the first of the UUID's."""
    return f"{kind}-{openstack_id.replace('-', '')[:8]}"


def _is_keys(found: Tree) -> bool:
    return bool(found) and all(isinstance(value, dict) and "openssh-key" in value for value in found.values())


def _plain(tree: Tree) -> dict[str, Any]:
    return {
        name: _plain(value) if isinstance(value, dict) else value.decode() for name, value in tree.items()
    }
