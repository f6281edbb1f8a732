"""A websocket's client for tests, on plain sockets."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from websockets.sync.client import ClientConnection, connect


@contextmanager
def console(url: str) -> Iterator[ClientConnection]:
    """Raises InvalidStatus where the handshake is refused."""
    with connect(url, subprotocols=["binary"], open_timeout=30, close_timeout=5, proxy=None) as line:
        yield line


def heard(line: ClientConnection, length: int, seconds: float = 30) -> bytes:
    """So many bytes of what comes."""
    said = b""
    while len(said) < length:
        said += line.recv(timeout=seconds)
    return said
