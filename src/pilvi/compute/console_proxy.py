"""Where a browser finds a console: a page at /console/vnc and /console/serial, and a websocket at the same path."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import falcon.asgi
import structlog
from falcon.constants import WebSocketPayloadType
from falcon.media import BinaryBaseHandlerWS, TextBaseHandlerWS

from pilvi.faults import Fault

if TYPE_CHECKING:
    from pilvi.cloud import Cloud

log = structlog.get_logger()

PATH = "/console/{kind}"
VERBS = {"vnc": "vnc_socket", "serial": "console_socket"}
PART_BYTES = 1 << 16
NOT_FOR_OTHERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
                               "connect-src 'self' ws: wss:",
    "Referrer-Policy": "no-referrer",  # the address has the token in it
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
}


def console_url(base_url: str, protocol: str, token: str) -> str:
    """What the API answers. noVNC's way: the page's `path` is where its websocket is; a serial console is one."""
    if protocol == "vnc":
        return f"{base_url}/console/vnc?path={quote(f'console/vnc?token={token}', safe='')}"
    return f"{base_url.replace('http', 'ws', 1)}/console/{protocol}?token={token}"


def add_consoles(app: falcon.asgi.App, cloud: Cloud, pool: ThreadPoolExecutor) -> None:
    app.ws_options.media_handlers[WebSocketPayloadType.TEXT] = _Text()
    app.ws_options.media_handlers[WebSocketPayloadType.BINARY] = _Binary()
    app.add_route(PATH, Console(cloud, pool))


class _Text(TextBaseHandlerWS):
    """What comes through a websocket is bytes to us, also where a client sends text."""

    def serialize(self, media: object) -> str:
        return bytes(media).decode()

    def deserialize(self, payload: str) -> bytes:
        return payload.encode()


class _Binary(BinaryBaseHandlerWS):
    def serialize(self, media: object) -> bytes:
        return bytes(media)

    def deserialize(self, payload: bytes) -> bytes:
        return payload


class Console:
    def __init__(self, cloud: Cloud, pool: ThreadPoolExecutor):
        self._cloud, self._pool = cloud, pool

    async def on_get(self, _req: falcon.asgi.Request, resp: falcon.asgi.Response, kind: str) -> None:
        if kind not in VERBS:
            raise falcon.HTTPNotFound
        resp.content_type, resp.data = "text/html; charset=utf-8", page(kind)
        resp.set_headers(NOT_FOR_OTHERS)

    async def on_websocket(self, req: falcon.asgi.Request, ws: falcon.asgi.WebSocket, kind: str) -> None:
        """Refused with 403 before anything is said, where the token opens nothing."""
        token, verb = req.get_param("token") or "", VERBS.get(kind, "")
        work = asyncio.get_running_loop().run_in_executor(
            self._pool, self._cloud.compute.redeem_console, token, verb)
        try:
            reader, writer = await asyncio.open_unix_connection(str(await work))
        except (Fault, OSError) as error:
            log.info("a console was refused", console=kind, reason=str(error))
            return await ws.close()
        try:
            await ws.accept("binary" if "binary" in ws.subprotocols else None)
            await _both_ways(ws, reader, writer)
        finally:
            writer.close()
        return None


async def _both_ways(ws: falcon.asgi.WebSocket, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Until one of the two goes."""

    async def to_client() -> None:
        while part := await reader.read(PART_BYTES):
            await ws.send_data(part)

    async def to_guest() -> None:
        while True:
            part: Any = await ws.receive_media()
            writer.write(part)
            await writer.drain()

    ways = [asyncio.create_task(way()) for way in (to_client, to_guest)]
    try:
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for way in ways:
            way.cancel()
        for ended in await asyncio.gather(*ways, return_exceptions=True):
            if isinstance(ended, Exception) and not isinstance(ended, falcon.WebSocketDisconnected | OSError):
                log.warning("a console broke", exc_info=ended)
    with suppress(falcon.WebSocketDisconnected):
        await ws.close()


@cache
def page(kind: str) -> bytes:
    return (Path(__file__).parent / "pages" / f"{kind}.html").read_bytes()
