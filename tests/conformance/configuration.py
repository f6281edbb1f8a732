"""Tempest's configuration for a cloud: every feature that it serves is on, and what the suite needs is made."""

from __future__ import annotations

import configparser
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from pilvi.settings import Place
from tests.conformance.clouds import Target, passwords

GUEST_IMAGE = "guest.qcow2"


def prepare(target: Target, workspace: Path, image: Path, web: str) -> Path:
    """Makes images and flavors, and writes tempest.conf in the workspace, where `web` serves the files; returns its path."""
    client = target.client()
    images = [upload(target, name, image) for name in ("conformance", "conformance-alt")]
    flavors = [flavor(client, *size) for size in (("c1.small", 1, 128, 1), ("c1.large", 2, 192, 2))]
    public = client.get("/network/v2.0/networks?router:external=true")["networks"][0]
    parser = configparser.RawConfigParser()
    parser.read_dict(options(target, workspace, images, flavors, public, extensions(client), web))
    parser["service_available"].update(services(client))
    parser["volume"]["volume_type_multiattach"] = volume_type(client, "multiattach", {"multiattach": "<is> True"})
    path = workspace / "tempest.conf"
    with path.open("w") as file:
        parser.write(file)
    return path


def upload(target: Target, name: str, image: Path) -> str:
    """The id of a new public image, made with the unmodified client."""
    command = [*target.enter, "openstack", "--os-cloud", "pilvi-admin", "image", "create", "--public",
               "--property", "hw_qemu_guest_agent=yes", "--disk-format", "qcow2", "--file", str(image), name,
               "-f", "value", "-c", "id"]
    return subprocess.run(command, check=True, capture_output=True, text=True, env=environment(target.place)).stdout.strip()


def environment(place: Place) -> dict[str, str]:
    return {**os.environ, "OS_CLIENT_CONFIG_FILE": str(place / "clouds.yaml"),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}


def flavor(client: Any, name: str, vcpus: int, ram: int, disk: int) -> str:
    body = {"flavor": {"name": name, "vcpus": vcpus, "ram": ram, "disk": disk}}
    return client.post("/compute/v2.1/flavors", body)["flavor"]["id"]


def volume_type(client: Any, name: str, specs: dict[str, str]) -> str:
    """Its name."""
    return client.post("/volume/v3/types", {"volume_type": {"name": name, "extra_specs": specs}})["volume_type"]["name"]


def services(client: Any) -> dict[str, str]:
    """Which services there are, as the catalog has them."""
    types = {each["type"] for each in client.get("/identity/v3/auth/catalog")["catalog"]}
    names = {"nova": "compute", "neutron": "network", "glance": "image", "cinder": "block-storage", "swift": "object-store"}
    return {"horizon": "false", **{name: str(kind in types).lower() for name, kind in names.items()}}


def extensions(client: Any) -> str:
    """Network extensions as the cloud lists them: "all" would make Tempest take every one for granted."""
    return ",".join(each["alias"] for each in client.get("/network/v2.0/extensions")["extensions"])


