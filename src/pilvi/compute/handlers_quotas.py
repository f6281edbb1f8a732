"""Limits, quotas and quota classes."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET, structs

from pilvi.compute import wire
from pilvi.compute.quotas import RESOURCES
from pilvi.faults import Forbidden
from pilvi.http.request import Request, Response

NETWORKS = ("fixed_ips", "floating_ips", "security_groups", "security_group_rules")  # until 2.35
FILES = ("injected_files", "injected_file_content_bytes", "injected_file_path_bytes")  # until 2.56
GROUPS = ("server_groups", "server_group_members")  # of quota classes from 2.50 on

# Names of limits and of quotas; until which microversion, where they are gone.
ABSOLUTE = (
    ("maxTotalInstances", "instances", None), ("maxTotalCores", "cores", None), ("maxTotalRAMSize", "ram", None),
    ("maxTotalKeypairs", "key_pairs", None), ("maxServerMeta", "metadata_items", None),
    ("maxServerGroups", "server_groups", None), ("maxServerGroupMembers", "server_group_members", None),
    ("maxPersonality", "injected_files", (2, 56)), ("maxPersonalitySize", "injected_file_content_bytes", (2, 56)),
    ("maxImageMeta", "metadata_items", (2, 38)), ("maxSecurityGroups", "security_groups", (2, 35)),
    ("maxSecurityGroupRules", "security_group_rules", (2, 35)), ("maxTotalFloatingIps", "floating_ips", (2, 35)))
USED = (
    ("totalInstancesUsed", "instances", None), ("totalCoresUsed", "cores", None), ("totalRAMUsed", "ram", None),
    ("totalServerGroupsUsed", "server_groups", None), ("totalSecurityGroupsUsed", "security_groups", (2, 35)),
    ("totalFloatingIpsUsed", "floating_ips", (2, 35)))


def limits(request: Request) -> Response:
    """Raises Forbidden for another project's, unless the caller is an administrator."""
    wanted = request.arg("tenant_id") or request.context.project_id or ""
    if wanted != request.context.project_id and not request.context.is_admin:
        raise Forbidden("Policy doesn't allow os_compute_api:limits:other_project to be performed.")
    if request.at_least(2, 75):
        for name in request.query.keys() - {"tenant_id", "reserved"}:
            raise wire.unexpected("query", name)
    allowed, used = request.cloud.compute.quota_usage(wanted)
    absolute = {name: values[resource] for names, values in ((ABSOLUTE, allowed), (USED, used))
                for name, resource, until in names if until is None or request.version <= until}
    return Response(200, {"limits": {"rate": [], "absolute": absolute}})


def quota_names(request: Request) -> list[str]:
    """The resources that this microversion has."""
    return [name for name in RESOURCES if (name not in FILES or not request.at_least(2, 57))
            and (name not in NETWORKS or not request.at_least(2, 36))]


def quota_project(request: Request) -> str:
    """Raises Forbidden for another project's, unless the caller is an administrator."""
    project_id = request.params["project_id"]
    if project_id != request.context.project_id and not request.context.is_admin:
        raise Forbidden("Policy doesn't allow os_compute_api:os-quota-sets:show to be performed.")
    return project_id


def quota_user(request: Request) -> str | None:
    """Whose quota in the project. Raises BadRequest for a parameter that there is not."""
    if request.at_least(2, 75):
        for name in request.query.keys() - {"user_id"}:
            raise wire.unexpected("query", name)
    return request.arg("user_id") or None


def quota(request: Request) -> Response:
    project_id = quota_project(request)
    allowed = request.cloud.compute.quota_limits(project_id, quota_user(request))
    return Response(200, {"quota_set": {"id": project_id, **{name: allowed[name] for name in quota_names(request)}}})


def quota_defaults(request: Request) -> Response:
    project_id, allowed = quota_project(request), request.cloud.compute.quota_defaults()
    return Response(200, {"quota_set": {"id": project_id, **{name: allowed[name] for name in quota_names(request)}}})


def quota_detail(request: Request) -> Response:
    project_id = quota_project(request)
    allowed, used = request.cloud.compute.quota_usage(project_id, quota_user(request))
    body = {name: {"limit": allowed[name], "in_use": used[name], "reserved": 0} for name in quota_names(request)}
    return Response(200, {"quota_set": {"id": project_id, **body}})


def wanted_limits(where: str, changes: wire.QuotaChanges, names: list[str]) -> dict[str, int]:
    """Raises BadRequest for a resource that is not among these, and a limit that is none."""
    given = {name: value for name, value in structs.asdict(changes).items()
             if value is not UNSET and name not in ("force", "tenant_id")}
    for name in given.keys() - set(names):
        raise wire.unexpected(where, name)
    return {name: wire.whole(value, name, -1) for name, value in given.items()}


def update_quota(request: Request) -> Response:
    changes, names = request.decode(wire.UpdateQuota).quota_set, quota_names(request)
    allowed = request.cloud.compute.set_quota(
        request.params["project_id"], wanted_limits("quota_set", changes, names), user_id=quota_user(request),
        force=wire.truth(changes.force, "force"))
    return Response(200, {"quota_set": {name: allowed[name] for name in names}})


def reset_quota(request: Request) -> Response:
    request.cloud.compute.reset_quota(request.params["project_id"], quota_user(request))
    return Response(202)


# -- quota classes: what projects have that nobody gave limits of their own


class UpdateQuotaClass(wire.Body):
    quota_class_set: wire.QuotaChanges


def class_names(request: Request) -> list[str]:
    """The resources that this microversion has in a quota class."""
    without = GROUPS if not request.at_least(2, 50) else NETWORKS
    return [name for name in RESOURCES if name not in without and (name not in FILES or not request.at_least(2, 57))]


def quota_class(request: Request) -> Response:
    name = request.params["name"]
    allowed = request.cloud.compute.quota_defaults(name)
    return Response(200, {"quota_class_set": {"id": name, **shown(request, allowed)}})


def update_quota_class(request: Request) -> Response:
    name, changes = request.params["name"], request.decode(UpdateQuotaClass).quota_class_set
    for unknown in ("force", "tenant_id"):
        if getattr(changes, unknown) is not UNSET:
            raise wire.unexpected("quota_class_set", unknown)
    wire.check(name, wire.QuotaClass, "class")
    wanted = wanted_limits("quota_class_set", changes, class_names(request))
    return Response(200, {"quota_class_set": shown(request, request.cloud.compute.set_quota_class(name, wanted))})


def shown(request: Request, allowed: dict[str, Any]) -> dict[str, Any]:
    return {name: allowed[name] for name in class_names(request)}
