"""What Image answers: the Image API v2."""

from __future__ import annotations

import html
import re
from typing import Any
from urllib.parse import urlencode

from pilvi.faults import BadRequest, Fault, NotFound, RangeNotSatisfiable, UnsupportedMediaType
from pilvi.http.pagination import next_link
from pilvi.http.request import Request, Response
from pilvi.http.routing import Api, Route
from pilvi.image import handlers_imports as imports
from pilvi.image import handlers_metadefs, listing, patch, wire
from pilvi.image.imports import METHODS
from pilvi.image.policy import RULES
from pilvi.image.schemas import SCHEMAS
from pilvi.image.schemas_metadefs import METADEFS, TASKS

PREFIX = "/image"
CURRENT, SUPPORTED = "v2.17", tuple(f"v2.{minor}" for minor in range(16, -1, -1))


def fault(problem: Fault) -> Response:
    """A page of HTML, as Image answers."""
    title = f"{problem.status} {problem.title}"
    page = (
        f"<html>\n <head>\n  <title>{title}</title>\n </head>\n <body>\n  <h1>{title}</h1>\n"
        f"  {html.escape(problem.message, quote=False)}<br /><br />\n\n\n </body>\n</html>"
    )
    return Response(problem.status, page.encode(), content_type="text/html; charset=UTF-8")


# -- versions, schemas, information


def _versions(request: Request) -> dict[str, Any]:
    link = {"rel": "self", "href": f"{request.base_url}{PREFIX}/v2/"}
    return {
        "versions": [
            {"id": name, "status": "CURRENT" if name == CURRENT else "SUPPORTED", "links": [link]}
            for name in (CURRENT, *SUPPORTED)
        ]
    }


def choose_version(request: Request) -> Response:
    return Response(300, _versions(request))


def show_versions(request: Request) -> Response:
    return Response(200, _versions(request))


def _schema(found: dict[str, Any] | None) -> Response:
    if found is None:
        raise NotFound("The resource could not be found.")
    return Response(200, found)


def show_schema(request: Request) -> Response:
    name = request.params["name"]
    return _schema(SCHEMAS.get(name) or TASKS.get(name))


def show_metadef_schema(request: Request) -> Response:
    return _schema(METADEFS.get(request.params["name"]))


# -- images


def create_image(request: Request) -> Response:
    values, properties = wire.attributes(request.decode(dict[str, Any]))
    image = request.cloud.image.create(request.context, values, properties)
    return Response(
        201,
        image,
        {
            "Location": f"{request.base_url}{PREFIX}{image['self']}",
            "OpenStack-image-import-methods": ",".join(METHODS),
            "OpenStack-image-store-ids": ",".join(request.cloud.image.stores.folders()),
        },
    )


def show_image(request: Request) -> Response:
    return Response(200, request.cloud.image.show(request.context, request.params["image_id"]))


def list_images(request: Request) -> Response:
    wanted = listing.parse(request.query)
    images = request.cloud.image.list(request.context, wanted)
    query = [(name, value) for name, values in request.query.items() if name != "marker" for value in values]
    answer = {
        "images": images,
        "first": "/v2/images" + ("?" + urlencode(query) if query else ""),
        "schema": "/v2/schemas/images",
    }
    if images and len(images) == wanted.limit:
        answer["next"] = next_link(request, images[-1]["id"]).removeprefix(request.base_url + PREFIX)
    return Response(200, answer)


def update_image(request: Request) -> Response:
    media_type = request.headers.get("content-type", "").partition(";")[0].strip()
    changes = patch.parse(media_type, request.decode(Any) if "json" in media_type else None)
    return Response(200, request.cloud.image.update(request.context, request.params["image_id"], changes))


def delete_image(request: Request) -> Response:
    request.cloud.image.delete(request.context, request.params["image_id"])
    return Response(204)


def add_tag(request: Request) -> Response:
    request.cloud.image.add_tag(request.context, request.params["image_id"], request.params["tag"])
    return Response(204)


def delete_tag(request: Request) -> Response:
    request.cloud.image.delete_tag(request.context, request.params["image_id"], request.params["tag"])
    return Response(204)


def deactivate_image(request: Request) -> Response:
    request.cloud.image.deactivate(request.context, request.params["image_id"])
    return Response(204)


def reactivate_image(request: Request) -> Response:
    request.cloud.image.reactivate(request.context, request.params["image_id"])
    return Response(204)


# -- data


