"""Calling a service's API inside this process, as somebody who needs no token."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import msgspec

from pilvi.faults import Forbidden
from pilvi.http.request import Request, encode
from pilvi.http.routing import Api
from pilvi.policy import Context

if TYPE_CHECKING:
    from pilvi.cloud import Cloud


class Inside:
    """One API. What a client may not do, this may not do either."""

    def __init__(self, cloud: Cloud, api: Api):
        self._cloud, self._api = cloud, api
        self._routes = [
            (route, re.compile(re.sub(r"{(\w+)}", r"(?P<\1>[^/]+)", route.path) + r"\Z"))
            for route in api.routes
        ]

    def __call__(self, context: Context, method: str, path: str, body: Any = None, **query: Any) -> Any:
        """The decoded answer. Raises the service's faults, LookupError for a path that it has not."""
        for route, pattern in self._routes:
            if route.method == method and (match := pattern.match(path)):
                if not context.permits(self._api.policy[route.action]):
                    raise Forbidden(f"{context.user_name} may not {route.action}.")
                request = Request(
                    self._cloud,
                    method,
                    "http://inside",
                    self._api.prefix + path,
                    urlencode(query),
                    {"content-type": "application/json"},
                    match.groupdict(),
                    encode(body) or b"",
                    context.request_id,
                )
                request.context = context
                answer = encode(route.handler(request).body)
                return msgspec.json.decode(answer) if answer else None
        raise LookupError(f"{self._api.name} has no {method} {path}")
