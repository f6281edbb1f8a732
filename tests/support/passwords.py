"""Passwords that are hashed as ever, but at the least cost: tests log in often."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from argon2 import PasswordHasher

from pilvi.identity import passwords


@contextmanager
def cheap_passwords() -> Iterator[None]:
    was = passwords._hasher, passwords._nobody
    passwords._hasher = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    passwords._nobody = passwords._hasher.hash("nobody's password")
    try:
        yield
    finally:
        passwords._hasher, passwords._nobody = was