def _length(request: Request) -> int | None:
    """The announced size. Raises UnsupportedMediaType, BadRequest."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip()
    if kind != "application/octet-stream":
        raise UnsupportedMediaType(f"Unsupported Content-Type {kind}: send application/octet-stream.")
    sizes = {
        text for name in ("content-length", "x-openstack-image-size") if (text := request.headers.get(name))
    }
    if (
        not all(text.isascii() and text.isdigit() and len(text) < 20 for text in sizes)
        or len(set(map(int, sizes))) > 1
    ):
        raise BadRequest(
            "The announced size of the data is not a whole number, or contradicts the Content-Length."
        )
    return int(sizes.pop()) if sizes else None


async def upload_file(request: Request) -> Response:
    await request.cloud.image.receive(
        request.context,
        request.params["image_id"],
        _length(request),
        request.stream,
        request.headers.get("x-image-meta-store"),
    )
    return Response(204)


async def stage_file(request: Request) -> Response:
    await request.cloud.image.receive(
        request.context, request.params["image_id"], _length(request), request.stream, staging=True
    )
    return Response(204)


def _range(header: str | None, size: int) -> tuple[int, int] | None:
    """The first byte and the one after the last, of RFC 9110's single byte range; None: the whole.

    Raises RangeNotSatisfiable."""
    found = header and re.fullmatch(r"bytes=(\d{1,19})?-(\d{1,19})?", header.strip())
    if not header:
        return None
    refusal = RangeNotSatisfiable(
        f"The byte range {header!r} is not valid for an image of {size} bytes.",
        headers={"Content-Range": f"bytes */{size}"},
    )
    if not found or (found.group(1) is None and found.group(2) is None):
        raise refusal
    first, last = (None if text is None else int(text) for text in found.groups())
    start = max(size - last, 0) if first is None else first
    end = size if first is None or last is None else min(last + 1, size)
    if start >= end:
        raise refusal
    return start, end


async def download_file(request: Request) -> Response:
    images, preferred = request.cloud.image, list(filter(None, (request.arg("prefer") or "").split(",")))
    found = await images.in_thread(images.open_data, request.context, request.params["image_id"], preferred)
    if found is None or found.size == 0:
        return Response(204)
    part = _range(request.headers.get("range"), found.size)
    start, end = part or (0, found.size)
    headers = {"Accept-Ranges": "bytes"}
    if part is not None:
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{found.size}"
    elif found.md5 is not None:
        headers["Content-MD5"] = found.md5
    return Response(
        200 if part is None else 206,
        None,
        headers,
        "application/octet-stream",
        images.send(found, start, end - start),
        end - start,
    )


# -- members


def list_members(request: Request) -> Response:
    found = request.cloud.image.members(request.context, request.params["image_id"])
    return Response(200, {"members": found, "schema": "/v2/schemas/members"})


def show_member(request: Request) -> Response:
    return Response(200, request.cloud.image.member(request.context, **request.params))


def add_member(request: Request) -> Response:
    member = request.decode(wire.MemberRequest).member
    return Response(200, request.cloud.image.add_member(request.context, request.params["image_id"], member))


def update_member(request: Request) -> Response:
    status = request.decode(wire.MemberStatusRequest).status
    return Response(
        200, request.cloud.image.set_member_status(request.context, **request.params, status=status)
    )


def delete_member(request: Request) -> Response:
    request.cloud.image.delete_member(request.context, **request.params)
    return Response(204)


_IMAGE = "/v2/images/{image_id}"

ROUTES = (
    Route("GET", "", choose_version, None),
    Route("GET", "/versions", show_versions, None),
    Route("GET", "/v2", choose_version, None),
    Route("GET", "/v2/schemas/{name}", show_schema, "get_schema"),
    Route("GET", "/v2/schemas/metadefs/{name}", show_metadef_schema, "get_schema"),
    Route("GET", "/v2/info/import", imports.show_import_info, "get_info"),
    Route("GET", "/v2/info/stores", imports.show_stores, "get_info"),
    Route("GET", "/v2/info/stores/detail", imports.show_stores_detail, "stores_info_detail"),
    Route("GET", "/v2/info/usage", imports.show_usage, "get_usage"),
    Route("DELETE", "/v2/stores/{store}/{image_id}", imports.delete_from_store, "delete_image_location"),
    Route("GET", "/v2/tasks", imports.list_tasks, "get_tasks"),
    Route("POST", "/v2/tasks", imports.create_task, "add_task"),
    Route("GET", "/v2/tasks/{task_id}", imports.show_task, "get_tasks"),
    Route("GET", "/v2/cache", imports.show_cache, "cache"),
    Route("DELETE", "/v2/cache", imports.clear_cache, "cache"),
    Route("PUT", "/v2/cache/{image_id}", imports.queue_for_cache, "cache"),
    Route("DELETE", "/v2/cache/{image_id}", imports.delete_from_cache, "cache"),
    Route("GET", "/v2/images", list_images, "get_images"),
    Route("POST", "/v2/images", create_image, "add_image"),
    Route("GET", _IMAGE, show_image, "get_image"),
    Route("PATCH", _IMAGE, update_image, "modify_image"),
    Route("DELETE", _IMAGE, delete_image, "delete_image"),
    Route("PUT", _IMAGE + "/file", upload_file, "upload_image", stream=True),
    Route("GET", _IMAGE + "/file", download_file, "download_image", stream=True),
    Route("PUT", _IMAGE + "/stage", stage_file, "upload_image", stream=True),
    Route("POST", _IMAGE + "/import", imports.import_image, "upload_image"),
    Route("GET", _IMAGE + "/tasks", imports.list_image_tasks, "get_image"),
    Route("GET", _IMAGE + "/locations", imports.list_locations, "get_locations"),
    Route("POST", _IMAGE + "/locations", imports.add_location, "add_location"),
    Route("PUT", _IMAGE + "/tags/{tag}", add_tag, "modify_image"),
    Route("DELETE", _IMAGE + "/tags/{tag}", delete_tag, "modify_image"),
    Route("POST", _IMAGE + "/actions/deactivate", deactivate_image, "deactivate"),
    Route("POST", _IMAGE + "/actions/reactivate", reactivate_image, "reactivate"),
    Route("GET", _IMAGE + "/members", list_members, "get_members"),
    Route("POST", _IMAGE + "/members", add_member, "add_member"),
    Route("GET", _IMAGE + "/members/{member_id}", show_member, "get_members"),
    Route("PUT", _IMAGE + "/members/{member_id}", update_member, "modify_member"),
    Route("DELETE", _IMAGE + "/members/{member_id}", delete_member, "delete_member"),
    *handlers_metadefs.ROUTES,
)

API = Api("image", PREFIX, ROUTES, RULES, fault, strict_slash=True)
