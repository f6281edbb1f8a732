"""What a token says, packed into few bytes: tokens are kept by those who hold them, not by us."""

from __future__ import annotations

import base64
import re
import secrets

import msgspec
from cryptography.fernet import InvalidToken

from pilvi.identity.keys import Keys

UNSCOPED, PROJECT, DOMAIN, SYSTEM = range(4)
METHODS = ("password", "token", "application_credential")
_HEX = re.compile(r"[0-9a-f]{32}")


class Token(msgspec.Struct, frozen=True):
    """Times are microseconds since 1970."""

    user_id: str
    scope: int  # UNSCOPED | PROJECT | DOMAIN | SYSTEM
    scope_id: str  # of the project or domain
    methods: tuple[str, ...]
    audit_ids: tuple[str, ...]  # its own, then that of the first token it descends from
    issued_at: int
    expires_at: int
    epoch: int  # of user, project and their domains, added up: one that was raised ends the token
    application_credential_id: str = ""


class _Packed(msgspec.Struct, array_like=True):
    user: bytes
    scope: int
    scope_id: bytes
    methods: int  # a bit each
    audits: list[bytes]
    issued_at: int
    lifetime: int
    epoch: int
    application_credential: bytes


def new_audit_id() -> str:
    return _text(secrets.token_bytes(16))


def seal(token: Token, keys: Keys) -> str:
    packed = _Packed(
        _short(token.user_id),
        token.scope,
        _short(token.scope_id),
        sum(1 << METHODS.index(method) for method in token.methods),
        [base64.urlsafe_b64decode(audit + "==") for audit in token.audit_ids],
        token.issued_at,
        token.expires_at - token.issued_at,
        token.epoch,
        _short(token.application_credential_id),
    )
    return keys.encrypt(msgspec.msgpack.encode(packed), token.issued_at // 1_000_000)


def unseal(text: str, keys: Keys) -> Token | None:
    """None for what is no token of ours; says nothing about whether it still holds."""
    if not text.isascii() or len(text) > 1024:
        return None
    try:
        packed = msgspec.msgpack.decode(keys.decrypt(text), type=_Packed)
    except (InvalidToken, msgspec.DecodeError, ValueError):
        return None
    return Token(
        _long(packed.user),
        packed.scope,
        _long(packed.scope_id),
        tuple(method for bit, method in enumerate(METHODS) if packed.methods >> bit & 1),
        tuple(map(_text, packed.audits)),
        packed.issued_at,
        packed.issued_at + packed.lifetime,
        packed.epoch,
        _long(packed.application_credential),
    )


def _text(audit: bytes) -> str:
    return base64.urlsafe_b64encode(audit).rstrip(b"=").decode()


def _short(name: str) -> bytes:
    """32 hexadecimal digits, as most ids are, in 16 bytes; else as it is. The first byte says which."""
    return b"h" + bytes.fromhex(name) if _HEX.fullmatch(name) else b"s" + name.encode()


def _long(name: bytes) -> str:
    return name[1:].hex() if name[:1] == b"h" else name[1:].decode()
