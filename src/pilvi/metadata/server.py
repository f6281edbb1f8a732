"""Serves metadata on sockets inside the networks' namespaces: one small HTTP/1.1 server for all of them."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import h11
import structlog

log = structlog.get_logger()

IDLE_SECONDS = 15  # after which a silent guest's connection is closed
CONNECTIONS = 32  # that one guest may have open at a time
THREADS = 4
BODY_BYTES = 4096  # of what a guest writes: more than this is too long in any case


class Answers(Protocol):
    def answer(self, network_id: str, address: str, path: str) -> bytes | None: ...

    def post(self, network_id: str, address: str, path: str, body: bytes) -> tuple[int, bytes]: ...


class MetadataServer:
    """A thread with an event loop; `serve` and `stop_serving` are called from any other."""

    def __init__(self, metadata: Answers):
        self._metadata = metadata
        self._loop = asyncio.new_event_loop()
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="metadata")
        self._servers: dict[str, list[asyncio.Server]] = {}
        self._open: Counter[tuple[str, str]] = Counter()  # connections by network and address
        self._thread = threading.Thread(target=self._loop.run_forever, name="metadata", daemon=True)
        self._thread.start()

    def serve(self, network_id: str, *listeners: socket.socket) -> None:
        """Answers what connects to these listening sockets as coming from this network."""

        async def start() -> None:
            self._servers[network_id] = [
                await asyncio.start_server(lambda reader, writer: self._connection(network_id, reader, writer), sock=one)
                for one in listeners
            ]

        for listener in listeners:
            listener.setblocking(False)
        asyncio.run_coroutine_threadsafe(start(), self._loop).result(10)

    def stop_serving(self, network_id: str) -> None:
        async def stop() -> None:
            for server in self._servers.pop(network_id, ()):
                server.close()

        asyncio.run_coroutine_threadsafe(stop(), self._loop).result(10)

    def close(self) -> None:
        for network_id in list(self._servers):
            self.stop_serving(network_id)
        asyncio.run_coroutine_threadsafe(self._let_go(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._pool.shutdown(wait=True)
        self._loop.close()

    async def _let_go(self) -> None:
        """Ends what is still connected."""
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _connection(
        self, network_id: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        address = writer.get_extra_info("peername")[0].partition("%")[0]
        connection, guest = h11.Connection(h11.SERVER), (network_id, address)
        self._open[guest] += 1
        try:
            while self._open[guest] <= CONNECTIONS and await self._exchange(
                network_id, address, connection, reader, writer
            ):
                connection.start_next_cycle()
        except (OSError, TimeoutError, h11.ProtocolError):
            pass  # the guest went away, fell silent, or does not speak HTTP
        except Exception:
            log.exception("a guest's request for metadata failed", network_id=network_id, address=address)
        finally:
            self._open[guest] -= 1
            if not self._open[guest]:
                del self._open[guest]
            writer.close()

    async def _exchange(
        self,
        network_id: str,
        address: str,
        connection: h11.Connection,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> bool:
        """One request and its answer; whether the connection stays open."""
        request, body = None, bytearray()
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                connection.receive_data(await asyncio.wait_for(reader.read(65536), IDLE_SECONDS))
            elif isinstance(event, h11.Request):
                request = event
            elif isinstance(event, h11.Data):
                body += event.data[:BODY_BYTES + 1 - len(body)]
            elif isinstance(event, h11.EndOfMessage):
                break
            elif isinstance(event, h11.ConnectionClosed):
                return False
        status, text = await self._answer(network_id, address, request, bytes(body))
        headers = [("Content-Length", str(len(text))), ("Content-Type", "text/plain; charset=utf-8")]
        writer.write(connection.send(h11.Response(status_code=status, headers=headers)) or b"")
        if request.method != b"HEAD":
            writer.write(connection.send(h11.Data(data=text)) or b"")
        writer.write(connection.send(h11.EndOfMessage()) or b"")
        await writer.drain()
        return connection.our_state is h11.DONE and connection.their_state is h11.DONE

    async def _answer(
        self, network_id: str, address: str, request: h11.Request, body: bytes
    ) -> tuple[int, bytes]:
        path = request.target.decode("ascii", "replace").partition("?")[0]
        run = asyncio.get_running_loop().run_in_executor
        if request.method == b"POST":
            return await run(self._pool, self._metadata.post, network_id, address, path, body)
        if request.method not in (b"GET", b"HEAD"):
            return 405, b"metadata is only read"
        found = await run(self._pool, self._metadata.answer, network_id, address, path)
        return (404, b"there is no such metadata") if found is None else (200, found)
