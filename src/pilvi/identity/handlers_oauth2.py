"""OAuth 2, as far as it is for programs: an application credential's id and secret for a token (RFC 6749, 4.4)."""

from __future__ import annotations

import base64
import binascii
from urllib.parse import parse_qs

from pilvi.faults import Unauthorized
from pilvi.http.request import Request, Response
from pilvi.http.routing import Route
from pilvi.identity import wire

_NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}


def token(request: Request) -> Response:
    asked = parse_qs(request.body.decode(errors="replace"))
    if "grant_type" not in asked:
        return _refused(400, "invalid_request", "The parameter grant_type is required.")
    if asked["grant_type"] != ["client_credentials"]:
        return _refused(400, "unsupported_grant_type", "The one grant_type is client_credentials.")
    shown = _basic(request.headers.get("authorization", ""))
    try:
        if shown is None:
            raise Unauthorized("The client is not authenticated: it takes HTTP Basic authentication.")
        method = wire.ApplicationCredentialMethod(id=shown[0], secret=shown[1])
        return _token(request, wire.IdentityPart(["application_credential"], application_credential=method))
    except Unauthorized as fault:
        return _refused(401, "invalid_client", fault.message)


def _token(request: Request, identity: wire.IdentityPart) -> Response:
    issued = request.cloud.identity.issue(wire.Auth(identity))
    seconds = (issued.token.expires_at - issued.token.issued_at) // 1_000_000
    body = {"access_token": issued.text, "token_type": "Bearer", "expires_in": seconds}
    return Response(200, body, dict(_NO_STORE))


def _basic(header: str) -> tuple[str, str] | None:
    kind, _, text = header.partition(" ")
    try:
        name, colon, secret = base64.b64decode(text, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return (name, secret) if kind.lower() == "basic" and colon and "\0" not in name else None


def _refused(status: int, error: str, message: str) -> Response:
    """In the words of RFC 6749, 5.2."""
    asking = {"WWW-Authenticate": 'Basic realm="identity"'} if status == 401 else {}
    return Response(status, {"error": error, "error_description": message}, {**_NO_STORE, **asking})


ROUTES = (Route("POST", "/v3/OS-OAUTH2/token", token, None),)
