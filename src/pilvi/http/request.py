"""What a handler is given, and what it gives back."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import parse_qs

import msgspec

from pilvi.faults import BadRequest, UnsupportedMediaType
from pilvi.policy import Context

if TYPE_CHECKING:
    from pilvi.cloud import Cloud

T = TypeVar("T")
Version = tuple[int, int]

NOBODY = Context(user_id="")


class Request:
    """One API request, with its body read (but for streaming routes, whose body is `stream`)."""

    __slots__ = ("_query", "base_url", "body", "client", "cloud", "context", "headers", "id", "method", "params",
                 "path", "query_string", "stream", "version")

    def __init__(self, cloud: Cloud, method: str, base_url: str, path: str, query_string: str,
                 headers: Mapping[str, str], params: dict[str, str], body: bytes, request_id: str, client: str = "",
                 stream: AsyncIterator[bytes] | None = None):
        self.cloud = cloud
        self.method = method
        self.base_url = base_url  # "http://127.0.0.1:8774": how the client reached us
        self.path = path
        self.query_string = query_string
        self.headers = headers  # names in lower case
        self.params = params  # of the path
        self.body = body
        self.id = request_id
        self.client = client  # the client's address
        self.stream = stream
        self.context = NOBODY
        self.version: Version = (0, 0)  # the microversion
        self._query: dict[str, list[str]] | None = None

    @property
    def query(self) -> dict[str, list[str]]:
        """All query parameters; raises BadRequest where one holds a NUL."""
        if self._query is None:
            self._query = parse_qs(self.query_string, keep_blank_values=True) if self.query_string else {}
            if "%00" in self.query_string:
                raise BadRequest("A query parameter contains a NUL character.")
        return self._query

    def arg(self, name: str, default: str | None = None) -> str | None:
        """The last value of one query parameter."""
        values = self.query.get(name)
        return values[-1] if values else default

    def flag(self, name: str, default: bool | None = None) -> bool | None:
        """A query parameter as a boolean; raises BadRequest where it is none."""
        text = self.arg(name)
        return default if text is None else boolean(text, name)

    def decode(self, shape: type[T]) -> T:
        """The JSON body in this shape; raises BadRequest that names the field."""
        kind = self.headers.get("content-type", "")
        if kind and "json" not in kind:
            raise UnsupportedMediaType(f"Unsupported Content-Type {kind}: send application/json.")
        if b"\\u0000" in self.body:
            raise BadRequest("The request body contains a NUL character.")
        try:
            return msgspec.json.decode(self.body, type=shape)
        except msgspec.ValidationError as error:
            raise BadRequest(field_message(error)) from None
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise BadRequest(f"The server could not comply with the request since it is malformed: {error}") from None
        except RecursionError:
            raise BadRequest("The request body is nested too deeply.") from None

    def at_least(self, major: int, minor: int) -> bool:
        """Was this microversion, or a later one, asked for?"""
        return self.version >= (major, minor)


class Response:
    """`body` is anything that msgspec encodes, or bytes; `stream` yields a body of `length` bytes in parts."""

    __slots__ = ("body", "content_type", "headers", "length", "status", "stream")

    def __init__(self, status: int = 200, body: Any = None, headers: dict[str, str] | None = None,
                 content_type: str = "application/json", stream: AsyncIterator[bytes] | None = None,
                 length: int | None = None):
        self.status = status
        self.body = body
        self.headers = headers or {}
        self.content_type = content_type
        self.stream = stream
        self.length = length


_encoder = msgspec.json.Encoder()


def encode(body: Any) -> bytes | None:
    if body is None or isinstance(body, bytes):
        return body
    return _encoder.encode(body)


def field_message(error: msgspec.ValidationError) -> str:
    """msgspec's "Expected `str`, got `int` - at `$.server.name`" with the field first, as OpenStack says it."""
    text, _, path = str(error).partition(" - at ")
    field = path.strip("`").removeprefix("$.").removeprefix("$")
    text = text.replace("`", "'")
    return f"Invalid input for field/attribute {field}. {text}." if field else f"Invalid request body: {text}."


_TRUE, _FALSE = frozenset({"1", "t", "true", "on", "y", "yes"}), frozenset({"0", "f", "false", "off", "n", "no"})


def boolean(text: str, name: str) -> bool:
    """As OpenStack reads a boolean in a query. Raises BadRequest."""
    lower = text.strip().lower()
    if lower in _TRUE:
        return True
    if lower in _FALSE:
        return False
    raise BadRequest(f"Invalid input for field/attribute {name}. Value: {text}. It is not a boolean.")


def integer(text: str, name: str, minimum: int = 0, maximum: int = 2**31 - 1) -> int:
    """A whole number of a query, within bounds. Raises BadRequest."""
    if not text.lstrip("-").isascii() or not text.lstrip("-").isdigit() or not minimum <= int(text[:20]) <= maximum:
        raise BadRequest(f"Invalid input for field/attribute {name}. Value: {text}. "
                         f"It must be a whole number from {minimum} to {maximum}.")
    return int(text)
