"""What a listing's query asks for: filters, order and page, as the Image API reads them."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from pilvi.engine.clock import parse_time
from pilvi.faults import BadRequest
from pilvi.http.request import boolean, integer
from pilvi.image.wire import MEMBER_STATUSES, VISIBILITIES

DEFAULT_LIMIT, MAX_LIMIT = 25, 1000
SORT_KEYS = (
    *("name", "status", "container_format", "disk_format", "size", "id", "created_at", "updated_at"),
    *("owner", "visibility", "min_disk", "min_ram", "virtual_size"),
)
_TEXT = ("id", "name", "status", "owner", "disk_format", "container_format", "checksum", "os_hash_value")
_IN = ("id", "name", "status", "disk_format", "container_format")  # where the operator in: is known
_WHOLE = ("size", "virtual_size", "min_disk", "min_ram")
_COMPARISONS = {"gt": "gt", "gte": "ge", "lt": "lt", "lte": "le", "eq": "eq", "neq": "ne"}
_MAX = 2**63 - 1


class Filter(NamedTuple):
    """An attribute compared with a value; or, as `comparison`, "property" or "tag": an image has it."""

    name: str
    comparison: str  # eq ne lt le gt ge in property tag
    value: Any


class Listing(msgspec.Struct, kw_only=True):
    limit: int = DEFAULT_LIMIT
    marker: str | None = None
    sort: Sequence[tuple[str, str]] = (("created_at", "desc"), ("id", "desc"))
    visibility: str | None = None
    member_statuses: Sequence[str] = ("accepted",)
    filters: list[Filter] = []


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
        filters=_filters(query, given),
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


def _filters(query: dict[str, list[str]], given: dict[str, str]) -> list[Filter]:
    found = [] if "os_hidden" in given else [Filter("os_hidden", "eq", False)]
    for name, text in given.items():
        if name in _PAGING:
            continue
        elif name == "tag":
            found += [Filter(tag, "tag", tag) for tag in query["tag"]]
        elif name in ("protected", "os_hidden"):
            found.append(Filter(name, "eq", boolean(text, name)))
        elif name in ("size_min", "size_max"):
            found.append(Filter("size", "ge" if name == "size_min" else "le", integer(text, name, 0, _MAX)))
        elif name in _WHOLE:
            found.append(Filter(name, "eq", integer(text, name, 0, _MAX)))
        elif name in ("created_at", "updated_at"):
            found.append(_time(name, text))
        elif name in _IN and text.startswith("in:"):
            found.append(Filter(name, "in", _values(text[3:], name)))
        elif name in _TEXT:
            found.append(Filter(name, "eq", text.removeprefix("eq:")))
        else:
            found.append(Filter(name, "property", text))
    return found


def _values(text: str, name: str) -> list[str]:
    """Of a list with commas, where a value that holds a comma stands in quotes."""
    try:
        return next(csv.reader([text], strict=True, skipinitialspace=True), [])
    except csv.Error as error:
        raise BadRequest(f"Invalid filter value for {name}: {text}: {error}.") from None


def _time(name: str, text: str) -> Filter:
    word, colon, rest = text.partition(":")
    comparison, moment = (_COMPARISONS[word], rest) if colon and word in _COMPARISONS else ("eq", text)
    try:
        return Filter(name, comparison, parse_time(moment))
    except (ValueError, OverflowError):
        raise BadRequest(
            f"Invalid input for {name}: {text}. Write an ISO 8601 time, after one of "
            f"{', '.join(_COMPARISONS)} and a colon."
        ) from None
