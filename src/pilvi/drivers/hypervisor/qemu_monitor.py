"""QEMU's monitors (QMP) for callers in threads: connections live on an event loop with its own thread."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from qemu.qmp import EventListener, ExecuteError, QMPClient, QMPError
from qemu.qmp.protocol import Runstate

T = TypeVar("T")

ANSWER_SECONDS = 10.0
CLEAR_UP_SECONDS = 5.0  # for the library to undo what took too long

logging.getLogger("qemu.qmp").setLevel(logging.CRITICAL)  # to it, every end of a guest is an error


class MonitorError(Exception):
    """QEMU refused a command, or did not answer in time."""

    refused = False  # it did answer


class Monitor:
    """The connection to one guest's QEMU. `status` is QEMU's run state as its events tell it."""

    def __init__(self, loop: Loop, changed: Callable[[], None]):
        self._loop, self._changed = loop, changed
        self._client = QMPClient()
        self._tasks: set[asyncio.Task[None]] = set()
        self.status = ""

    @property
    def connected(self) -> bool:
        return self._client.runstate is Runstate.RUNNING

    def connect(self, path: Path, seconds: float) -> None:
        """Raises MonitorError."""
        self._loop.call(self._connect(path), seconds, f"connecting to {path}")

    def execute(self, command: str, seconds: float = ANSWER_SECONDS) -> None:
        """And brings `status` up to date. Raises MonitorError."""
        self._loop.call(self._execute(command), seconds, command)

    def ask(self, command: str, arguments: Mapping[str, Any] | None = None, *, file: int | None = None,
            seconds: float = ANSWER_SECONDS) -> Any:
        """QEMU's answer to a command that changes no run state; `file` is handed over with it (for `getfd`).

        Raises MonitorError; `refused` is set where QEMU did answer, with a refusal."""
        return self._loop.call(self._ask(command, arguments, file), seconds, command)

    def quit(self, seconds: float) -> None:
        """Asks QEMU to end; it may do so before it answers."""
        with suppress(MonitorError):
            self._loop.call(self._client.execute("quit"), seconds, "quit")

    def close(self) -> None:
        with suppress(MonitorError):
            self._loop.call(self._close(), ANSWER_SECONDS, "disconnecting")

    # -- on the loop

    async def _connect(self, path: Path) -> None:
        await self._client.connect(str(path))
        self._client.register_listener(_Ear(lambda: self._spawn(self._refresh_and_tell())))
        self._spawn(self._until_ended())
        await self._refresh()

    async def _execute(self, command: str) -> None:
        await self._client.execute(command)
        await self._refresh()

    async def _ask(self, command: str, arguments: Mapping[str, Any] | None, file: int | None) -> Any:
        if file is not None:
            self._client.send_fd_scm(file)
        return await self._client.execute(command, arguments)

    async def _refresh(self) -> None:
        answer: Any = await self._client.execute("query-status")
        self.status = answer["status"]

    async def _refresh_and_tell(self) -> None:
        with suppress(QMPError):
            await self._refresh()
            self._changed()

    async def _until_ended(self) -> None:
        while self.connected:
            await self._client.runstate_changed()
        with suppress(Exception):  # how it ended: the same to us
            await self._client.disconnect()
        self._changed()

    async def _close(self) -> None:
        for task in self._tasks:
            task.cancel()
        with suppress(Exception):
            await self._client.disconnect()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class _Ear(EventListener):
    """Hears every event at once, before the connection's end is noticed; a listener's queue is read later."""

    def __init__(self, heard: Callable[[], None]):
        super().__init__()
        self._heard = heard

    async def put(self, event: Any) -> None:
        self._heard()


class Loop:
    """An event loop in a thread of its own, started when it is first needed."""

    def __init__(self) -> None:
        self._loop = asyncio.SelectorEventLoop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="qemu-monitors", daemon=True)
        self._guard = threading.Lock()

    def call(self, work: Coroutine[Any, Any, T], seconds: float, what: str) -> T:
        """Raises MonitorError, also when it takes longer than `seconds`."""
        with self._guard:
            if self._loop.is_closed():
                work.close()
                raise MonitorError(f"{what}: let go of")
            if not self._thread.is_alive():
                self._thread.start()
        try:
            answer = asyncio.run_coroutine_threadsafe(asyncio.wait_for(work, seconds), self._loop)
            return answer.result(seconds + CLEAR_UP_SECONDS)
        except TimeoutError:
            raise MonitorError(f"{what}: no answer within {seconds:g} s") from None
        except (QMPError, OSError) as error:
            failed = MonitorError(f"{what}: {error}")
            failed.refused = isinstance(error, ExecuteError)
            raise failed from error

    def close(self) -> None:
        with self._guard:
            if self._thread.is_alive():
                self._loop.call_soon_threadsafe(self._loop.stop)
                self._thread.join()
            self._loop.close()
