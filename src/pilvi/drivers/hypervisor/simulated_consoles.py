"""Screens and serial consoles of guests that are only pretended: they speak the protocols, and show little."""

from __future__ import annotations

import shutil
import socket
import socketserver
import struct
import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

WIDTH, HEIGHT = 320, 200
GREY = b"\x80"  # a byte of a pixel, in whatever format the client wants pixels
MAX_CUT_TEXT = 1 << 16
# RFC 6143, section 7.4: 32 bits a pixel, of which 24 count, the lowest byte first; eight bits a colour.
_PIXELS = struct.pack(">BBBBHHHBBBxxx", 32, 24, 0, 1, 255, 255, 255, 16, 8, 0)


class Consoles:
    """Unix sockets, made when they are first asked for; those of a guest go when it is switched off."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._folder: Path | None = None
        self._servers: dict[tuple[str, str], _Server] = {}

    def socket(self, guest_id: str, kind: str, speak: Callable[[socket.socket], None]) -> Path:
        """Where `speak` is called with each client's connection."""
        with self._guard:
            if self._folder is None:
                self._folder = Path(tempfile.mkdtemp(prefix="pilvi-consoles-"))
            server = self._servers.get((guest_id, kind))
            if server is None:
                server = _Server(self._folder / f"{guest_id}.{kind}", speak)
                self._servers[guest_id, kind] = server
            return server.path

    def drop(self, guest_id: str) -> None:
        with self._guard:
            for key in [key for key in self._servers if key[0] == guest_id]:
                self._servers.pop(key).stop()

    def close(self) -> None:
        with self._guard:
            while self._servers:
                self._servers.popitem()[1].stop()
            if self._folder is not None:
                shutil.rmtree(self._folder, ignore_errors=True)
                self._folder = None


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True

    def __init__(self, path: Path, speak: Callable[[socket.socket], None]):
        self.path, self._clients = path, set()
        super().__init__(str(path), lambda connection, *_: self._serve(connection, speak))
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True,
                         name="simulated-console").start()

    def stop(self) -> None:
        self.shutdown()
        for client in list(self._clients):
            with suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)
        self.server_close()
        self.path.unlink(missing_ok=True)

    def _serve(self, connection: socket.socket, speak: Callable[[socket.socket], None]) -> None:
        self._clients.add(connection)
        try:
            with suppress(OSError, EOFError):
                speak(connection)
        finally:
            self._clients.discard(connection)


def serial(connection: socket.socket, greeting: bytes) -> None:
    """Greets, and gives back what is typed."""
    connection.sendall(greeting)
    while typed := connection.recv(4096):
        connection.sendall(typed)


def screen(connection: socket.socket, name: str) -> None:
    """A grey screen: RFB 3.3 to 3.8 (RFC 6143) without authentication."""
    connection.sendall(b"RFB 003.008\n")
    version = _read(connection, 12)
    if version == b"RFB 003.003\n":
        connection.sendall(struct.pack(">I", 1))
    else:
        connection.sendall(b"\x01\x01")
        if _read(connection, 1) != b"\x01":
            why = b"there is no authentication here"
            return connection.sendall(struct.pack(">II", 1, len(why)) + why)
        if version != b"RFB 003.007\n":
            connection.sendall(struct.pack(">I", 0))
    _read(connection, 1)
    title = name.encode()
    connection.sendall(struct.pack(">HH", WIDTH, HEIGHT) + _PIXELS + struct.pack(">I", len(title)) + title)
    return _answer(connection)


def _answer(connection: socket.socket) -> None:
    """The client's messages until it goes. What is typed and pointed at moves nothing."""
    pixel = 4
    while True:
        match _read(connection, 1)[0]:
            case 0:
                pixel = max(_read(connection, 19)[3] // 8, 1)
            case 2:
                _read(connection, 4 * struct.unpack(">xH", _read(connection, 3))[0])
            case 3:
                incremental, *_ = _read(connection, 9)
                if not incremental:
                    rectangle = struct.pack(">BxHHHHHi", 0, 1, 0, 0, WIDTH, HEIGHT, 0)
                    connection.sendall(rectangle + GREY * (WIDTH * HEIGHT * pixel))
            case 4:
                _read(connection, 7)
            case 5:
                _read(connection, 5)
            case 6:
                length = struct.unpack(">xxxI", _read(connection, 7))[0]
                if length > MAX_CUT_TEXT:
                    return
                _read(connection, length)
            case _:
                return


def _read(connection: socket.socket, length: int) -> bytes:
    """Exactly so many bytes. Raises EOFError when the client goes."""
    parts = b""
    while len(parts) < length:
        part = connection.recv(length - len(parts))
        if not part:
            raise EOFError
        parts += part
    return parts
