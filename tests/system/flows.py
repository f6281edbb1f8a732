"""Packets that are counted: flows between hosts of a test, each packet numbered and answered, sent fifty times a second.

A UDP flow loses packets and goes on; a TCP connection stalls until its packets come through, or breaks."""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.system.netlab import Guest, wait_for

INTERVAL = 0.02
NUMBER = struct.Struct("!Q")
STEADY = 25  # answers in a row after which a flow flows


class Flow:
    """What was sent and what was answered, by number."""

    def __init__(self, name: str, kind: int, source: Guest, target: Guest, address: str, port: int) -> None:
        self.name, self.kind = name, kind
        self.sent: list[float] = []
        self.answered: dict[int, float] = {}
        self.broken = False
        self.waiting = b""
        self._listener = target.call(_listening, kind, port)
        self.sockets = {self._listener: self._hear if kind == socket.SOCK_DGRAM else self._accept}
        self.client = source.call(_connected, kind, address, port)
        self.sockets[self.client] = self._answer

    def send(self) -> None:
        number = len(self.sent)
        self.sent.append(time.monotonic())
        self._try(self.client.send, NUMBER.pack(number))

    def steady(self) -> bool:
        """The last packets were all answered."""
        last = len(self.sent) - 3
        return all(number in self.answered for number in range(last - STEADY, last))

    def lost(self, first: int, last: int) -> int:
        return sum(number not in self.answered for number in range(first, last))

    def longest(self, first: int, last: int) -> float:
        """Seconds that the slowest answer took; for a TCP connection: how long it stalled."""
        took = (self.answered[number] - self.sent[number] for number in range(first, last) if number in self.answered)
        return max(took, default=0.0)

    def close(self) -> None:
        for each in self.sockets:
            each.close()

    def _try(self, action, *arguments) -> bytes:
        try:
            return action(*arguments)
        except BlockingIOError:
            return b""
        except OSError:
            self.broken = self.kind == socket.SOCK_STREAM
            return b""

    def _accept(self) -> None:
        connection, _ = self._listener.accept()
        connection.setblocking(False)
        self.sockets = {**self.sockets, connection: lambda: self._echo(connection)}

    def _echo(self, connection: socket.socket) -> None:
        self._try(connection.send, self._try(connection.recv, 65536))

    def _hear(self) -> None:
        with contextlib.suppress(OSError):
            data, peer = self._listener.recvfrom(100)
            self._listener.sendto(data, peer)

    def _answer(self) -> None:
        self.waiting += self._try(self.client.recv, 65536)
        while len(self.waiting) >= NUMBER.size:
            (number,) = NUMBER.unpack_from(self.waiting)
            self.waiting = self.waiting[NUMBER.size :]
            self.answered.setdefault(number, time.monotonic())


def _listening(kind: int, port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, kind)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("0.0.0.0", port))
    if kind == socket.SOCK_STREAM:
        listener.listen()
    listener.setblocking(False)
    return listener


def _connected(kind: int, address: str, port: int) -> socket.socket:
    client = socket.socket(socket.AF_INET, kind)
    client.settimeout(15)
    client.connect((address, port))
    if kind == socket.SOCK_STREAM:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    client.setblocking(False)
    return client


class Traffic(threading.Thread):
    """All flows of a test in one thread."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.flows: list[Flow] = []
        self._over = threading.Event()

    def udp(self, name: str, source: Guest, target: Guest, address: str, port: int) -> None:
        self.flows.append(Flow(name, socket.SOCK_DGRAM, source, target, address, port))

    def tcp(self, name: str, source: Guest, target: Guest, address: str, port: int) -> None:
        self.flows.append(Flow(name, socket.SOCK_STREAM, source, target, address, port))

    def run(self) -> None:
        due = time.monotonic()
        while not self._over.is_set():
            for flow in self.flows:
                flow.send()
            due = max(due + INTERVAL, time.monotonic())
            while (left := due - time.monotonic()) > 0:
                ready = {each: act for flow in self.flows for each, act in flow.sockets.items()}
                for each in select.select(list(ready), [], [], left)[0]:
                    ready[each]()

    def steady(self) -> bool:
        return all(flow.steady() for flow in self.flows)

    def settle(self, seconds: float = 60) -> None:
        wait_for(self.steady, "all flows to flow", seconds)

    def close(self) -> None:
        self._over.set()
        if self.is_alive():
            self.join(5)
        for flow in self.flows:
            flow.close()


@contextmanager
def traffic() -> Iterator[Traffic]:
    made = Traffic()
    try:
        yield made
    finally:
        made.close()
