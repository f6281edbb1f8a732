"""Images by Compute's old names (until 2.35, their metadata until 2.38), from the Image service."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pilvi.compute import wire
from pilvi.compute.views import links
from pilvi.engine.clock import parse_time
from pilvi.faults import BadRequest, NotFound, OverLimit
from pilvi.http.pagination import limit_of, next_links
from pilvi.http.request import Request, Response
from pilvi.quota import UNLIMITED

STATUSES = {"active": "ACTIVE", "queued": "SAVING", "saving": "SAVING", "uploading": "SAVING", "importing": "SAVING",
            "killed": "ERROR", "deleted": "DELETED", "pending_delete": "DELETED"}
PROGRESS = {"queued": 25, "saving": 50, "active": 100}
# What of a list's query goes by another name in Image.
FILTERS = {"name": "name", "minRam": "min_ram", "minDisk": "min_disk", "type": "image_type"}


def image_links(request: Request, image_id: str) -> list[dict[str, str]]:
    return [*links(request, "images", image_id),
            {"rel": "alternate", "type": "application/vnd.openstack.image",
             "href": f"{request.base_url}/image/images/{image_id}"}]


def properties_of(request: Request, image: dict[str, Any]) -> dict[str, str]:
    return {name: value for name, value in image.items() if name not in request.cloud.image.ATTRIBUTES}


def image_view(request: Request, image: dict[str, Any]) -> dict[str, Any]:
    properties = properties_of(request, image)
    body = {
        "id": image["id"], "name": image["name"], "minDisk": image["min_disk"], "minRam": image["min_ram"],
        "created": image["created_at"], "updated": image["updated_at"], "metadata": properties,
        "status": STATUSES.get(image["status"], "UNKNOWN"), "progress": PROGRESS.get(image["status"], 0),
        "OS-EXT-IMG-SIZE:size": image["size"], "links": image_links(request, image["id"]),
    }
    if server_id := properties.get("instance_uuid"):
        body["server"] = {"id": server_id, "links": links(request, "servers", server_id)}
    return body


def images(request: Request) -> Response:
    return page(request, lambda image: {"id": image["id"], "name": image["name"],
                                        "links": image_links(request, image["id"])})


def images_detail(request: Request) -> Response:
    return page(request, lambda image: image_view(request, image))


def page(request: Request, render: Callable[[dict[str, Any]], dict[str, Any]]) -> Response:
    limit = limit_of(request)
    found = request.cloud.image.browse(request.context, {**filters(request), "limit": [str(limit)]})
    body: dict[str, Any] = {"images": [render(image) for image in found]}
    if further := next_links(request, found, limit, found[-1]["id"] if found else ""):
        body["images_links"] = further
    return Response(200, body)


def filters(request: Request) -> dict[str, list[str]]:
    """What the Image API is asked for a list. Raises BadRequest."""
    wanted = {FILTERS[name]: values[-1:] for name, values in request.query.items() if name in FILTERS}
    wanted |= {name[len("property-"):]: values[-1:] for name, values in request.query.items()
               if name.startswith("property-")}
    if status := request.arg("status"):
        known = [theirs for theirs, ours in STATUSES.items() if ours == status.upper()]
        wanted["status"] = ["in:" + ",".join(known or [status.lower()])]
    if server := request.arg("server"):
        wanted["instance_uuid"] = [server.rstrip("/").rsplit("/", 1)[-1]]
    if since := request.arg("changes-since"):
        try:
            parse_time(since.replace(" ", "+"))
        except ValueError:
            raise wire.invalid("changes-since", f"Value: {since}. It is no time.") from None
        wanted["updated_at"] = ["gte:" + since.replace(" ", "+")]
    if (marker := request.arg("marker")) is not None:
        wanted["marker"] = [marker]
    return wanted


def found_image(request: Request) -> dict[str, Any]:
    try:
        return request.cloud.image.show(request.context, request.params["image_id"])
    except NotFound:
        raise NotFound("Image not found.") from None


def image(request: Request) -> Response:
    return Response(200, {"image": image_view(request, found_image(request))})


def delete_image(request: Request) -> Response:
    request.cloud.image.delete(request.context, request.params["image_id"])
    return Response(204)


# -- metadata


def image_metadata(request: Request) -> Response:
    return Response(200, {"metadata": properties_of(request, found_image(request))})


def merge_image_metadata(request: Request) -> Response:
    new = request.decode(wire.MetadataBody).metadata
    return Response(200, {"metadata": changed(request, lambda old: {**old, **new})})


def replace_image_metadata(request: Request) -> Response:
    new = request.decode(wire.MetadataBody).metadata
    return Response(200, {"metadata": changed(request, lambda _: new)})


def changed(request: Request, change: Callable[[dict[str, str]], dict[str, str]]) -> dict[str, str]:
    """The image's properties afterwards. Raises OverLimit where there would be too many."""
    image = found_image(request)
    old = properties_of(request, image)
    new = change(dict(old))
    allowed = request.cloud.compute.quota_limits(request.context.project_id or "")["metadata_items"]
    if allowed != UNLIMITED and len(new) > allowed:
        raise OverLimit(f"Image metadata limit exceeded: {allowed} items")
    changes = {name: new.get(name) for name in old | new if old.get(name) != new.get(name)}
    return properties_of(request, request.cloud.image.change_properties(request.context, image["id"], changes))


def image_metadata_item(request: Request) -> Response:
    key = request.params["key"]
    found = properties_of(request, found_image(request))
    if key not in found:
        raise NotFound("Metadata item was not found")
    return Response(200, {"meta": {key: found[key]}})


def set_image_metadata_item(request: Request) -> Response:
    new, key = request.decode(wire.MetadataItem).meta, request.params["key"]
    if key not in new:
        raise BadRequest("Request body and URI mismatch")
    changed(request, lambda old: {**old, **new})
    return Response(200, {"meta": new})


def delete_image_metadata_item(request: Request) -> Response:
    key = request.params["key"]

    def without(old: dict[str, str]) -> dict[str, str]:
        if key not in old:
            raise NotFound("Metadata item was not found")
        return {name: value for name, value in old.items() if name != key}

    changed(request, without)
    return Response(204)
