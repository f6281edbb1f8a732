"""Keys that tokens and secrets are encrypted and signed with: numbered files, of which the highest is the one in use.

Older keys still read what was made with them. Controllers of one cluster share what is in the folder; a key
that another put there is found when a token cannot be read.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import threading
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

KEPT = 3  # keys; a token outlives KEPT - 1 rotations


class Keys:
    """`folder` is made, with a first key, when there is none."""

    def __init__(self, folder: Path):
        self._folder = folder
        self._lock = threading.Lock()
        self._seen: frozenset[str] = frozenset()
        self._fernet: MultiFernet | None = None
        self._loaded_at = -1  # when the folder had changed last as the keys were read

    def encrypt(self, data: bytes, seconds: int) -> str:
        """`seconds` since 1970 is the moment that the token's outer layer shows."""
        fernet = self._fernet if self._fernet is not None and self._changed_at() == self._loaded_at else self._load()
        # "=" needs escaping in URLs and says nothing: left out.
        return fernet.encrypt_at_time(data, seconds).rstrip(b"=").decode()

    def decrypt(self, token: str) -> bytes:
        """Raises InvalidToken for what none of the keys has made."""
        padded = (token + "=" * (-len(token) % 4)).encode()
        try:
            return (self._fernet or self._load()).decrypt(padded)
        except InvalidToken:
            if self._names() == self._seen:
                raise
            return self._load().decrypt(padded)

    def rotate(self) -> int:
        """A new key comes into use, here and wherever these keys are used; its number.

        Of the old ones the newest KEPT - 1 stay."""
        with self._lock:
            numbers = self._numbers()
            new = numbers[-1] + 1 if numbers else 0
            self._write(new)
            for number in numbers[: -(KEPT - 1)]:
                (self._folder / str(number)).unlink(missing_ok=True)
        self._load()
        return new

    def older(self) -> list[str]:
        """The keys that only read, the newest first."""
        return [str(number) for number in reversed(self._numbers()[:-1])]

    def in_use_until(self, lifetime: float) -> float:
        """When the last token ends, seconds since 1970, whose key the next rotation drops; 0 where it drops none.

        `lifetime` of a token, in seconds; a key sealed tokens until the one after it was made."""
        dropped = self._numbers()[: -(KEPT - 1)]
        if not dropped:
            return 0
        successor = self._numbers()[len(dropped)]
        return (self._folder / str(successor)).stat().st_mtime + lifetime

    def _numbers(self) -> list[int]:
        return sorted(map(int, self._names()))

    def _changed_at(self) -> int:
        """One call of the system for each token that is issued: a rotation elsewhere takes effect at once."""
        try:
            return os.stat(self._folder).st_mtime_ns
        except FileNotFoundError:
            return 0

    def _names(self) -> frozenset[str]:
        if not self._folder.is_dir():
            return frozenset()
        return frozenset(name for name in os.listdir(self._folder) if name.isdigit())

    def _load(self) -> MultiFernet:
        with self._lock:
            if not self._names():
                self._write(0)
            loaded_at, names = self._changed_at(), self._names()
            newest_first = sorted(names, key=int, reverse=True)
            fernet = MultiFernet(
                [Fernet((self._folder / name).read_bytes().strip()) for name in newest_first]
            )
            self._seen, self._fernet, self._loaded_at = names, fernet, loaded_at
            return fernet

    def _write(self, number: int) -> None:
        """Link, not rename: of two that start at once one's key stays, and both use it."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle, partial = tempfile.mkstemp(dir=self._folder, prefix=".")  # for its owner only
        with open(handle, "wb") as file:
            file.write(Fernet.generate_key())
            file.flush()
            os.fsync(handle)
        if os.geteuid() == 0:  # an administrator rotates what a service of another user reads
            owner = os.stat(self._folder)
            os.chown(partial, owner.st_uid, owner.st_gid)
        with contextlib.suppress(FileExistsError):
            os.link(partial, self._folder / str(number))
        os.unlink(partial)
