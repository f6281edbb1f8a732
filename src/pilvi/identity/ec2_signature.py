"""Amazon's signatures, versions 2 and 4, of requests to EC2 and S3, as their clients make them.

https://docs.aws.amazon.com/general/latest/gr/signature-version-2.html
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import quote

from pilvi.engine.clock import parse_time
from pilvi.faults import BadRequest
from pilvi.identity import wire

V4 = "AWS4-HMAC-SHA256"
_DIGESTS = {"HmacSHA256": hashlib.sha256, "HmacSHA1": hashlib.sha1}


def ec2_matches(shown: wire.Ec2Signed, secret: str) -> bool:
    """By version 4 where the request says so, else by version 2; the port may have been signed or not."""
    hosts = dict.fromkeys((shown.host, shown.host.partition(":")[0]))
    make = _version_4 if _is_4(shown) else _version_2
    return any(hmac.compare_digest(make(shown, secret, host), shown.signature.encode()) for host in hosts)


def s3_matches(shown: wire.S3Signed, secret: str) -> bool:
    """`token` is the text that was signed, base64. Raises BadRequest where it is none."""
    try:
        signed = base64.urlsafe_b64decode(shown.token + "=" * (-len(shown.token) % 4))
    except (binascii.Error, ValueError):
        raise BadRequest("Invalid input for field/attribute token. It is not base64.") from None
    lines = signed.split(b"\n")
    if lines[0] == V4.encode() and len(lines) == 4:
        day, region, service = [*lines[2].decode(errors="replace").split("/"), "", "", ""][:3]
        made = hmac.new(_key_4(secret, day, region, service), signed, hashlib.sha256).hexdigest().encode()
    else:
        made = base64.b64encode(hmac.new(secret.encode(), signed, hashlib.sha1).digest())
    return hmac.compare_digest(made, shown.signature.encode())


def moment_of_request(shown: wire.Ec2Signed) -> int | None:
    """When it was signed, microseconds; None where it does not say. Raises BadRequest for no time."""
    headers = _lower(shown.headers)
    text = shown.params.get("Timestamp") or shown.params.get("X-Amz-Date") or headers.get("x-amz-date")
    if not text:
        return None
    try:
        if _is_4(shown):
            return int(datetime.strptime(text, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()) * 1_000_000
        return parse_time(text)
    except (ValueError, OverflowError):
        raise BadRequest(f"The time of the signature is none: {text[:64]}.") from None


def _is_4(shown: wire.Ec2Signed) -> bool:
    authorization = _lower(shown.headers).get("authorization", "")
    return shown.params.get("X-Amz-Algorithm") == V4 or authorization.startswith(V4)


def _version_2(shown: wire.Ec2Signed, secret: str, host: str) -> bytes:
    query = _query(shown.params, "Signature")
    text = "\n".join((shown.verb, host, shown.path, query))
    digest = _DIGESTS.get(shown.params.get("SignatureMethod", ""), hashlib.sha1)
    return base64.b64encode(hmac.new(secret.encode(), text.encode(), digest).digest())


def _version_4(shown: wire.Ec2Signed, secret: str, host: str) -> bytes:
    headers = {**_lower(shown.headers), "host": host}
    if shown.params.get("X-Amz-Algorithm") == V4:
        credential, names = shown.params.get("X-Amz-Credential", ""), shown.params.get("X-Amz-SignedHeaders", "")
        moment = shown.params.get("X-Amz-Date", "")
    else:
        said = _authorization(headers["authorization"])
        credential, names = said.get("Credential", ""), said.get("SignedHeaders", "")
        moment = headers.get("x-amz-date", "")
    scope = credential.partition("/")[2]
    day, region, service = [*scope.split("/"), "", "", ""][:3]
    # POST carries its parameters in the body, whose digest stands for them.
    query = "" if shown.verb == "POST" else _query(shown.params, "X-Amz-Signature")
    lines = "".join(f"{name}:{' '.join(headers.get(name, '').split())}\n" for name in names.split(";"))
    request = "\n".join((shown.verb, shown.path, query, lines, names, shown.body_hash))
    text = "\n".join((V4, moment, scope, hashlib.sha256(request.encode()).hexdigest()))
    return hmac.new(_key_4(secret, day, region, service), text.encode(), hashlib.sha256).hexdigest().encode()


def _key_4(secret: str, *scope: str) -> bytes:
    key = ("AWS4" + secret).encode()
    for part in (*scope, "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key


def _query(params: Mapping[str, str], but: str) -> str:
    pairs = sorted((name.encode(), value) for name, value in params.items() if name != but)
    return "&".join(f"{quote(name, safe='-_.~')}={quote(value, safe='-_.~')}" for name, value in pairs)


def _authorization(text: str) -> dict[str, str]:
    """Credential, SignedHeaders and Signature of a header."""
    parts = (part.strip().partition("=") for part in text.partition(" ")[2].split(","))
    return {name: value for name, _, value in parts}


def _lower(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}
