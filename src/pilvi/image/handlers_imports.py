"""Answers about imports and their tasks, stores, locations and the cache."""

from __future__ import annotations

from urllib.parse import urlencode

from pilvi.faults import BadRequest
from pilvi.http.request import Request, Response, integer
from pilvi.image import store_tasks, wire
from pilvi.image.imports import METHODS

MAX_TASKS, DEFAULT_TASKS = 1000, 25
TASK_FILTERS = ("type", "status", "owner")


def show_import_info(request: Request) -> Response:
    methods = {"description": "Import methods available.", "type": "array", "value": METHODS}
    return Response(200, {"import-methods": methods})


def import_image(request: Request) -> Response:
    wanted = request.decode(wire.ImportRequest)
    request.cloud.image.begin_import(
        request.context, request.params["image_id"], wanted, request.headers.get("x-image-meta-store")
    )
    return Response(202)


def list_image_tasks(request: Request) -> Response:
    return Response(200, {"tasks": request.cloud.image.image_tasks(request.context, request.params["image_id"])})


# -- tasks


def create_task(request: Request) -> Response:
    task = request.cloud.image.create_task(request.context, request.decode(wire.TaskRequest))
    return Response(201, task, {"Location": f"{request.base_url}/image{task['self']}"})


def show_task(request: Request) -> Response:
    return Response(200, request.cloud.image.task(request.params["task_id"]))


def list_tasks(request: Request) -> Response:
    key, way = request.arg("sort_key", "created_at"), request.arg("sort_dir", "desc")
    if key not in store_tasks.SORT_KEYS or way not in ("asc", "desc"):
        raise BadRequest(f"Invalid order {key}:{way}: sort by {', '.join(store_tasks.SORT_KEYS)}; asc or desc.")
    filters = {name: value for name in TASK_FILTERS if (value := request.arg(name)) is not None}
    limit = min(integer(request.arg("limit", str(DEFAULT_TASKS)), "limit", 1), MAX_TASKS)
    tasks = request.cloud.image.tasks(filters, key, way == "asc", limit, request.arg("marker"))
    query = [(name, value) for name, values in request.query.items() if name != "marker" for value in values]
    first = "/v2/tasks" + ("?" + urlencode(query) if query else "")
    answer = {"tasks": tasks, "first": first, "schema": "/v2/schemas/tasks"}
    if len(tasks) == limit:
        answer["next"] = "/v2/tasks?" + urlencode([*query, ("marker", tasks[-1]["id"])])
    return Response(200, answer)


# -- stores and locations


def show_stores(request: Request) -> Response:
    return Response(200, {"stores": request.cloud.image.stores.described()})


def show_stores_detail(request: Request) -> Response:
    return Response(200, {"stores": request.cloud.image.stores.described(detail=True)})


def show_usage(request: Request) -> Response:
    return Response(200, {"usage": request.cloud.image.usage(request.context)})


def delete_from_store(request: Request) -> Response:
    request.cloud.image.delete_from_store(request.context, request.params["store"], request.params["image_id"])
    return Response(204)


def list_locations(request: Request) -> Response:
    return Response(200, request.cloud.image.locations(request.params["image_id"]))


def add_location(request: Request) -> Response:
    wanted = request.decode(wire.LocationRequest)
    request.cloud.image.add_location(request.context, request.params["image_id"], wanted)
    return Response(202)


# -- the cache


def show_cache(request: Request) -> Response:
    return Response(200, request.cloud.image.cache_show())


def clear_cache(request: Request) -> Response:
    request.cloud.image.cache_clear(request.headers.get("x-image-cache-clear-target", "both").lower())
    return Response(204)


def queue_for_cache(request: Request) -> Response:
    request.cloud.image.cache_queue(request.params["image_id"])
    return Response(202)


def delete_from_cache(request: Request) -> Response:
    request.cloud.image.cache_delete(request.params["image_id"])
    return Response(204)
