"""Host aggregates and server groups."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from pilvi.compute import wire
from pilvi.compute.aggregates import ZONE, Aggregate
from pilvi.compute.groups import Group
from pilvi.compute.wire import Body, Name, Uuid
from pilvi.engine.clock import micros_text
from pilvi.faults import BadRequest
from pilvi.http.pagination import limit_of
from pilvi.http.request import Request, Response, field_message, integer

# -- aggregates

Zone = Annotated[str, Meta(min_length=1, max_length=255, pattern=r"^(?!\s)[^:\x00-\x1f\x7f]*(?<!\s)\Z")]


class AggregateNew(Body):
    name: Name
    availability_zone: Zone | None = None


class CreateAggregate(Body):
    aggregate: AggregateNew


class AggregateChanges(Body):
    name: Name | UnsetType = UNSET
    availability_zone: Zone | UnsetType | None = UNSET


class UpdateAggregate(Body):
    aggregate: AggregateChanges


class HostName(Body):
    host: Annotated[str, Meta(min_length=1, max_length=255, pattern=r"^[a-zA-Z0-9_.-]+\Z")]


class NewMetadata(Body):
    metadata: Annotated[dict[wire.MetadataKey, wire.Text255 | None], Meta(min_length=1)]


class ImageId(Body):
    id: Uuid


class CacheImages(Body):
    cache: Annotated[list[ImageId], Meta(min_length=1)]


def aggregate_id(request: Request) -> int:
    return integer(request.params["aggregate_id"], "aggregate_id", -(2**31))


def aggregate_view(request: Request, aggregate: Aggregate, *, new: bool = False) -> dict[str, Any]:
    row = aggregate.row
    body = {
        "id": row.id, "name": row.name, "availability_zone": aggregate.zone, "created_at": micros_text(row.created_at),
        "updated_at": row.updated_at and micros_text(row.updated_at), "deleted": False, "deleted_at": None,
    }
    if request.at_least(2, 41):
        body["uuid"] = row.uuid
    return body if new else body | {"hosts": aggregate.hosts, "metadata": row.metadata}


def answer(request: Request, aggregate: Aggregate) -> Response:
    return Response(200, {"aggregate": aggregate_view(request, aggregate)})


def aggregates(request: Request) -> Response:
    found = request.cloud.compute.aggregates()
    return Response(200, {"aggregates": [aggregate_view(request, each) for each in found]})


def aggregate(request: Request) -> Response:
    return answer(request, request.cloud.compute.aggregate(aggregate_id(request)))


def create_aggregate(request: Request) -> Response:
    new = request.decode(CreateAggregate).aggregate
    made = request.cloud.compute.create_aggregate(new.name, new.availability_zone)
    return Response(200, {"aggregate": aggregate_view(request, made, new=True)})


def update_aggregate(request: Request) -> Response:
    changes = request.decode(UpdateAggregate).aggregate
    if changes.name is UNSET and changes.availability_zone is UNSET:
        raise wire.invalid("aggregate", "Give it a name or an availability_zone.")
    metadata = None if changes.availability_zone is UNSET else {ZONE: changes.availability_zone}
    return answer(request, request.cloud.compute.update_aggregate(
        aggregate_id(request), name=changes.name or None, metadata=metadata))


def delete_aggregate(request: Request) -> Response:
    request.cloud.compute.delete_aggregate(aggregate_id(request))
    return Response(200)


AGGREGATE_ACTIONS: dict[str, tuple[type, Any]] = {
    "add_host": (HostName, lambda compute, number, given: compute.add_aggregate_host(number, given.host)),
    "remove_host": (HostName, lambda compute, number, given: compute.remove_aggregate_host(number, given.host)),
    "set_metadata": (NewMetadata,
                     lambda compute, number, given: compute.update_aggregate(number, metadata=given.metadata)),
}


def aggregate_action(request: Request) -> Response:
    body = request.decode(dict[str, Any])
    name = next(iter(body), "")
    if len(body) != 1 or name not in AGGREGATE_ACTIONS:
        raise BadRequest(f"There is no such action: {', '.join(body)}. It takes exactly one.")
    shape, do = AGGREGATE_ACTIONS[name]
    try:
        given = msgspec.convert(body[name], shape)
    except msgspec.ValidationError as error:
        raise BadRequest(field_message(error)) from None
    return answer(request, do(request.cloud.compute, aggregate_id(request), given))


def cache_images(request: Request) -> Response:
    wanted = [each.id for each in request.decode(CacheImages).cache]
    if len(set(wanted)) < len(wanted):
        raise BadRequest("Duplicate images in request")
    request.cloud.compute.cache_images(request.context, aggregate_id(request), wanted)
    return Response(202)


# -- server groups

POLICIES = ("affinity", "anti-affinity", "soft-affinity", "soft-anti-affinity")


class Rules(Body):
    max_server_per_host: wire.Whole | UnsetType = UNSET


class GroupNew(Body):
    name: Name
    policies: list[str] | UnsetType = UNSET
    policy: str | UnsetType = UNSET
    rules: Rules | UnsetType = UNSET


class CreateGroup(Body):
    server_group: GroupNew


def group_view(request: Request, group: Group) -> dict[str, Any]:
    row = group.row
    body: dict[str, Any] = {"id": row.id, "name": row.name, "members": group.members}
    if request.at_least(2, 64):
        limit = row.max_server_per_host
        body |= {"policy": row.policy, "rules": {} if limit is None else {"max_server_per_host": limit}}
    else:
        body |= {"policies": [row.policy], "metadata": {}}
    return body | {"project_id": row.project_id, "user_id": row.user_id} if request.at_least(2, 13) else body


def groups(request: Request) -> Response:
    limit, offset = limit_of(request), integer(request.arg("offset", "0"), "offset")
    found = request.cloud.compute.groups(request.context, all_projects="all_projects" in request.query,
                                         offset=offset, limit=limit or None)
    return Response(200, {"server_groups": [group_view(request, each) for each in found]})


def group(request: Request) -> Response:
    found = request.cloud.compute.group(request.context, request.params["group_id"])
    return Response(200, {"server_group": group_view(request, found)})


def create_group(request: Request) -> Response:
    new = request.decode(CreateGroup).server_group
    policy = policy_of(request, new)
    made = request.cloud.compute.create_group(request.context, new.name, policy, rule_of(new, policy))
    return Response(200, {"server_group": group_view(request, made)})


def policy_of(request: Request, new: GroupNew) -> str:
    """One policy: in a list before 2.64, and the soft ones from 2.15 on. Raises BadRequest."""
    plain = request.at_least(2, 64)
    other = [name for name in (("policies",) if plain else ("policy", "rules")) if getattr(new, name) is not UNSET]
    if other:
        raise wire.unexpected("server_group", other[0])
    given = [new.policy] if plain and new.policy is not UNSET else [] if plain else new.policies or []
    known = POLICIES if request.at_least(2, 15) else POLICIES[:2]
    if len(given) != 1 or given[0] not in known:
        raise wire.invalid("policy" if plain else "policies", f"Value: {given}. It takes one of {', '.join(known)}.")
    return given[0]


def rule_of(new: GroupNew, policy: str) -> int | None:
    if new.rules is UNSET or new.rules.max_server_per_host is UNSET:
        return None
    if policy != "anti-affinity":
        raise BadRequest("Only anti-affinity policy supports rules.")
    return wire.whole(new.rules.max_server_per_host, "max_server_per_host", 1)


def delete_group(request: Request) -> Response:
    request.cloud.compute.delete_group(request.context, request.params["group_id"])
    return Response(204)
