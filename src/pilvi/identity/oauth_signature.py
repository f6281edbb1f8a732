"""Requests signed by OAuth 1 (RFC 5849): what a client's Authorization header says, and whether it is theirs."""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import NamedTuple
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from pilvi.faults import BadRequest

_HASHES = {"HMAC-SHA1": hashlib.sha1, "HMAC-SHA256": hashlib.sha256}
_NEEDED = ("oauth_consumer_key", "oauth_signature_method", "oauth_signature", "oauth_timestamp", "oauth_nonce")


class SignedRequest(NamedTuple):
    method: str
    url: str  # without its query
    query: str
    authorization: str  # the header


UNSIGNED = SignedRequest("POST", "", "", "")


def parameters(request: SignedRequest) -> dict[str, str]:
    """The `oauth_` parameters. Raises BadRequest for a header that is none, or lacks one (RFC 5849, 3.2)."""
    kind, _, rest = request.authorization.partition(" ")
    if kind.lower() != "oauth":
        raise BadRequest("The request is not signed: it takes an Authorization header of OAuth 1.0.")
    found: dict[str, str] = {}
    for part in rest.split(","):
        name, equals, value = part.strip().partition("=")
        name = unquote(name)
        if not equals or name in found:
            raise BadRequest("The Authorization header is no list of parameters, each given once.")
        found[name] = unquote(value.strip('"'))
    if any("\0" in value for value in found.values()):
        raise BadRequest("The Authorization header contains a NUL character.")
    lacking = [name for name in _NEEDED if name not in found]
    if lacking or found.get("oauth_version", "1.0") != "1.0" or not found["oauth_timestamp"].isdecimal():
        raise BadRequest(f"The Authorization header is not right: {lacking or 'oauth_version, oauth_timestamp'}.")
    if found["oauth_signature_method"] not in _HASHES:
        raise BadRequest(f"The signature method is none of {', '.join(_HASHES)}.")
    return found


def is_signed(request: SignedRequest, found: dict[str, str], secret: str, token_secret: str = "") -> bool:
    """With the consumer's secret and, where there is a token, the token's (RFC 5849, 3.4)."""
    named = [(name, value) for name, value in found.items() if name not in ("oauth_signature", "realm")]
    named += parse_qsl(request.query, keep_blank_values=True)
    pairs = sorted((_escaped(name), _escaped(value)) for name, value in named)
    normal = "&".join(f"{name}={value}" for name, value in pairs)
    base = "&".join(map(_escaped, (request.method.upper(), _address(request.url), normal)))
    key = f"{_escaped(secret)}&{_escaped(token_secret)}".encode()
    digest = hmac.new(key, base.encode(), _HASHES[found["oauth_signature_method"]]).digest()
    return hmac.compare_digest(base64.b64encode(digest), found["oauth_signature"].encode())


def _escaped(text: str) -> str:
    return quote(text, safe="~")


def _address(url: str) -> str:
    """In lower case, without a port that goes without saying."""
    parts = urlsplit(url)
    scheme, place = parts.scheme.lower(), parts.netloc.lower()
    usual = {"http": ":80", "https": ":443"}.get(scheme, "")
    return f"{scheme}://{place.removesuffix(usual) if usual else place}{parts.path or '/'}"
