"""Flavors and key pairs."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET

from pilvi.compute import keypairs, views, wire
from pilvi.compute.extra_specs import check as check_extra_spec
from pilvi.faults import BadRequest, Forbidden, NotFound
from pilvi.http.pagination import limit_of, next_links
from pilvi.http.request import Request, Response, integer

# -- flavors


def flavors(request: Request) -> Response:
    return flavor_page(request, views.flavor_brief)


def flavors_detail(request: Request) -> Response:
    return flavor_page(request, views.flavor)


def flavor_page(request: Request, render: Any) -> Response:
    limit = limit_of(request)
    direction = request.arg("sort_dir", "asc")
    if direction not in ("asc", "desc"):
        raise wire.invalid("sort_dir", f"Value: {direction}. It must be asc or desc.")
    rows = request.cloud.compute.flavors(
        request.context, is_public=wanted_public(request), limit=limit, marker=request.arg("marker"),
        min_ram=integer(request.arg("minRam", "0"), "minRam"), descending=direction == "desc",
        min_disk=integer(request.arg("minDisk", "0"), "minDisk"),
        name=request.arg("name") if request.at_least(2, 102) else None,
        sort_key=request.arg("sort_key", "flavorid"))
    body: dict[str, Any] = {"flavors": [render(request, row) for row in rows]}
    if links := next_links(request, rows, limit, rows[-1].id if rows else ""):
        body["flavors_links"] = links
    return Response(200, body)


def wanted_public(request: Request) -> bool | None:
    """None, for administrators only: public and private ones."""
    text = request.arg("is_public")
    if text is None or not request.context.is_admin:
        return True
    return None if text.lower() == "none" else request.flag("is_public")


def flavor(request: Request) -> Response:
    row = request.cloud.compute.flavor(request.context, request.params["flavor_id"])
    return Response(200, {"flavor": views.flavor(request, row)})


def create_flavor(request: Request) -> Response:
    new = request.decode(wire.CreateFlavor).flavor
    if new.description is not UNSET and not request.at_least(2, 55):
        raise wire.unexpected("flavor", "description")
    if new.rxtx_factor is not UNSET and request.at_least(2, 102):
        raise wire.unexpected("flavor", "rxtx_factor")
    row = request.cloud.compute.create_flavor(
        name=new.name, id=flavor_id(new), vcpus=wire.whole(new.vcpus, "vcpus", 1),
        ram=wire.whole(new.ram, "ram", 1), disk=wire.whole(new.disk, "disk"),
        swap=wire.whole(new.swap, "swap"), rxtx_factor=rxtx_factor(new),
        ephemeral=wire.whole(new.ephemeral, "OS-FLV-EXT-DATA:ephemeral"),
        is_public=wire.truth(new.is_public, "os-flavor-access:is_public"),
        description=new.description or None)
    return Response(200, {"flavor": views.flavor(request, row)})


def flavor_id(new: wire.FlavorNew) -> str | None:
    """None: one is made up, as for the clients' word "auto"."""
    return None if new.id in (None, "auto") else str(new.id)


def rxtx_factor(new: wire.FlavorNew) -> float:
    try:
        factor = 1.0 if new.rxtx_factor is UNSET else float(new.rxtx_factor)
    except ValueError:
        factor = 0.0
    if not 0 < factor < 3.4e38:
        raise wire.invalid("rxtx_factor", f"Value: {new.rxtx_factor}. It must be a number greater than 0.")
    return factor


def update_flavor(request: Request) -> Response:
    changes = request.decode(wire.UpdateFlavor).flavor
    row = request.cloud.compute.update_flavor(request.params["flavor_id"], changes.description)
    return Response(200, {"flavor": views.flavor(request, row)})


def delete_flavor(request: Request) -> Response:
    request.cloud.compute.delete_flavor(request.params["flavor_id"])
    return Response(202)


def extra_specs(request: Request) -> Response:
    row = request.cloud.compute.flavor(request.context, request.params["flavor_id"])
    return Response(200, {"extra_specs": row.extra_specs})


def add_extra_specs(request: Request) -> Response:
    specs = {name: str(value) for name, value in request.decode(wire.ExtraSpecs).extra_specs.items()}
    if request.at_least(2, 86):
        for name, value in specs.items():
            check_extra_spec(name, value)
    request.cloud.compute.add_extra_specs(request.params["flavor_id"], specs)
    return Response(200, {"extra_specs": specs})


def extra_spec(request: Request) -> Response:
    flavor_id, key = request.params["flavor_id"], request.params["key"]
    specs = request.cloud.compute.flavor(request.context, flavor_id).extra_specs
    if key not in specs:
        raise NotFound(f"Flavor {flavor_id} has no extra specs with key {key}.")
    return Response(200, {key: specs[key]})


