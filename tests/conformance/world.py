"""Things of every kind in a throw-away cloud, made when they are asked for, and anew when they may be spoiled."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

from pilvi.cli.client import ApiFault
from tests.support.wait import eventually

Make = Callable[["World"], str]


class World:
    def __init__(self, client: Any):
        self.client = client
        client.versions = "compute 2.96, volume 3.71"
        client.put(f"/volume/v3/os-quota-sets/{client.project_id}", {"quota_set": dict.fromkeys(
            ("volumes", "gigabytes", "snapshots", "backups", "backup_gigabytes", "groups"), -1)})
        self._made: dict[str, str] = {}
        self._numbers = itertools.count(1)

    def __contains__(self, kind: str) -> bool:
        return kind in KINDS

    def __getitem__(self, kind: str) -> str:
        """The id of a thing of this kind."""
        if kind not in self._made:
            try:
                self._made[kind] = KINDS[kind](self)
            except ApiFault:  # this cloud does not have such things: then there is none
                self._made[kind] = "none"
        return self._made[kind]

    def forget(self, kind: str) -> None:
        self._made.pop(kind, None)

    def name(self) -> str:
        return f"thing-{next(self._numbers)}"

    def post(self, path: str, key: str, **body: Any) -> str:
        made = self.client.post(path, {key: body})[key]
        return made.get("id") or made["name"]


def _network(kind: str, **body: Callable[[World], Any]) -> Make:
    key = {"policies": "policy"}.get(kind) or kind.rstrip("s").replace("-", "_")
    return lambda world: world.post(f"/network/v2.0/{kind}", key, **{name: make(world) for name, make in body.items()})


def _identity(kind: str, **body: Callable[[World], Any]) -> Make:
    return lambda world: world.post(f"/identity/v3/{kind}", kind.removesuffix("s").replace("policie", "policy"),
                                    **{name: make(world) for name, make in body.items()})


def _volume(path: str, key: str = "", **body: Callable[[World], Any]) -> Make:
    """Made, and settled; of a volume of its own, which it may spoil."""

    def make(world: World) -> str:
        name = key or path.removesuffix("s")
        made = world.post(f"/volume/v3/{path}", name, **{field: value(world) for field, value in body.items()})
        if path in ("volumes", "snapshots", "backups", "groups", "group_snapshots"):
            there = f"/volume/v3/{path}/{made}"
            eventually(lambda: world.client.get(there)[name]["status"] == "available", 20, f"{there} being available")
        return made

    return make


def _group(world: World) -> str:
    kind = VOLUME_TYPE(world)
    made = _volume("groups", group_type=lambda w: w["group_types"], volume_types=lambda _: [kind])(world)
    _volume("volumes", size=lambda _: 1, volume_type=lambda _: kind, group_id=lambda _: made)(world)
    return made


def _message(world: World) -> str:
    """What no backend can keep is an error, and leaves a message."""
    nowhere = world.post("/volume/v3/types", "volume_type", name=world.name(), extra_specs={"volume_backend_name": "none"})
    lost = world.post("/volume/v3/volumes", "volume", size=1, volume_type=nowhere)
    listing = f"/volume/v3/messages?resource_uuid={lost}"
    eventually(lambda: world.client.get(listing)["messages"], 20, "the message of a volume that no backend keeps")
    return world.client.get(listing)["messages"][0]["id"]


def _server(world: World) -> str:
    return world.post("/compute/v2.1/servers", "server", name=world.name(), imageRef=world["images"],
                      flavorRef=world["flavors"], networks=[{"port": world["ports"]}])


def _image(world: World) -> str:
    made = world.client.post("/image/v2/images", {"name": world.name(), "disk_format": "raw", "container_format": "bare"})
    world.client.upload(f"/image/v2/images/{made['id']}/file", b"\0" * 4096, 4096)
    return made["id"]


def _port(world: World) -> str:
    subnet = world["subnets"]
    return world.post("/network/v2.0/ports", "port", network_id=world["networks"], fixed_ips=[{"subnet_id": subnet}])


def _subnet(world: World) -> str:
    number = next(world._numbers)
    return world.post("/network/v2.0/subnets", "subnet", network_id=world["networks"], ip_version=4,
                      cidr=f"10.{200 + number % 50}.{number % 250}.0/24")


def _first(path: str, key: str) -> Make:
    return lambda world: str(world.client.get(path)[key][0]["id"])


PUBLIC_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAizjzF/pXgcBuYzm/qhCT6H7m9/pKiGTDMiCDyKV6u1 pilvi"
NAME: Callable[[World], str] = World.name
VOLUME = _volume("volumes", size=lambda _: 1)
VOLUME_TYPE = _volume("types", "volume_type", name=NAME)
TRANSFER = _volume("volume-transfers", "transfer", volume_id=VOLUME)
KINDS: dict[str, Make] = {
    "servers": _server,
    "flavors": lambda w: w.post("/compute/v2.1/flavors", "flavor", name=w.name(), vcpus=1, ram=64, disk=1),
    "images": _image,
    "os-keypairs": lambda w: w.post("/compute/v2.1/os-keypairs", "keypair", name=w.name(), public_key=PUBLIC_KEY),
    "os-aggregates": lambda w: str(w.post("/compute/v2.1/os-aggregates", "aggregate", name=w.name())),
    "os-server-groups": lambda w: w.post("/compute/v2.1/os-server-groups", "server_group", name=w.name(), policy="affinity"),
    "os-hypervisors": _first("/compute/v2.1/os-hypervisors", "hypervisors"),
    "os-quota-sets": lambda w: w["projects"],
    "os-simple-tenant-usage": lambda w: w["projects"],
    "networks": _network("networks", name=NAME),
    "subnets": _subnet,
    "ports": _port,
    "routers": _network("routers", name=NAME),
    "security-groups": _network("security-groups", name=NAME),
    "security-group-rules": _network("security-group-rules", security_group_id=lambda w: w["security-groups"],
                                     direction=lambda _: "ingress"),
    "floatingips": _network("floatingips", floating_network_id=lambda w: w["public"]),
    "public": _first("/network/v2.0/networks?router:external=true", "networks"),
    "subnetpools": _network("subnetpools", name=NAME, prefixes=lambda _: ["10.100.0.0/16"]),
    "address-scopes": _network("address-scopes", name=NAME, ip_version=lambda _: 4),
    "address-groups": _network("address-groups", name=NAME, addresses=lambda _: ["10.0.0.0/24"]),
    "rbac-policies": lambda w: w.post("/network/v2.0/rbac-policies", "rbac_policy", object_type="network",
                                      object_id=w["networks"], action="access_as_shared", target_tenant=w.name()),
    "default-security-group-rules": lambda w: w.post(
        "/network/v2.0/default-security-group-rules", "default_security_group_rule", direction="ingress",
        description=w.name(), remote_address_group_id=w["address-groups"]),
    "domains": _identity("domains", name=NAME),
    "projects": _identity("projects", name=NAME),
    "users": _identity("users", name=NAME, password=NAME),
    "groups": _identity("groups", name=NAME),
    "roles": _identity("roles", name=NAME),
    "regions": _identity("regions", id=NAME),
    "services": _identity("services", name=NAME, type=NAME),
    "endpoints": _identity("endpoints", service_id=lambda w: w["services"], interface=lambda _: "public",
                           url=lambda _: "http://127.0.0.1/"),
    "credentials": _identity("credentials", user_id=lambda w: w["users"], type=lambda _: "cert", blob=NAME),
    "volumes": VOLUME,
    "snapshots": _volume("snapshots", volume_id=VOLUME),
    "types": VOLUME_TYPE,
    "backups": _volume("backups", volume_id=VOLUME),
    "attachments": _volume("attachments", volume_uuid=VOLUME),
    "volume-transfers": TRANSFER,
    "os-volume-transfer": TRANSFER,
    "qos-specs": _volume("qos-specs", "qos_specs", name=NAME),
    "group_types": _volume("group_types", name=NAME),
    # Identity has groups too.
    "volume/groups": _group,
    "group_snapshots": _volume("group_snapshots", group_id=lambda w: w["volume/groups"]),
    "messages": _message,
    "os-hosts": lambda w: w.client.get("/volume/v3/os-hosts")["hosts"][1]["host_name"],
    "default-types": lambda w: w["projects"],
    "capabilities": lambda w: w.client.get("/volume/v3/scheduler-stats/get_pools")["pools"][0]["name"],
}

# What a call may spoil that names it in its body.
SPOILED = ("volumes", "snapshots", "backups")
# What a path's parameter, or a field of a body, names.
PARAMETERS = {
    "server_id": "servers", "flavor_id": "flavors", "image_id": "images", "network_id": "networks", "subnet_id": "subnets",
    "port_id": "ports", "router_id": "routers", "security_group_id": "security-groups", "floatingip_id": "floatingips",
    "subnetpool_id": "subnetpools", "user_id": "users", "group_id": "groups", "role_id": "roles", "domain_id": "domains",
    "endpoint_id": "endpoints", "service_id": "services", "region_id": "regions", "volume_id": "volumes",
    "snapshot_id": "snapshots", "type_id": "types", "group_type_id": "group_types",
}
FIELDS = {
    **PARAMETERS, "imageRef": "images", "image_ref": "images", "flavorRef": "flavors", "net_id": "networks",
    "floating_network_id": "public", "project_id": "projects", "tenant_id": "projects", "volumeId": "volumes",
    "remote_group_id": "security-groups", "subnetpool_id": "subnetpools", "address_scope_id": "address-scopes",
    "remote_address_group_id": "address-groups", "internal_port_id": "ports", "object_id": "networks",
    "source_volid": "volumes", "volume_type": "types", "backup_id": "backups",
    "group_type": "group_types", "volume_uuid": "volumes", "source_group_id": "groups",
    "group_snapshot_id": "group_snapshots",
}
