"""What can go wrong in a request, by the HTTP status that OpenStack answers to it.

Each domain renders a fault in its own service's JSON shape; the message names the object, the reason and, where
there is one, the way out.
"""

from __future__ import annotations


class ConfigurationError(Exception):
    """The configuration, or this machine, does not allow what was asked; the message says how to mend it."""


class Fault(Exception):
    """A refused request. `kind` is the name that Neutron shows as the fault's type."""

    status = 500
    title = "Internal Server Error"

    def __init__(self, message: str, *, kind: str | None = None, headers: dict[str, str] | None = None):
        super().__init__(message)
        self.message = message
        self.kind = kind or type(self).__name__
        self.headers = headers or {}


class BadRequest(Fault):
    status, title = 400, "Bad Request"


class Unauthorized(Fault):
    status, title = 401, "Unauthorized"


class Forbidden(Fault):
    status, title = 403, "Forbidden"


class OverLimit(Forbidden):
    """A quota is used up: 403 in compute and image (409 in network, see Conflict)."""


class NotFound(Fault):
    status, title = 404, "Not Found"


class MethodNotAllowed(Fault):
    status, title = 405, "Method Not Allowed"


class NotAcceptable(Fault):
    status, title = 406, "Not Acceptable"


class Conflict(Fault):
    status, title = 409, "Conflict"


class Gone(Fault):
    status, title = 410, "Gone"


class TooLarge(Fault):
    status, title = 413, "Request Entity Too Large"


class UnsupportedMediaType(Fault):
    status, title = 415, "Unsupported Media Type"


class RangeNotSatisfiable(Fault):
    status, title = 416, "Requested Range Not Satisfiable"


class Unprocessable(Fault):
    status, title = 422, "Unprocessable Entity"


class NotImplementedHere(Fault):
    status, title = 501, "Not Implemented"


class Unavailable(Fault):
    status, title = 503, "Service Unavailable"
