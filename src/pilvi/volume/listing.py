"""What a listing asks for: filters, order, and which page of it."""

from __future__ import annotations

import ast
from collections.abc import Collection, Mapping
from typing import Any

import msgspec
import sqlalchemy as sa

from pilvi.db import Tx
from pilvi.engine.clock import parse_time
from pilvi.faults import BadRequest, NotFound
from pilvi.http.pagination import MAX_LIMIT, next_link
from pilvi.http.request import Request, boolean, integer

PAGING = frozenset({"limit", "marker", "offset", "sort", "sort_key", "sort_dir", "all_tenants", "with_count"})
MOMENTS = frozenset({"created_at", "updated_at"})
COMPARISONS = {"gt": "__gt__", "gte": "__ge__", "eq": "__eq__", "neq": "__ne__", "lt": "__lt__", "lte": "__le__"}


class Listing(msgspec.Struct):
    filters: dict[str, Any] = {}  # column -> value; of JSON columns: key -> value
    alike: dict[str, str] = {}  # column -> what it contains
    moments: list[tuple[str, str, int]] = []  # column, comparison, microseconds since 1970
    sort: list[tuple[str, bool]] = []  # column, descending
    limit: int = MAX_LIMIT
    marker: str | None = None
    offset: int = 0
    all_projects: bool = False
    with_count: bool = False


def parse(request: Request, filters: Collection[str], sortable: Collection[str],
          names: Mapping[str, str] | None = None) -> Listing:
    """`names`: what a column is called in the API, where that is something else.

    Raises BadRequest; an unknown filter is a fault from 3.31 on, and ignored before."""
    found, names = Listing(filters={}, alike={}, moments=[], sort=[]), names or {}
    for name, values in request.query.items():
        if name in PAGING:
            continue
        plain = name.removesuffix("~")
        column = names.get(plain, plain)
        if plain in MOMENTS and request.at_least(3, 60):
            found.moments += _moments(column, values[-1])
        elif plain not in filters:
            if request.at_least(3, 31):
                raise BadRequest(f"Invalid filters {name} are found in query options.")
        elif name.endswith("~") and request.at_least(3, 31):
            found.alike[column] = values[-1]
        else:
            found.filters[column] = _value(column, values[-1])
    found.sort = _sort(request, sortable, names)
    limit = request.arg("limit")
    found.limit = MAX_LIMIT if limit is None else min(integer(limit, "limit"), MAX_LIMIT)
    found.offset = integer(request.arg("offset", "0"), "offset")
    found.marker = request.arg("marker")
    found.all_projects = bool(request.flag("all_tenants", False)) and request.context.is_admin
    found.with_count = request.at_least(3, 45) and bool(request.flag("with_count", False))
    return found


def _value(column: str, text: str) -> Any:
    if column in ("metadata", "image_metadata"):
        return dictionary(column, text)
    if column in ("bootable", "multiattach", "is_public"):
        return boolean(text, column)
    if column == "size":
        return integer(text, column)
    return text


def dictionary(name: str, text: str) -> dict[str, str]:
    """As Python writes one, which is what clients send. Raises BadRequest."""
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        value = None
    if not isinstance(value, dict):
        raise BadRequest(f"Invalid input for field/attribute {name}. Value: {text[:80]}. It is no dictionary.")
    return {str(key): str(each) for key, each in value.items()}


def _moments(column: str, text: str) -> list[tuple[str, str, int]]:
    found = []
    for part in text.split(","):
        operator, _, moment = part.partition(":") if part.split(":")[0] in COMPARISONS else ("eq", "", part)
        try:
            found.append((column, operator, parse_time(moment)))
        except (ValueError, OverflowError):
            raise BadRequest(f"Invalid input for field/attribute {column}. Value: {text[:80]}. It is not a time.") from None
    return found


def _sort(request: Request, sortable: Collection[str], names: Mapping[str, str]) -> list[tuple[str, bool]]:
    """`sort=name:asc,size` or the older pairs of sort_key and sort_dir. Raises BadRequest."""
    if (text := request.arg("sort")) is not None:
        if "sort_key" in request.query or "sort_dir" in request.query:
            raise BadRequest("The 'sort_key' and 'sort_dir' parameters are deprecated and cannot be used with the "
                             "'sort' parameter.")
        pairs = [part.partition(":")[::2] for part in text.split(",")]
    else:
        keys, ways = request.query.get("sort_key", []), request.query.get("sort_dir", [])
        pairs = [(key, ways[number] if number < len(ways) else "") for number, key in enumerate(keys or ["created_at"])]
        if not keys and ways:
            pairs = [("created_at", ways[0])]
    found = []
    for key, way in pairs:
        if key.strip() not in sortable:
            raise BadRequest(f"Unexpected sort key {key!r}: these are known: {', '.join(sorted(sortable))}.")
        if way.strip() not in ("", "asc", "desc"):
            raise BadRequest(f"Unknown sort direction {way!r}: it is asc or desc.")
        column = names.get(key.strip(), key.strip())
        found.append(("seq" if column == "created_at" else column, way.strip() != "asc"))
    return found


def conditions(table: sa.Table, listing: Listing) -> list[sa.ColumnElement[bool]]:
    found = []
    for name, value in listing.filters.items():
        column = table.c[name]
        if isinstance(value, dict):
            found += [column[key].as_string() == each for key, each in value.items() if '"' not in key]
            if any('"' in key for key in value):  # no key has one
                found.append(sa.false())
        else:
            found.append(column == value)
    found += [table.c[name].contains(value, autoescape=True) for name, value in listing.alike.items()]
    found += [getattr(table.c[name], COMPARISONS[operator])(moment) for name, operator, moment in listing.moments]
    return found


def page(tx: Tx, table: sa.Table, listing: Listing, where: list[sa.ColumnElement[bool]]) -> tuple[list[sa.Row], int]:
    """The rows of one page, and how many there are in all (0 where that was not asked).

    Raises NotFound for a marker that is not among them."""
    where = [*where, *conditions(table, listing)]
    order = [*listing.sort, ("id", listing.sort[-1][1] if listing.sort else True)]
    columns = [(sa.func.coalesce(table.c[name], "") if table.c[name].nullable else table.c[name], down)
               for name, down in order]
    count = tx.scalar(sa.select(sa.func.count()).select_from(table).where(*where)) if listing.with_count else 0
    if listing.marker is not None:
        after = tx.one(sa.select(*(column for column, _ in columns)).where(table.c.id == listing.marker, *where[:1]))
        if after is None:
            raise NotFound(f"marker {listing.marker} could not be found.")
        where.append(_after(columns, list(after)))
    query = sa.select(table).where(*where).limit(listing.limit).offset(listing.offset)
    return list(tx.all(query.order_by(*(column.desc() if down else column for column, down in columns)))), count


def _after(columns: list[tuple[Any, bool]], values: list[Any]) -> sa.ColumnElement[bool]:
    alternatives = []
    for number, (column, down) in enumerate(columns):
        same = [other == values[place] for place, (other, _) in enumerate(columns[:number])]
        alternatives.append(sa.and_(*same, column < values[number] if down else column > values[number]))
    return sa.or_(*alternatives)


def links(request: Request, key: str, shown: list[dict[str, Any]], listing: Listing, count: int) -> dict[str, Any]:
    """The page as it is answered."""
    answer: dict[str, Any] = {key: shown}
    if shown and len(shown) >= listing.limit:
        answer[f"{key}_links"] = [{"rel": "next", "href": next_link(request, shown[-1]["id"])}]
    if listing.with_count:
        answer["count"] = count
    return answer
