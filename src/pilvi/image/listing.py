"""What a listing's query asks for: filters, order and page, as the Image API reads them."""

from __future__ import annotations

import csv
import operator
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from pilvi.engine.clock import parse_time
from pilvi.faults import BadRequest
from pilvi.http.request import boolean, integer
from pilvi.image import store
from pilvi.image.tables import images
from pilvi.image.wire import MEMBER_STATUSES, VISIBILITIES

DEFAULT_LIMIT, MAX_LIMIT = 25, 1000
SORT_KEYS = (
    "name",
    "status",
    "container_format",
    "disk_format",
    "size",
    "id",
    "created_at",
    "updated_at",
    "owner",
    "visibility",
    "min_disk",
    "min_ram",
    "virtual_size",
)
_TEXT = ("id", "name", "status", "owner", "disk_format", "container_format", "checksum", "os_hash_value")
_IN = ("id", "name", "status", "disk_format", "container_format")  # where the operator in: is known
_WHOLE = ("size", "virtual_size", "min_disk", "min_ram")
_TIME_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "gt": operator.gt,
    "gte": operator.ge,
    "lt": operator.lt,
    "lte": operator.le,
    "eq": operator.eq,
    "neq": operator.ne,
}
_MAX = 2**63 - 1


class Listing(msgspec.Struct, kw_only=True):
    limit: int
    marker: str | None
    sort: list[tuple[str, str]]
    visibility: str | None
    member_statuses: Sequence[str]
    conditions: list[Any]


def parse(query: dict[str, list[str]]) -> Listing:
    """Raises BadRequest that names the parameter."""
    given = {name: values[-1] for name, values in query.items()}
    limit = given.get("limit")
    status = given.get("member_status", "accepted")
    if status not in (*MEMBER_STATUSES, "all"):
        raise BadRequest(f"Invalid status: {status}. It is one of {', '.join(MEMBER_STATUSES)}, all.")
    visibility = given.get("visibility")
    if visibility not in (None, *VISIBILITIES, "all"):
        raise BadRequest(
            f"Invalid visibility value: {visibility}. It is one of {', '.join(VISIBILITIES)}, all."
        )
    return Listing(
        limit=DEFAULT_LIMIT if limit is None else min(integer(limit, "limit"), MAX_LIMIT),
        marker=given.get("marker"),
        sort=_sort(query),
        visibility=visibility,
        member_statuses=MEMBER_STATUSES if status == "all" else (status,),
        conditions=_conditions(query, given),
    )


def _sort(query: dict[str, list[str]]) -> list[tuple[str, str]]:
    keys, ways = query.get("sort_key", []), query.get("sort_dir", [])
    if "sort" in query:
        if keys or ways:
            raise BadRequest(
                "Old and new sorting syntax cannot be combined: use sort, or sort_key and sort_dir."
            )
        pairs = [part.strip().partition(":") for part in query["sort"][-1].split(",")]
        chosen = [(key, way or "desc") for key, _, way in pairs]
    else:
        if len(ways) > max(len(keys), 1) or len(ways) not in (0, 1, len(keys)):
            raise BadRequest("Number of sort dirs does not match the number of sort keys.")
        keys = keys or ["created_at"]
        ways = ways * len(keys) if len(ways) == 1 else ways or ["desc"] * len(keys)
        chosen = list(zip(keys, ways, strict=True))
    for key, way in chosen:
        if key not in SORT_KEYS:
            raise BadRequest(f"Invalid sort key: {key}. It must be one of: {', '.join(SORT_KEYS)}.")
        if way not in ("asc", "desc"):
            raise BadRequest(f"Invalid sort direction: {way}. It is asc or desc.")
    for key in ("created_at", "id"):
        if key not in dict(chosen):
            chosen.append((key, chosen[0][1]))
    return chosen


_PAGING = frozenset({"limit", "marker", "sort", "sort_key", "sort_dir", "visibility", "member_status"})


def _conditions(query: dict[str, list[str]], given: dict[str, str]) -> list[Any]:
    found = [] if "os_hidden" in given else [images.c.os_hidden.is_(False)]
    for name, text in given.items():
        if name in _PAGING:
            continue
        elif name == "tag":
            found += [store.has_tag(tag) for tag in query["tag"]]
        elif name in ("protected", "os_hidden"):
            found.append(images.c[name].is_(boolean(text, name)))
        elif name in ("size_min", "size_max"):
            bound = integer(text, name, 0, _MAX)
            found.append(images.c.size >= bound if name == "size_min" else images.c.size <= bound)
        elif name in _WHOLE:
            found.append(images.c[name] == integer(text, name, 0, _MAX))
        elif name in ("created_at", "updated_at"):
            found.append(_time(name, text))
        elif name in _TEXT:
            found.append(_text(name, text))
        else:
            found.append(store.has_property(name, text))
    return found


def _text(name: str, text: str) -> Any:
    if name in _IN and text.startswith("in:"):
        return images.c[name].in_(_values(text[3:], name))
    return images.c[name] == text.removeprefix("eq:")


def _values(text: str, name: str) -> list[str]:
    """Of a list with commas, where a value that holds a comma stands in quotes."""
    try:
        return next(csv.reader([text], strict=True, skipinitialspace=True), [])
    except csv.Error as error:
        raise BadRequest(f"Invalid filter value for {name}: {text}: {error}.") from None


def _time(name: str, text: str) -> Any:
    word, colon, rest = text.partition(":")
    how, moment = (_TIME_OPERATORS[word], rest) if colon and word in _TIME_OPERATORS else (operator.eq, text)
    try:
        wanted = parse_time(moment)
    except (ValueError, OverflowError):
        raise BadRequest(
            f"Invalid input for {name}: {text}. Write an ISO 8601 time, with one of "
            f"{', '.join(_TIME_OPERATORS)} and a colon before it."
        ) from None
    seconds = images.c[name] - images.c[name] % sa.literal(
        1_000_000
    )  # shown, and so compared, in whole seconds
    return how(seconds, wanted - wanted % 1_000_000)
