"""The unmodified openstackclient for many calls in a row: imported once, and forked for each of them.

`serve` is the process that has it imported; `openstack`, which a lab finds on its PATH, hands its arguments, its folder and
its standard channels over, and ends as the client ended."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.support.wait import eventually

CALL = '''#!{python} -SE
import array, json, os, socket, sys
with socket.socket(socket.AF_UNIX) as line:
    line.connect({socket!r})
    said = json.dumps([sys.argv[1:], os.getcwd(), dict(os.environ)]).encode()
    line.sendmsg([len(said).to_bytes(4, "big")], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0, 1, 2]))])
    line.sendall(said)
    answer = line.recv(1)
sys.exit(answer[0] if answer else 70)
'''


@contextmanager
def preloaded(folder: Path, enter: Sequence[str], environment: Mapping[str, str]) -> Iterator[Path]:
    """A folder for PATH with an `openstack` that answers at once."""
    folder.mkdir()
    address, command = folder / "socket", folder / "openstack"
    command.write_text(CALL.format(python=sys.executable, socket=str(address)))
    command.chmod(0o755)
    server = subprocess.Popen([*enter, sys.executable, "-m", "tests.labs.client", str(address)], env=environment,
                              cwd=Path(__file__).parents[2], stdin=subprocess.DEVNULL)
    try:
        eventually(lambda: address.exists() or server.poll() is not None, 60, "the client to be imported")
        assert server.poll() is None, "the client could not be imported"
        yield folder
    finally:
        server.terminate()
        server.wait(10)
        shutil.rmtree(folder)


def serve(address: str) -> None:
    from openstackclient.shell import OpenStackShell

    with contextlib.redirect_stdout(io.StringIO()):
        OpenStackShell().run(["command", "list", "-f", "json"])  # which imports all there is
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{address}.new")
        listener.listen()
        os.rename(f"{address}.new", address)
        while True:
            line, _ = listener.accept()
            with line:
                answer(line, OpenStackShell)


def answer(line: socket.socket, shell: type) -> None:
    """One call, in a process of its own."""
    size, channels, _, _ = socket.recv_fds(line, 4, 3)
    with line.makefile("rb") as incoming:
        arguments, folder, environment = json.loads(incoming.read(int.from_bytes(size, "big")))
    child = os.fork()
    if not child:
        for number, channel in enumerate(channels):
            os.dup2(channel, number)
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(environment)
        code = 1
        try:
            code = shell().run(arguments)
        except SystemExit as end:
            code = int(end.code or 0)
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    for channel in channels:
        os.close(channel)
    line.sendall(bytes([os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) & 255]))


if __name__ == "__main__":
    serve(sys.argv[1])
