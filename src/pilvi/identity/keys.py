"""The keys that tokens are encrypted and signed with: numbered files, of which the highest is the one in use.

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

    def encrypt(self, data: bytes, seconds: int) -> str:
        """`seconds` since 1970 is the moment that the token's outer layer shows."""
        fernet = self._fernet or self._load()
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

    def rotate(self) -> None:
        """A new key comes into use; of the old ones the newest KEPT - 1 stay."""
        with self._lock:
            numbers = sorted(map(int, self._names()))
            self._write(numbers[-1] + 1 if numbers else 0)
            for number in numbers[: -(KEPT - 1)]:
                (self._folder / str(number)).unlink(missing_ok=True)
        self._load()

    def _names(self) -> frozenset[str]:
        if not self._folder.is_dir():
            return frozenset()
        return frozenset(name for name in os.listdir(self._folder) if name.isdigit())

    def _load(self) -> MultiFernet:
        with self._lock:
            names = self._names()
            if not names:
                self._write(0)
                names = self._names()
            newest_first = sorted(names, key=int, reverse=True)
            fernet = MultiFernet(
                [Fernet((self._folder / name).read_bytes().strip()) for name in newest_first]
            )
            self._seen, self._fernet = names, fernet
            return fernet

    def _write(self, number: int) -> None:
        """Link, not rename: of two that start at once one's key stays, and both use it."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle, partial = tempfile.mkstemp(dir=self._folder, prefix=".")  # for its owner only
        with open(handle, "wb") as file:
            file.write(Fernet.generate_key())
            file.flush()
            os.fsync(handle)
        with contextlib.suppress(FileExistsError):
            os.link(partial, self._folder / str(number))
        os.unlink(partial)
