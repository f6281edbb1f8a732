"""Routes that only old microversions have, to what other services serve today."""

from __future__ import annotations

from pilvi.compute import handlers_gone, handlers_hosts, handlers_images, handlers_networks
from pilvi.compute import handlers_old_volumes as volumes
from pilvi.http.routing import Route

HOST = "/v2.1/os-hosts/{host}"
HYPERVISOR = "/v2.1/os-hypervisors/{hypervisor_id}"
IMAGE = "/v2.1/images/{image_id}"
VOLUME, SNAPSHOT = "/v2.1/os-volumes", "/v2.1/os-snapshots"
AUDIT = "/v2.1/os-instance_usage_audit_log"
FLOATING_IP, GROUP, RULE = "/v2.1/os-floating-ips", "/v2.1/os-security-groups", "/v2.1/os-security-group-rules"

SHOWN, CHANGED, OPERATOR = "legacy:show", "legacy:change", "hypervisors"

_UNTIL_2_35 = (
    ("GET", "/v2.1/os-networks", handlers_networks.networks, SHOWN),
    ("GET", "/v2.1/os-networks/{network_id}", handlers_networks.network, SHOWN),
    ("GET", "/v2.1/os-tenant-networks", handlers_networks.tenant_networks, SHOWN),
    ("GET", "/v2.1/os-tenant-networks/{network_id}", handlers_networks.tenant_network, SHOWN),
    ("GET", "/v2.1/os-floating-ip-pools", handlers_networks.floating_ip_pools, SHOWN),
    ("GET", FLOATING_IP, handlers_networks.floating_ips, SHOWN),
    ("POST", FLOATING_IP, handlers_networks.create_floating_ip, CHANGED),
    ("GET", FLOATING_IP + "/{floating_ip_id}", handlers_networks.floating_ip, SHOWN),
    ("DELETE", FLOATING_IP + "/{floating_ip_id}", handlers_networks.delete_floating_ip, CHANGED),
    ("GET", GROUP, handlers_networks.groups, SHOWN),
    ("POST", GROUP, handlers_networks.create_group, CHANGED),
    ("GET", GROUP + "/{group_id}", handlers_networks.group, SHOWN),
    ("PUT", GROUP + "/{group_id}", handlers_networks.update_group, CHANGED),
    ("DELETE", GROUP + "/{group_id}", handlers_networks.delete_group, CHANGED),
    ("POST", RULE, handlers_networks.create_rule, CHANGED),
    ("DELETE", RULE + "/{rule_id}", handlers_networks.delete_rule, CHANGED),
    ("GET", VOLUME, volumes.volumes, SHOWN),
    ("POST", VOLUME, volumes.create_volume, CHANGED),
    ("GET", VOLUME + "/detail", volumes.volumes, SHOWN),
    ("GET", VOLUME + "/{volume_id}", volumes.volume, SHOWN),
    ("DELETE", VOLUME + "/{volume_id}", volumes.delete_volume, CHANGED),
    ("GET", SNAPSHOT, volumes.snapshots, SHOWN),
    ("POST", SNAPSHOT, volumes.create_snapshot, CHANGED),
    ("GET", SNAPSHOT + "/detail", volumes.snapshots, SHOWN),
    ("GET", SNAPSHOT + "/{snapshot_id}", volumes.snapshot, SHOWN),
    ("DELETE", SNAPSHOT + "/{snapshot_id}", volumes.delete_snapshot, CHANGED),
    ("GET", "/v2.1/images", handlers_images.images, SHOWN),
    ("GET", "/v2.1/images/detail", handlers_images.images_detail, SHOWN),
    ("GET", IMAGE, handlers_images.image, SHOWN),
    ("DELETE", IMAGE, handlers_images.delete_image, CHANGED),
)
_UNTIL_2_38 = (
    ("GET", IMAGE + "/metadata", handlers_images.image_metadata, SHOWN),
    ("POST", IMAGE + "/metadata", handlers_images.merge_image_metadata, CHANGED),
    ("PUT", IMAGE + "/metadata", handlers_images.replace_image_metadata, CHANGED),
    ("GET", IMAGE + "/metadata/{key}", handlers_images.image_metadata_item, SHOWN),
    ("PUT", IMAGE + "/metadata/{key}", handlers_images.set_image_metadata_item, CHANGED),
    ("DELETE", IMAGE + "/metadata/{key}", handlers_images.delete_image_metadata_item, CHANGED),
)
_UNTIL_2_42 = (
    ("GET", "/v2.1/os-hosts", handlers_hosts.hosts, OPERATOR),
    ("GET", HOST, handlers_hosts.host, OPERATOR),
    ("PUT", HOST, handlers_hosts.update_host, OPERATOR),
    ("GET", HOST + "/startup", handlers_hosts.host_power, OPERATOR),
    ("GET", HOST + "/shutdown", handlers_hosts.host_power, OPERATOR),
    ("GET", HOST + "/reboot", handlers_hosts.host_power, OPERATOR),
)

ROUTES = (
    *(Route(*each, until="2.35") for each in _UNTIL_2_35),
    *(Route(*each, until="2.38") for each in _UNTIL_2_38),
    *(Route(*each, until="2.42") for each in _UNTIL_2_42),
    Route("GET", HYPERVISOR + "/search", handlers_hosts.search, OPERATOR, until="2.52"),
    Route("GET", HYPERVISOR + "/servers", handlers_hosts.hypervisor_servers, OPERATOR, until="2.52"),
    Route("GET", HYPERVISOR + "/uptime", handlers_hosts.uptime, OPERATOR, until="2.87"),
    Route("GET", AUDIT, handlers_hosts.audit_log, OPERATOR),
    Route("GET", AUDIT + "/{before}", handlers_hosts.audit_log_before, OPERATOR),
    *handlers_gone.ROUTES,
)
