"""`pilvi console`: a server's serial line, in this terminal."""

from __future__ import annotations

import contextlib
import os
import select
import sys
import termios
import threading
import tty
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pilvi.cli.main import state_option
from pilvi.settings import Place, default_place

if TYPE_CHECKING:
    from websockets.sync.client import ClientConnection

END = b"\x1d"  # Ctrl-]
PART_BYTES = 4096


@click.command("console")
@click.argument("server")
@state_option
def command(server: str, state: Path | None) -> None:
    """Type into SERVER's serial line (an id, or a name that only one has). Ctrl-] leaves it."""
    from websockets.sync.client import connect

    from pilvi.cli.client import Client

    client = Client(Place(state or default_place()), "admin")
    found = client.get(f"/pilvi/v1/explain/servers/{server}")
    wanted = {"remote_console": {"protocol": "serial", "type": "serial"}}
    console = client.post(f"/compute/v2.1/servers/{found['id']}/remote-consoles", wanted)["remote_console"]
    with connect(console["url"], subprotocols=["binary"], proxy=None) as line:
        click.echo(f"The serial line of {found['name']}; Ctrl-] leaves it.", err=True)
        with raw(sys.stdin.fileno()):
            left = talk(line, sys.stdin.fileno(), sys.stdout.fileno())
    click.echo("" if left else "\nThe server ended it.", err=True)


def talk(line: ClientConnection, source: int, sink: int) -> bool:
    """What is typed goes into the line and what it says comes out. Whether it was left (Ctrl-], the input's end)
    rather than ended by the server."""
    from websockets.exceptions import ConnectionClosed

    ended, ending = os.pipe()

    def listen() -> None:
        for part in line:
            os.write(sink, part if isinstance(part, bytes) else part.encode())
        os.close(ending)

    threading.Thread(target=listen, daemon=True).start()
    try:
        while ended not in select.select([source, ended], [], [])[0]:
            typed, left, _ = os.read(source, PART_BYTES).partition(END)
            line.send(typed)
            if left or not typed:
                return True
    except ConnectionClosed:
        pass
    finally:
        os.close(ended)
    return False


@contextlib.contextmanager
def raw(terminal: int) -> Iterator[None]:
    """Every key goes to the server, also those that end programs; nothing is changed where this is no terminal."""
    if not os.isatty(terminal):
        yield
        return
    before = termios.tcgetattr(terminal)
    tty.setraw(terminal)
    try:
        yield
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)