def options(target: Target, workspace: Path, images: list[str], flavors: list[str], public: dict[str, Any],
            network_extensions: str, web: str) -> dict[str, dict[str, Any]]:
    base = f"http://{target.listen}"
    on = "true"
    return {
        "DEFAULT": {"log_dir": workspace, "log_file": "tempest.log", "use_stderr": "false"},
        "oslo_concurrency": {"lock_path": workspace / "locks"},
        "auth": {
            "use_dynamic_credentials": on, "create_isolated_networks": on, "admin_username": "admin",
            "admin_password": passwords(target.place)["admin"], "admin_project_name": "admin",
            "admin_domain_name": "Default",
        },
        "identity": {
            "auth_version": "v3", "uri_v3": f"{base}/identity/v3", "region": "RegionOne", "v3_endpoint_type": "public",
            "default_domain_id": "default", "admin_role": "admin", "user_lockout_failure_attempts": 2,
            "user_lockout_duration": 5, "user_unique_last_password_count": 2, "user_minimum_password_age": 0,
        },
        "identity-feature-enabled": {
            "api_v2": "false", "api_v2_admin": "false", "trust": on, "access_rules": on, "security_compliance": on,
        },
        "service_available": {},
        "enforce_scope": dict.fromkeys(("nova", "neutron", "glance", "cinder", "keystone", "placement"), on),
        "service-clients": {"http_timeout": 120},
        "compute": {
            "image_ref": images[0], "image_ref_alt": images[1], "flavor_ref": flavors[0], "flavor_ref_alt": flavors[1],
            "min_microversion": "2.1", "max_microversion": "latest", "build_interval": 1, "build_timeout": 300,
            "volume_device_name": "vdb", "shelved_offload_time": 0, "min_compute_nodes": 1 if target.real else 2,
            "hypervisor_type": "QEMU" if target.real else "",
        },
        "compute-feature-enabled": {
            **dict.fromkeys((
                "resize", "shelve_migrate", "pause", "suspend", "shelve", "rescue", "stable_rescue",
                "snapshot", "cold_migration", "live_migration", "block_migration_for_live_migration",
                "volume_backed_live_migration", "metadata_service", "config_drive", "disk_config", "console_output",
                "vnc_console", "serial_console", "interface_attach", "attach_encrypted_volume", "swap_volume",
                "volume_multiattach", "hostname_fqdn_sanitization", "personality", "enable_instance_password",
                "change_password"), on),
            "dhcp_domain": "", "nova_policy_roles": "admin,manager,member,reader,service",
            "scheduler_enabled_filters": "ComputeFilter,ComputeCapabilitiesFilter,ImagePropertiesFilter,"
                                         "ServerGroupAntiAffinityFilter,ServerGroupAffinityFilter,SameHostFilter,"
                                         "DifferentHostFilter",
        },
        "placement": {"min_microversion": "1.0", "max_microversion": "latest"},
        "image": {
            "build_timeout": 300, "http_image": f"{web}/{GUEST_IMAGE}", "http_qcow2_image": f"{web}/{GUEST_IMAGE}",
            "image_caching_enabled": on, "disk_formats": "qcow2,raw,ami,ari,aki,vhd,vmdk,vdi,iso,vhdx,gpt",
        },
        "image-feature-enabled": {
            **dict.fromkeys(("import_image", "os_glance_reserved", "manage_locations", "do_secure_hash",
                             "http_store_enabled", "store_weight_enabled"), on),
            "image_format_enforcement": "false",
        },
        "network": {
            "public_network_id": public["id"], "floating_network_name": public["name"], "build_timeout": 300,
            "project_network_cidr": "10.100.0.0/16", "project_network_mask_bits": 28,
            "project_network_v6_cidr": "fd00:100::/48", "project_network_v6_mask_bits": 64,
        },
        "network-feature-enabled": {
            **dict.fromkeys(("ipv6", "ipv6_subnet_attributes", "floating_ips", "port_admin_state_change",
                             "port_security"), on),
            "available_features": "all", "api_extensions": network_extensions,
        },
        "volume": {
            "catalog_type": "block-storage", "min_microversion": "3.0", "max_microversion": "latest", "build_timeout": 300,
            "volume_size": 1, "disk_format": "raw", "vendor_name": "Pilvi", "storage_protocol": "file",
            "backend_names": "file,second",
        },
        "volume-feature-enabled": {
            **dict.fromkeys(("backup", "snapshot", "clone", "manage_snapshot", "manage_volume", "extend_attached_volume",
                             "extend_attached_encrypted_volume"), on),
            "multi_backend": on, "api_extensions": "all",
        },
        "validation": {
            "run_validation": str(target.real).lower(), "connect_method": "floating", "auth_method": "keypair",
            "image_ssh_user": "root", "image_alt_ssh_user": "root", "ssh_key_type": "ecdsa", "ping_timeout": 120,
            "connect_timeout": 60, "ssh_timeout": 300, "network_for_ssh": public["name"], "ip_version_for_ssh": 4,
        },
        "scenario": {
            "img_file": workspace / GUEST_IMAGE, "img_disk_format": "qcow2", "img_container_format": "bare",
            "dhcp_client": "udhcpc",
        },
    }