def set_extra_spec(request: Request) -> Response:
    new, key = request.decode(dict[wire.MetadataKey, wire.Text255 | int | float]), request.params["key"]
    if list(new) != [key]:
        raise BadRequest("Request body and URI mismatch")
    if request.at_least(2, 86):
        check_extra_spec(key, str(new[key]))
    request.cloud.compute.add_extra_specs(request.params["flavor_id"], {key: str(new[key])})
    return Response(200, {key: str(new[key])})


def delete_extra_spec(request: Request) -> Response:
    request.cloud.compute.remove_extra_spec(request.params["flavor_id"], request.params["key"])
    return Response(200)


def flavor_access(request: Request) -> Response:
    flavor_id = request.params["flavor_id"]
    return access_view(flavor_id, request.cloud.compute.flavor_access(flavor_id))


def access_view(flavor_id: str, projects: list[str]) -> Response:
    access = [{"flavor_id": flavor_id, "tenant_id": project_id} for project_id in projects]
    return Response(200, {"flavor_access": access})


def flavor_action(request: Request) -> Response:
    """addTenantAccess and removeTenantAccess."""
    body = request.decode(dict[str, wire.Access])
    verbs = {"addTenantAccess": "add_flavor_access", "removeTenantAccess": "remove_flavor_access"}
    name = next(iter(body), "")
    if len(body) != 1 or name not in verbs:
        raise BadRequest(f"There is no such action: {', '.join(body)}.")
    flavor_id = request.params["flavor_id"]
    change = getattr(request.cloud.compute, verbs[name])
    return access_view(flavor_id, change(flavor_id, body[name].tenant))


# -- key pairs


def keypair_list(request: Request) -> Response:
    paged = request.at_least(2, 35)
    limit = limit_of(request) if paged else None
    rows = request.cloud.compute.keypairs(
        request.context, user_id=whose(request), limit=limit, marker=request.arg("marker") if paged else None)
    body: dict[str, Any] = {"keypairs": [{"keypair": views.keypair_brief(request, row)} for row in rows]}
    if limit and (links := next_links(request, rows, limit, rows[-1].name if rows else "")):
        body["keypairs_links"] = links
    return Response(200, body)


def whose(request: Request, asked: str | None = None) -> str | None:
    """From 2.10 on an administrator may name another user."""
    asked = asked or (request.arg("user_id") if request.at_least(2, 10) else None)
    if asked and asked != request.context.user_id and not request.context.is_admin:
        raise Forbidden("Policy doesn't allow os_compute_api:os-keypairs to be performed for another user.")
    return asked


def keypair(request: Request) -> Response:
    row = request.cloud.compute.keypair(request.context, request.params["name"], whose(request))
    return Response(200, {"keypair": views.keypair(request, row)})


def create_keypair(request: Request) -> Response:
    """The private key of a generated pair is in this answer, and nowhere else."""
    new = request.decode(wire.CreateKeypair).keypair
    check_keypair(request, new)
    user_id, kind = whose(request, new.user_id or None), new.type or "ssh"
    private, public = (None, new.public_key) if new.public_key else generated(request, kind, user_id)
    row = request.cloud.compute.create_keypair(request.context, new.name, public, type=kind, user_id=user_id)
    body = views.keypair_brief(request, row) | {"user_id": row.user_id}
    if private:
        body["private_key"] = private
    return Response(201 if request.at_least(2, 2) else 200, {"keypair": body})


def generated(request: Request, kind: str, user_id: str | None) -> tuple[str, str]:
    """(the private half, the public half)"""
    if kind == "ssh":
        return keypairs.generate("Generated-by-Pilvi")
    owner, serial = user_id or request.context.user_id, int(request.cloud.ids.hex(), 16) >> 1
    return keypairs.generate_certificate(owner, request.cloud.clock.now(), serial)


def check_keypair(request: Request, new: wire.KeypairNew) -> None:
    for name, since in (("type", (2, 2)), ("user_id", (2, 10))):
        if getattr(new, name) is not UNSET and request.version < since:
            raise wire.unexpected("keypair", name)
    if new.public_key is UNSET and request.at_least(2, 92):
        raise wire.invalid("keypair", "'public_key' is a required property: from microversion 2.92 on key "
                                      "pairs are imported only.")
    if not request.at_least(2, 92):
        wire.check(new.name, wire.KeyName, "name")
    if new.public_key == "":
        raise wire.invalid("public_key", "It is empty.")


def delete_keypair(request: Request) -> Response:
    request.cloud.compute.delete_keypair(request.context, request.params["name"], whose(request))
    return Response(204 if request.at_least(2, 2) else 202)
