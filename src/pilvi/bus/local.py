"""The bus inside one process, for a single machine."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any

import msgspec

from pilvi.bus.base import BusError, decode_answer, encode_answer


class LocalBus:
    """Calls run in the caller's thread; the time limit is the verb's own."""

    def __init__(self) -> None:
        self._handlers: dict[str, Callable[[str, bytes], Any]] = {}
        self._listeners: dict[str, list[Callable[[bytes], None]]] = defaultdict(list)

    def call(
        self, node: str, verb: str, argument: Any, answer: type | None = None, timeout: float = 60
    ) -> Any:
        handler = self._handlers.get(node)
        if handler is None:
            raise BusError(f"node {node} does not answer: its agent is not running")
        return decode_answer(encode_answer(handler, verb, msgspec.msgpack.encode(argument)), answer)

    def serve(self, node: str, handler: Callable[[str, bytes], Any]) -> None:
        self._handlers[node] = handler

    def nodes(self) -> list[str]:
        return list(self._handlers)

    def publish(self, topic: str, message: Any) -> None:
        encoded = msgspec.msgpack.encode(message)
        for callback in self._listeners[topic]:
            callback(encoded)

    def subscribe(self, topic: str, callback: Callable[[bytes], None]) -> None:
        self._listeners[topic].append(callback)

    def close(self) -> None:
        self._handlers.clear()
