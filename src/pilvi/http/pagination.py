"""Pages of a listing: `limit` and `marker`, and the link to the next page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from pilvi.http.request import Request, integer

MAX_LIMIT = 1000


def limit_of(request: Request, maximum: int = MAX_LIMIT, minimum: int = 0) -> int:
    """How many items at the most. Raises BadRequest where `limit` is no whole number."""
    text = request.arg("limit")
    return maximum if text is None else min(integer(text, "limit", minimum), maximum)


def next_link(request: Request, marker: str) -> str:
    """The URL of the page after the item `marker`: this request's, with another marker."""
    query = [(name, value) for name, values in request.query.items() if name != "marker" for value in values]
    return f"{request.base_url}{request.path}?{urlencode([*query, ('marker', marker)])}"


def next_links(request: Request, items: Sequence[Any], limit: int, marker: str) -> list[dict[str, str]]:
    """Compute's and Network's `..._links`: there is one when the page is full."""
    if not items or len(items) < limit or limit == 0:
        return []
    return [{"rel": "next", "href": next_link(request, marker)}]
