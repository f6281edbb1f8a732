"""What were extensions before 2.1 and are all there since, for clients that look before they ask."""

from __future__ import annotations

from typing import Any

from pilvi.faults import NotFound
from pilvi.http.request import Request, Response

# Aliases of those that are served, and the names of those whose name is not the alias in camel case.
_ALIASES = """
NMN OS-DCF OS-EXT-AZ OS-EXT-IMG-SIZE OS-EXT-IPS OS-EXT-IPS-MAC OS-EXT-SRV-ATTR OS-EXT-STS OS-FLV-DISABLED
OS-FLV-EXT-DATA OS-SCH-HNT OS-SRV-USG os-access-ips os-admin-actions os-admin-password os-aggregates
os-assisted-volume-snapshots os-attach-interfaces os-availability-zone os-block-device-mapping os-config-drive
os-console-auth-tokens os-console-output os-consoles os-create-backup os-deferred-delete os-evacuate
os-extended-floating-ips os-extended-hypervisors os-extended-quotas os-extended-rescue-with-image
os-extended-server-attributes os-extended-services os-extended-services-delete os-extended-status
os-extended-volumes os-flavor-access os-flavor-extra-specs os-flavor-manage os-flavor-rxtx os-flavor-swap
os-floating-ip-pools os-floating-ips os-hosts os-hypervisor-status os-hypervisors os-instance-actions
os-instance_usage_audit_log os-keypairs os-lock-server os-migrate-server os-migrations os-multiple-create
os-networks os-pause-server os-personality os-quota-class-sets os-quota-sets os-rescue os-security-groups
os-server-diagnostics os-server-external-events os-server-group-quotas os-server-groups
os-server-list-multi-status os-server-password os-server-sort-keys os-server-start-stop os-services os-shelve
os-simple-tenant-usage os-suspend-server os-tenant-networks os-used-limits os-used-limits-for-admin os-user-data
os-user-quotas os-volume-attachment-update os-volumes flavors images ips limits server-metadata servers versions
"""
ALIASES = _ALIASES.split()
NAMES = {
    "NMN": "Multinic", "OS-DCF": "DiskConfig", "OS-EXT-AZ": "ExtendedAvailabilityZone", "OS-EXT-IMG-SIZE": "ImageSize",
    "OS-EXT-IPS": "ExtendedIps", "OS-EXT-IPS-MAC": "ExtendedIpsMac", "OS-EXT-SRV-ATTR": "ExtendedServerAttributes",
    "OS-EXT-STS": "ExtendedStatus", "OS-FLV-DISABLED": "FlavorDisabled", "OS-FLV-EXT-DATA": "FlavorExtraData",
    "OS-SCH-HNT": "SchedulerHints", "OS-SRV-USG": "ServerUsage", "os-quota-sets": "Quotas",
    "os-quota-class-sets": "QuotaClasses", "os-instance_usage_audit_log": "OSInstanceUsageAuditLog",
}


def extension(alias: str) -> dict[str, Any]:
    name = NAMES.get(alias) or "".join(word.capitalize() for word in alias.removeprefix("os-").split("-"))
    return {"alias": alias, "name": name, "description": name, "links": [], "updated": "2014-12-03T00:00:00Z",
            "namespace": "http://docs.openstack.org/compute/ext/fake_xml"}


def extensions(request: Request) -> Response:
    return Response(200, {"extensions": [extension(alias) for alias in ALIASES]})


def one_extension(request: Request) -> Response:
    if (alias := request.params["alias"]) not in ALIASES:
        raise NotFound(f"Extension {alias} could not be found.")
    return Response(200, {"extension": extension(alias)})
