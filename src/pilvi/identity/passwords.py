"""Passwords and secrets, kept as argon2id hashes (OWASP's smallest recommended cost: 19 MiB, two passes)."""

from __future__ import annotations

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

_hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
# Of random bytes that nobody knows, by the same parameters; not made anew at each start, which would wait for it.
_nobody = "$argon2id$v=19$m=19456,t=2,p=1$LP9wheAnz4ETeQpHxYjVIg$rR/35VXA2Vbro889VnLEFOBBsLfvZqCeE51snQf+ix8"


def hashed(password: str) -> str:
    return _hasher.hash(password)


def matches(password: str, kept: str | None) -> bool:
    """Takes as long where there is nothing to compare with, so that time does not tell who exists."""
    try:
        return _hasher.verify(kept or _nobody, password) and kept is not None
    except (VerificationError, InvalidHashError):
        return False
