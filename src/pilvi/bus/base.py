"""How a controller reaches the node agents.

Messages are hints and calls; the database is the truth, so a lost one costs a delay and nothing else.
Whatever carries them, they are encoded (MessagePack): nothing but data gets from one half of Pilvi into the
other.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import msgspec


class BusError(Exception):
    """The node could not be reached, or did not answer in time."""


class RemoteError(Exception):
    """The node answered that the verb failed; `kind` is the name of the exception there."""

    def __init__(self, kind: str, message: str):
        super().__init__(message)
        self.kind = kind


class Answer(msgspec.Struct):
    value: Any = None
    error_kind: str | None = None
    error: str = ""


class Bus(Protocol):
    def call(
        self, node: str, verb: str, argument: Any, answer: type | None = None, timeout: float = 60
    ) -> Any:
        """Calls a verb of a node's agent and decodes what it returns. Raises BusError, RemoteError."""

    def serve(self, node: str, handler: Callable[[str, bytes], Any]) -> None:
        """Calls `handler(verb, encoded argument)` for each call to this node."""

    def nodes(self) -> list[str]:
        """The nodes whose agents serve."""

    def publish(self, topic: str, message: Any) -> None:
        """Tells whoever listens; nobody needs to."""

    def subscribe(self, topic: str, callback: Callable[[bytes], None]) -> None: ...

    def close(self) -> None: ...


def encode_answer(handler: Callable[[str, bytes], Any], verb: str, argument: bytes) -> bytes:
    try:
        return msgspec.msgpack.encode(Answer(handler(verb, argument)))
    except Exception as error:
        return msgspec.msgpack.encode(
            Answer(error_kind=type(error).__name__, error=str(error) or repr(error))
        )


def decode_answer(encoded: bytes, answer: type | None) -> Any:
    envelope = msgspec.msgpack.decode(encoded, type=Answer)
    if envelope.error_kind is not None:
        raise RemoteError(envelope.error_kind, envelope.error)
    return envelope.value if answer is None else msgspec.convert(envelope.value, answer)
