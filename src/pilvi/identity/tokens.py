"""What a token says, packed into few bytes: tokens are kept by those who hold them, not by us."""

from __future__ import annotations

import base64
import re
import secrets
from collections.abc import Iterable
from typing import TypeVar

import msgspec
from cryptography.fernet import InvalidToken

from pilvi.keys import Keys

T = TypeVar("T")
UNSCOPED, PROJECT, DOMAIN, SYSTEM = range(4)
METHODS = ("password", "token", "application_credential", "totp", "oauth1", "ec2credential")  # only ever longer
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
    application_credential_id: str = ""  # at most one of these three
    trust_id: str = ""
    access_token_id: str = ""


class Receipt(msgspec.Struct, frozen=True):
    """Methods by which somebody has shown who they are, which were not enough yet. Times are microseconds."""

    user_id: str
    methods: tuple[str, ...]
    issued_at: int
    expires_at: int


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
    trust: bytes = b"s"
    access_token: bytes = b"s"


class _PackedReceipt(msgspec.Struct, array_like=True, tag="receipt"):
    user: bytes
    methods: int
    issued_at: int
    expires_at: int


def new_audit_id() -> str:
    return _text(secrets.token_bytes(16))


def seal(token: Token, keys: Keys) -> str:
    packed = _Packed(
        _short(token.user_id),
        token.scope,
        _short(token.scope_id),
        _bits(token.methods),
        [base64.urlsafe_b64decode(audit + "==") for audit in token.audit_ids],
        token.issued_at,
        token.expires_at - token.issued_at,
        token.epoch,
        _short(token.application_credential_id),
        _short(token.trust_id),
        _short(token.access_token_id),
    )
    return keys.encrypt(msgspec.msgpack.encode(packed), token.issued_at // 1_000_000)


def unseal(text: str, keys: Keys) -> Token | None:
    """None for what is no token of ours; says nothing about whether it still holds."""
    if (packed := _unpacked(text, keys, _Packed)) is None:
        return None
    return Token(
        _long(packed.user),
        packed.scope,
        _long(packed.scope_id),
        _methods(packed.methods),
        tuple(map(_text, packed.audits)),
        packed.issued_at,
        packed.issued_at + packed.lifetime,
        packed.epoch,
        _long(packed.application_credential),
        _long(packed.trust),
        _long(packed.access_token),
    )


def seal_receipt(receipt: Receipt, keys: Keys) -> str:
    packed = _PackedReceipt(
        _short(receipt.user_id), _bits(receipt.methods), receipt.issued_at, receipt.expires_at
    )
    return keys.encrypt(msgspec.msgpack.encode(packed), receipt.issued_at // 1_000_000)


def unseal_receipt(text: str, keys: Keys) -> Receipt | None:
    packed = _unpacked(text, keys, _PackedReceipt)
    if packed is None:
        return None
    return Receipt(_long(packed.user), _methods(packed.methods), packed.issued_at, packed.expires_at)


def _unpacked(text: str, keys: Keys, shape: type[T]) -> T | None:
    if not text.isascii() or len(text) > 1024:
        return None
    try:
        return msgspec.msgpack.decode(keys.decrypt(text), type=shape)
    except (InvalidToken, msgspec.DecodeError, ValueError):
        return None


def _bits(methods: Iterable[str]) -> int:
    return sum(1 << METHODS.index(method) for method in methods)


def _methods(bits: int) -> tuple[str, ...]:
    return tuple(method for bit, method in enumerate(METHODS) if bits >> bit & 1)


def _text(audit: bytes) -> str:
    return base64.urlsafe_b64encode(audit).rstrip(b"=").decode()


def _short(name: str) -> bytes:
    """32 hexadecimal digits, as most ids are, in 16 bytes; else as it is. The first byte says which."""
    return b"h" + bytes.fromhex(name) if _HEX.fullmatch(name) else b"s" + name.encode()


def _long(name: bytes) -> str:
    return name[1:].hex() if name[:1] == b"h" else name[1:].decode()
