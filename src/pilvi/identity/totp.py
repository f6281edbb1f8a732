"""One-time passwords by time (RFC 6238): six digits of HMAC-SHA1, a new one each 30 seconds."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac

STEP = 30  # seconds
PAST = 1  # windows that are still good: people are slow


def matches(passcode: str, secret: str, now: int) -> bool:
    """`secret` is base32, `now` seconds since 1970."""
    key = decoded(secret)
    if key is None or not passcode.isascii():
        return False
    codes = [_code(key, now // STEP - back) for back in range(PAST + 1)]
    return any([hmac.compare_digest(passcode, code) for code in codes])  # all of them: time tells nothing


def decoded(secret: str) -> bytes | None:
    """The key in a base32 text; None where it is none."""
    text = secret.strip().upper()
    try:
        return base64.b32decode(text + "=" * (-len(text) % 8))
    except (binascii.Error, ValueError):
        return None


def _code(key: bytes, counter: int) -> str:
    digest = hmac.new(key, counter.to_bytes(8, "big"), hashlib.sha1).digest()
    offset = digest[-1] & 15
    number = int.from_bytes(digest[offset : offset + 4], "big") & 0x7FFFFFFF
    return f"{number % 1_000_000:06d}"
