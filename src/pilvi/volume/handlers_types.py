"""Types of volumes, their extra specs, access, encryption and QoS over the API."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET

from pilvi.engine.clock import micros_text
from pilvi.faults import BadRequest, NotFound
from pilvi.http.request import Request, Response
from pilvi.policy import ADMIN
from pilvi.volume import listing, views, wire
from pilvi.volume.handlers_volumes import ACCEPTED, Action, run

SORTABLE = frozenset({"id", "name", "created_at", "updated_at"})


def list_types(request: Request) -> Response:
    filters = {"is_public", "name"} | ({"extra_specs"} if request.at_least(3, 52) else set())
    query = request.query
    if (query.get("is_public") or [""])[-1].lower() == "none":
        query.pop("is_public")  # both kinds, which is what there is without
    specs = query.pop("extra_specs", None) if request.at_least(3, 52) else None
    asked = listing.parse(request, filters, SORTABLE)
    if specs:
        asked.filters["extra_specs"] = listing.dictionary("extra_specs", specs[-1])
    rows, count = request.cloud.volume.volume_types(request.context, asked)
    shown = [views.volume_type(request, row) for row in rows]
    return Response(200, listing.links(request, "volume_types", shown, asked, count))


def show_type(request: Request) -> Response:
    row = request.cloud.volume.volume_type(request.context, request.params["type_id"])
    return Response(200, {"volume_type": views.volume_type(request, row)})


def show_default(request: Request) -> Response:
    row = request.cloud.volume.default_type_of(request.context)
    return Response(200, {"volume_type": views.volume_type(request, row)})


def create_type(request: Request) -> Response:
    body = request.decode(wire.NewTypeRequest).volume_type
    row = request.cloud.volume.create_type(body.name.strip(), body.description, wire.flag(body.is_public, "is_public"),
                                           body.extra_specs or {})
    shown = views.volume_type(request, row)
    shown.pop("qos_specs_id")
    return Response(200, {"volume_type": shown})


def update_type(request: Request) -> Response:
    body = request.decode(wire.ChangedTypeRequest).volume_type
    values = wire.set_fields(body, "name", "description", "is_public")
    if values.get("name", "") is None:
        values.pop("name")
    if "is_public" in values:
        values["is_public"] = wire.flag(values["is_public"], "is_public")
    if not values:
        raise BadRequest("Specify volume type name, description, is_public or a combination thereof.")
    row = request.cloud.volume.update_type(request.context, request.params["type_id"], **values)
    return Response(200, {"volume_type": views.volume_type(request, row, full=False)})


def delete_type(request: Request) -> Response:
    request.cloud.volume.delete_type(request.context, request.params["type_id"])
    return ACCEPTED


# -- extra specs


def list_specs(request: Request) -> Response:
    row = request.cloud.volume.volume_type(request.context, request.params["type_id"])
    return Response(200, {"extra_specs": row.extra_specs})


def create_specs(request: Request) -> Response:
    specs = request.decode(wire.SpecsRequest).extra_specs
    request.cloud.volume.change_specs(request.context, request.params["type_id"], specs)
    return Response(200, {"extra_specs": specs})


def show_spec(request: Request) -> Response:
    key = request.params["key"]
    row = request.cloud.volume.volume_type(request.context, request.params["type_id"])
    if key not in row.extra_specs:
        raise NotFound(f"Volume Type {row.id} has no extra specs with key {key}.")
    return Response(200, {key: row.extra_specs[key]})


def update_spec(request: Request) -> Response:
    specs = wire.spec_of_address(request)
    request.cloud.volume.change_specs(request.context, request.params["type_id"], specs)
    return Response(200, specs)


def delete_spec(request: Request) -> Response:
    request.cloud.volume.change_specs(request.context, request.params["type_id"], {request.params["key"]: None})
    return ACCEPTED


# -- access


def list_access(request: Request) -> Response:
    type_id = request.params["type_id"]
    projects = request.cloud.volume.type_projects(request.context, type_id)
    shown = [{"volume_type_id": type_id, "project_id": each} for each in projects]
    return Response(200, {"volume_type_access": shown})


def act_type(request: Request) -> Response:
    return run(request, ACTIONS, request.params["type_id"])


def add_access(request: Request, key: str, value: Any) -> None:
    project = wire.argument("addProjectAccess", value, wire.Access).project
    request.cloud.volume.add_type_access(request.context, key, project)


def remove_access(request: Request, key: str, value: Any) -> None:
    project = wire.argument("removeProjectAccess", value, wire.Access).project
    request.cloud.volume.remove_type_access(request.context, key, project)


ACTIONS = {"addProjectAccess": Action(add_access, ADMIN), "removeProjectAccess": Action(remove_access, ADMIN)}


# -- a project's default type, from 3.62 on


def list_default_types(request: Request) -> Response:
    shown = [{"project_id": row.project_id, "volume_type_id": row.type_id} for row in request.cloud.volume.default_types()]
    return Response(200, {"default_types": shown})


def show_default_type(request: Request) -> Response:
    project = request.params["target_id"]
    found = request.cloud.volume.default_types(project)
    if not found:
        raise NotFound(f"Default type for project {project} not found.")
    return Response(200, {"default_type": {"project_id": project, "volume_type_id": found[0].type_id}})


def set_default_type(request: Request) -> Response:
    name = request.decode(wire.DefaultTypeRequest).default_type.volume_type
    project = request.params["target_id"]
    row = request.cloud.volume.set_default_type(request.context, project, name)
    return Response(200, {"default_type": {"project_id": project, "volume_type_id": row.id}})


def unset_default_type(request: Request) -> Response:
    request.cloud.volume.unset_default_type(request.params["target_id"])
    return Response(204)


# -- encryption

ENCRYPTION = ("provider", "cipher", "key_size", "control_location")


def show_encryption(request: Request) -> Response:
    row = request.cloud.volume.encryption(request.context, request.params["type_id"])
    if row is None:
        return Response(200, {})
    times = {"created_at": micros_text(row.created_at), "updated_at": views.moment(row.updated_at), "deleted_at": None}
    own = {name: getattr(row, name) for name in ENCRYPTION}
    return Response(200, {"volume_type_id": row.type_id, "encryption_id": row.id, **own, "deleted": False, **times})


def show_encryption_item(request: Request) -> Response:
    key, row = request.params["key"], request.cloud.volume.encryption(request.context, request.params["type_id"])
    if row is None or key not in ENCRYPTION:
        raise NotFound(f"Volume type {request.params['type_id']} has no encryption spec {key}.")
    return Response(200, {key: getattr(row, key)})


def create_encryption(request: Request) -> Response:
    body = request.decode(wire.EncryptionRequest).encryption
    if body.provider is UNSET or body.control_location is UNSET:
        raise BadRequest("Invalid input for field/attribute encryption. It needs provider and control_location.")
    values = {name: None if getattr(body, name) is UNSET else getattr(body, name) for name in ENCRYPTION}
    row = request.cloud.volume.create_encryption(request.context, request.params["type_id"], **values)
    return Response(200, {"encryption": {"volume_type_id": row.type_id, "encryption_id": row.id, **values}})


def update_encryption(request: Request) -> Response:
    values = wire.set_fields(request.decode(wire.EncryptionRequest).encryption, *ENCRYPTION)
    if not values:
        raise BadRequest("Invalid input for field/attribute encryption. Nothing is to be changed.")
    request.cloud.volume.update_encryption(request.context, request.params["type_id"], request.params["key"], **values)
    return Response(200, {"encryption": values})


def delete_encryption(request: Request) -> Response:
    request.cloud.volume.delete_encryption(request.context, request.params["type_id"], request.params["key"])
    return ACCEPTED


# -- QoS

CONSUMERS = ("front-end", "back-end", "both")


def qos_view(row: Any) -> dict[str, Any]:
    return {"id": row.id, "name": row.name, "consumer": row.consumer, "specs": row.specs}


def qos_answer(request: Request, row: Any) -> Response:
    return Response(200, {"qos_specs": qos_view(row), "links": views.links(request, "qos-specs", row.id)})


def list_qos(request: Request) -> Response:
    asked = listing.parse(request, {"id", "name", "consumer"}, SORTABLE - {"updated_at"})
    rows, count = request.cloud.volume.list_qos(asked)
    return Response(200, listing.links(request, "qos_specs", [qos_view(row) for row in rows], asked, count))


def show_qos(request: Request) -> Response:
    return qos_answer(request, request.cloud.volume.show_qos(request.params["qos_id"]))


def _qos_body(request: Request) -> dict[str, str]:
    values = request.decode(dict[str, wire.Specs]).get("qos_specs")
    if values is None or values.get("consumer", "both") not in CONSUMERS:
        raise BadRequest(f"Invalid input for field/attribute qos_specs. Its consumer is one of {', '.join(CONSUMERS)}.")
    return dict(values)


def create_qos(request: Request) -> Response:
    specs = _qos_body(request)
    name, consumer = specs.pop("name", "").strip(), specs.pop("consumer", "back-end")
    if not name:
        raise BadRequest("Invalid input for field/attribute name. It must not be empty.")
    return qos_answer(request, request.cloud.volume.create_qos(name, consumer, specs))


def update_qos(request: Request) -> Response:
    specs = _qos_body(request)
    own = {key: value for key, value in specs.items() if key != "consumer"}
    request.cloud.volume.change_qos(request.params["qos_id"], own, consumer=specs.get("consumer"))
    return Response(200, {"qos_specs": specs})


def unset_qos(request: Request) -> Response:
    request.cloud.volume.change_qos(request.params["qos_id"], {}, request.decode(wire.KeysRequest).keys)
    return ACCEPTED


def delete_qos(request: Request) -> Response:
    request.cloud.volume.delete_qos(request.params["qos_id"], force=bool(request.flag("force", False)))
    return ACCEPTED


def _named_type(request: Request) -> str:
    if not (type_id := request.arg("vol_type_id")):
        raise BadRequest("Volume Type id must not be None.")
    return type_id


def associate(request: Request) -> Response:
    request.cloud.volume.associate(request.context, request.params["qos_id"], _named_type(request))
    return ACCEPTED


def disassociate(request: Request) -> Response:
    request.cloud.volume.disassociate(request.context, request.params["qos_id"], _named_type(request))
    return ACCEPTED


def disassociate_all(request: Request) -> Response:
    request.cloud.volume.disassociate(request.context, request.params["qos_id"], None)
    return ACCEPTED


def associations(request: Request) -> Response:
    shown = [{"association_type": "volume_type", "name": row.name, "id": row.id}
             for row in request.cloud.volume.associations(request.params["qos_id"])]
    return Response(200, {"qos_associations": shown})
