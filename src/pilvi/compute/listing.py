"""The query of a server list: filters, order and page. Which ones there are: the Compute API reference."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from pilvi.compute.service import ServerQuery
from pilvi.compute.states import states_of
from pilvi.compute.wire import invalid, unexpected
from pilvi.engine.clock import parse_time
from pilvi.faults import BadRequest, Forbidden
from pilvi.http.pagination import limit_of
from pilvi.http.request import Request, boolean, integer

PAGING = frozenset({"limit", "marker", "sort_key", "sort_dir", "all_tenants"})
# Filter to column, and whether it is a number, a boolean or a text.
ANYBODYS = {"reservation_id": "reservation_id", "image": "image_id"}
ADMINS = {"host": "host", "node": "host", "uuid": "id", "user_id": "user_id",
          "availability_zone": "availability_zone", "config_drive": "config_drive",
          "power_state": "power_state", "launch_index": "launch_index", "image_ref": "image_id",
          "access_ip_v4": "access_ip_v4", "access_ip_v6": "access_ip_v6", "locked_by": "locked_by",
          "auto_disk_config": "disk_config"}
# Filters that are regular expressions.
PATTERNS = {"hostname": "hostname", "description": "description", "display_description": "description",
            "key_name": "key_name"}
# From 2.83 on everybody may filter by these.
SINCE_2_83 = frozenset({"availability_zone", "config_drive", "key_name", "created_at", "launched_at",
                        "terminated_at", "power_state", "task_state", "vm_state", "progress", "user_id"})
NUMBERS = frozenset({"power_state", "launch_index"})
STATES = {"vm_state": "vm_state", "task_state": "task_state"}
MOMENTS = {"created_at": "created_at", "launched_at": "launched_at", "terminated_at": "terminated_at"}
TAGS = {"tags": "tags", "tags-any": "tags_any", "not-tags": "not_tags", "not-tags-any": "not_tags_any"}
# What is the same of all servers: another value finds none.
CONSTANTS = {"kernel_id": "", "ramdisk_id": "", "root_device_name": "/dev/vda", "cell_name": "", "progress": "0",
             "instance_type_id": None}
OTHERS = frozenset({"name", "display_name", "tenant_id", "project_id", "deleted", "ip", "ip6", "status",
                    "flavor", "changes-since", "changes-before", "locked", "soft_deleted"})
KNOWN = (PAGING | ANYBODYS.keys() | ADMINS.keys() | PATTERNS.keys() | SINCE_2_83 | TAGS.keys() | CONSTANTS.keys()
         | OTHERS)

SORT_KEYS = {
    "created_at": "seq", "updated_at": "updated_at", "display_name": "name",
    "display_description": "description", "uuid": "id", "image_ref": "image_id",
    "key_name": "key_name", "launched_at": "launched_at",
    "terminated_at": "terminated_at", "task_state": "task_state", "vm_state": "vm_state",
    "power_state": "power_state", "project_id": "project_id", "user_id": "user_id", "hostname": "hostname",
    "access_ip_v4": "access_ip_v4", "access_ip_v6": "access_ip_v6", "availability_zone": "availability_zone",
    "config_drive": "config_drive", "launch_index": "launch_index", "locked_by": "locked_by",
    "locked": "locked", "host": "host", "node": "host",
    "auto_disk_config": None, "instance_type_id": None, "kernel_id": None, "ramdisk_id": None,
    "root_device_name": None, "progress": None,
}
ADMIN_SORT_KEYS = frozenset({"host", "node"})
MAX_REPEATS = 3  # * + ? {} in a regular expression, so that matching stays cheap


class ServerList(NamedTuple):
    query: ServerQuery
    all_projects: bool
    addresses: dict[int, str]
    limit: int
    nothing: bool = False  # no server can match


def server_list(request: Request) -> ServerList:
    """Raises BadRequest for a filter's value that makes no sense, Forbidden for administrators' matters."""
    context = request.context
    if request.at_least(2, 75):
        for name in request.query.keys() - KNOWN:
            raise unexpected("query", name)
    limit = limit_of(request)
    all_projects = request.arg("all_tenants") == "" or bool(request.flag("all_tenants", False))
    if all_projects and not context.is_admin:
        raise Forbidden("Policy doesn't allow os_compute_api:servers:detail:get_all_tenants to be performed.")
    query = ServerQuery(limit=limit, marker=request.arg("marker"), sort=_sort(request))
    # An administrator who names a project is heeded only when asking for all projects, as in Nova.
    query.project_id = request.arg("project_id", request.arg("tenant_id")) if all_projects else context.project_id
    _plain(request, query)
    _times(request, query)
    nothing = _states(request, query) or any(
        request.arg(name, constant) != constant for name, constant in CONSTANTS.items() if _may(request, name))
    _tags(request, query)
    if name := request.arg("name", request.arg("display_name")):
        query.matching["name"] = _pattern(name, "name")
    if flavor := request.arg("flavor"):
        query.flavor_id = flavor.rsplit("/", 1)[-1]
    return ServerList(query, all_projects, _addresses(request), limit, nothing)


def _sort(request: Request) -> list[tuple[str, bool]]:
    directions = request.query.get("sort_dir", [])
    keys = request.query.get("sort_key", [])
    for direction in directions:
        if direction not in ("asc", "desc"):
            raise invalid("sort_dir", f"Value: {direction}. It must be asc or desc.")
    if len(directions) > max(len(keys), 1):
        raise BadRequest("Sort direction size exceeds sort key size")
    directions = [*directions, *[directions[-1] if directions else "desc"] * len(keys)]
    if not keys and directions:
        return [("seq", directions[0] == "desc")]
    sort = []
    for key, direction in zip(keys, directions, strict=False):
        if key not in SORT_KEYS or (key == "locked" and not request.at_least(2, 73)):
            raise invalid("sort_key", f"Value: {key}. There is no such sort key.")
        if key in ADMIN_SORT_KEYS and not request.context.is_admin:
            raise Forbidden(f"Only administrators can sort servers by {key}")
        if SORT_KEYS[key] is not None:
            sort.append((SORT_KEYS[key], direction == "desc"))
    return sort


def _may(request: Request, name: str) -> bool:
    return request.context.is_admin or (name in SINCE_2_83 and request.at_least(2, 83))


def _plain(request: Request, query: ServerQuery) -> None:
    for name, column in [*ANYBODYS.items(), *ADMINS.items()]:
        value = request.arg(name)
        if value is None or not (name in ANYBODYS or _may(request, name)):
            continue
        query.equal[column] = _value(name, value)
    for name, column in PATTERNS.items():
        if (pattern := request.arg(name)) is not None and _may(request, name):
            query.matching[column] = _pattern(pattern, name)
    if request.at_least(2, 73) and (locked := request.flag("locked")) is not None:
        query.equal["locked"] = locked


def _value(name: str, value: str) -> Any:
    if name in NUMBERS:
        return integer(value, name)
    if name == "config_drive":
        return boolean(value or "false", name)
    if name == "auto_disk_config":
        return "AUTO" if boolean(value or "false", name) else "MANUAL"
    return value


def _times(request: Request, query: ServerQuery) -> None:
    """Changes since a time show what went away meanwhile, too."""
    deleted = request.flag("deleted")
    if deleted and not request.context.is_admin:
        deleted = None  # ignored, as what only administrators may filter by is
    since, before = moment(request, "changes-since"), moment(request, "changes-before")
    if since is not None:
        query.not_before["updated_at"] = since
    if before is not None and request.at_least(2, 66):
        if since is not None and since > before:
            raise BadRequest("The value of changes-since must be less than or equal to changes-before.")
        query.not_after["updated_at"] = before
    query.deleted = deleted or False
    if deleted is None and (since is not None or query.not_after):
        query.deleted = None
    for name, column in MOMENTS.items():
        if _may(request, name) and (at := moment(request, name)) is not None:
            query.equal[column] = at


def moment(request: Request, name: str) -> int | None:
    text = request.arg(name)
    if text is None:
        return None
    try:
        return parse_time(text.replace(" ", "+"))  # a plus sign that was not escaped
    except (ValueError, OverflowError):
        raise invalid(name, f"Value: {text}. '{text}' is not a 'date-time'") from None


def _states(request: Request, query: ServerQuery) -> bool:
    """True where no server can be in the status that was asked for."""
    for name, column in STATES.items():
        if _may(request, name) and (values := request.query.get(name)):
            query.among[column] = values
    if request.context.is_admin and request.flag("soft_deleted", False):
        query.among["vm_state"] = ["soft-delete"]
    statuses = request.query.get("status")
    if not statuses:
        return False
    if not request.context.is_admin and "deleted" in (status.lower() for status in statuses):
        raise Forbidden("Only administrators may list deleted instances")
    vm_states, task_states = states_of(statuses)
    if not vm_states:
        if request.at_least(2, 38):
            raise BadRequest("Invalid status value")
        return True
    query.among["vm_state"] = vm_states
    if task_states is not None:
        query.among["task_state"] = task_states
    if "deleted" in vm_states:
        query.deleted = True if vm_states == ["deleted"] else None
    return False


def _tags(request: Request, query: ServerQuery) -> None:
    if request.at_least(2, 26):
        for name, field in TAGS.items():
            if value := request.arg(name):
                setattr(query, field, value.split(","))


def _addresses(request: Request) -> dict[int, str]:
    found = {}
    if value := request.arg("ip"):
        found[4] = _pattern(value, "ip")
    if (value := request.arg("ip6")) and (request.at_least(2, 5) or request.context.is_admin):
        found[6] = _pattern(value, "ip6")
    return found


def _pattern(text: str, name: str) -> str:
    """Raises BadRequest for a regular expression that is wrong, or could take very long to match."""
    repeats = re.findall(r"(?<!\\)[*+?{]", text)
    if len(text) > 255 or len(repeats) > MAX_REPEATS or re.search(r"(?<!\\)\)[*+?{]", text):
        raise invalid(name, f"Value: {text}. As a regular expression it may repeat {MAX_REPEATS} times at "
                            "the most, and no group.")
    try:
        re.compile(text)
    except re.error as error:
        raise invalid(name, f"Value: {text}. It is no regular expression: {error}.") from None
    return text
