"""What a first `pilvi up` makes, through the API like any client: an image, a network, and the server `first`."""

from __future__ import annotations

import socket
import tempfile
import time
from pathlib import Path
from typing import Any

import click

from pilvi import credentials
from pilvi.cli.client import Client
from pilvi.cli.up import step
from pilvi.settings import Place, Settings

BOOT_SECONDS = 180
USER = "tiny"


class Demo:
    def __init__(self, place: Place, settings: Settings):
        self._place, self._settings = place, settings
        self._api, self._admin = Client(place, "pilvi"), Client(place, "admin")
        self._news = False

    def ensure(self) -> bool:
        """Makes what is not there yet; says whether anything was made."""
        image = self._image()
        network = self._network()
        self._access()
        server = self._server(image, network)
        address = self._floating_ip(server["id"])
        key, _ = credentials.ssh_key(self._place)
        if not self._settings.simulated:
            self._wait_ssh(server["id"], address)
            click.echo(f"\nssh -i {key} {USER}@{address}")
        return self._news

    def _did(self, made: bool, text: str) -> None:
        if made:
            self._news = True
            step(text)

    def _image(self) -> dict[str, Any]:
        def make() -> dict[str, Any]:
            path, disk_format = (self._pretended(), "raw") if self._settings.simulated else (self._built(), "qcow2")
            image = self._admin.post("/image/v2/images", {
                "name": "tiny", "disk_format": disk_format, "container_format": "bare", "visibility": "public",
                "min_ram": 96, "os_distro": "tiny", "hw_qemu_guest_agent": "yes"})
            with open(path, "rb") as file:
                self._admin.upload(f"/image/v2/images/{image['id']}/file", file, path.stat().st_size)
            return image

        image, made = self._admin.ensure("/image/v2/images?status=active", "images", "tiny", make)
        self._did(made, "image tiny uploaded")
        return image

    def _built(self) -> Path:
        from pilvi.images import tiny

        path = self._place / "built" / "tiny.qcow2"
        if not path.exists():
            path.parent.mkdir(exist_ok=True)
            with tempfile.TemporaryDirectory(prefix="pilvi-tiny-") as work:
                try:
                    tiny.build(path, work=Path(work), progress=lambda text: click.echo(f"  {text}"))
                except RuntimeError as error:
                    raise click.ClickException(f"Image tiny was not built: {error}\nThe cloud is up; run this again, "
                                               "or with --no-demo.") from None
            self._did(True, "image tiny built from Debian's packages")
        return path

    def _pretended(self) -> Path:
        """Simulated guests boot from anything: a megabyte of nothing."""
        path = self._place / "pretended.raw"
        with open(path, "wb") as file:
            file.truncate(1 << 20)
        return path

    def _network(self) -> dict[str, Any]:
        api, v2 = self._api, "/network/v2.0"
        mine = f"project_id={api.project_id}"
        network, made = api.ensure(f"{v2}/networks?name=private&{mine}", "networks", "private", lambda: api.post(
            f"{v2}/networks", {"network": {"name": "private"}})["network"])
        subnet, _ = api.ensure(f"{v2}/subnets?network_id={network['id']}", "subnets", "private", lambda: api.post(
            f"{v2}/subnets", {"subnet": {"name": "private", "network_id": network["id"], "ip_version": 4,
                                         "cidr": "10.0.0.0/24"}})["subnet"])
        self._did(made, f"network private ({subnet['cidr']})")
        public = api.find(f"{v2}/networks?router:external=True", "networks", "public")
        router, made = api.ensure(f"{v2}/routers?{mine}", "routers", "router", lambda: api.post(
            f"{v2}/routers", {"router": {"name": "router",
                                         "external_gateway_info": {"network_id": public["id"]}}})["router"])
        if not api.get(f"{v2}/ports?device_id={router['id']}&device_owner=network:router_interface")["ports"]:
            api.put(f"{v2}/routers/{router['id']}/add_router_interface", {"subnet_id": subnet["id"]})
        self._did(made, "router with a gateway to the external network")
        self._public = public
        return network

    def _access(self) -> None:
        api, v2 = self._api, "/network/v2.0"
        _, public_key = credentials.ssh_key(self._place)
        if not any(pair["keypair"]["name"] == "pilvi" for pair in api.get("/compute/v2.1/os-keypairs")["keypairs"]):
            api.post("/compute/v2.1/os-keypairs", {"keypair": {"name": "pilvi", "type": "ssh",
                                                               "public_key": public_key}})
            self._did(True, "key pair pilvi")
        group = api.find(f"{v2}/security-groups?project_id={api.project_id}", "security_groups", "default")
        for protocol, port in (("icmp", None), ("tcp", 22)):
            rule = {"security_group_id": group["id"], "direction": "ingress", "ethertype": "IPv4",
                    "protocol": protocol, "port_range_min": port, "port_range_max": port}
            there = any(known["protocol"] == protocol and known["port_range_min"] == port
                        for known in group["security_group_rules"])
            if not there:
                api.post(f"{v2}/security-group-rules", {"security_group_rule": rule})
                self._did(True, f"security group default opened for {'ssh' if port else 'ping'}")

    def _server(self, image: dict[str, Any], network: dict[str, Any]) -> dict[str, Any]:
        api = self._api

        def make() -> dict[str, Any]:
            flavor = api.find("/compute/v2.1/flavors", "flavors", "m1.nano")
            server = api.post("/compute/v2.1/servers", {"server": {
                "name": "first", "imageRef": image["id"], "flavorRef": flavor["id"], "key_name": "pilvi",
                "networks": [{"uuid": network["id"]}]}})["server"]
            deadline = time.monotonic() + BOOT_SECONDS
            while (found := api.get(f"/compute/v2.1/servers/{server['id']}")["server"])["status"] != "ACTIVE":
                if found["status"] == "ERROR" or time.monotonic() > deadline:
                    reason = found.get("fault", {}).get("message", f"it is still {found['status']}")
                    raise click.ClickException(f"Server first did not start: {reason}. "
                                               f"See `pilvi explain server {server['id']}`.")
                time.sleep(0.1)
            return server

        server, made = api.ensure("/compute/v2.1/servers", "servers", "first", make)
        self._did(made, "server first is active")
        return server

    def _floating_ip(self, server_id: str) -> str:
        api, v2 = self._api, "/network/v2.0"
        port = api.get(f"{v2}/ports?device_id={server_id}")["ports"][0]
        found = api.get(f"{v2}/floatingips?port_id={port['id']}")["floatingips"]
        if not found:
            found = [api.post(f"{v2}/floatingips", {"floatingip": {
                "floating_network_id": self._public["id"], "port_id": port["id"]}})["floatingip"]]
            self._did(True, f"floating IP {found[0]['floating_ip_address']}")
        return found[0]["floating_ip_address"]

    def _wait_ssh(self, server_id: str, address: str) -> None:
        """Waits for the guest's ssh server, as far as this process can reach the external network."""
        deadline, waited = time.monotonic() + BOOT_SECONDS, False
        while not ssh_answers(address):
            if self._api.get(f"/compute/v2.1/servers/{server_id}")["server"]["status"] != "ACTIVE":
                return
            if time.monotonic() > deadline:
                raise click.ClickException(f"Server first does not answer on {address}:22 after {BOOT_SECONDS} s; its "
                                           f"console: `openstack console log show first`.")
            if not waited:
                click.echo("  first is booting ...")
            waited = True
            time.sleep(0.5)
        self._did(waited, "ssh of server first answers")


def ssh_answers(address: str) -> bool:
    try:
        with socket.create_connection((address, 22), timeout=2) as connection:
            connection.settimeout(5)
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False


