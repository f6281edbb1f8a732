"""The unmodified openstackclient, called in this process: each command is run, and what became of it is kept."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from openstackclient.shell import OpenStackShell
from osc_lib.clientmanager import ClientCache, ClientManager

from pilvi.cli.client import Client
from tests.support.wait import eventually


class Tried(NamedTuple):
    """One call: whether it did what it should, and where that is a refusal, why."""

    command: str
    ok: bool
    said: str
    why: str = ""


class Found(dict):
    """What a command answered; a field that is missing since the command failed does not end the run."""

    def __missing__(self, key: str) -> str:
        return "nothing"


class Terminal(io.StringIO):
    """Standard input of somebody who types nothing: from a pipe, the client would take an image's data."""

    def isatty(self) -> bool:
        return True


class Shell:
    def __init__(self, clouds: Path, groups: Mapping[str, list[str]], client: Client):
        self._clouds, self.client = clouds, client
        self.commands = {command: group for group, commands in groups.items() for command in commands}
        self.tried: list[Tried] = []

    def __call__(self, line: str, *, user: str = "admin") -> Found:
        """Runs a command that must work, for the administrator or another user of clouds.yaml."""
        return self._decoded(self._try(line, user))

    def json(self, line: str, *, user: str = "admin") -> Found:
        """The same, and its answer: an object as it is, a list by the names (or else ids) of its rows."""
        return self._decoded(self._try(f"{line} -f json", user))

    def refused(self, line: str, fault: str, why: str, *, user: str = "admin") -> None:
        """Runs a command that no cloud like this one serves; the fault that names it must say `fault`."""
        code, said = self.run(line, user)
        self.tried.append(Tried(self._name(line), code != 0 and fault.lower() in said.lower(), said, why))

    def wait(self, line: str, field: str, value: str, *, user: str = "admin", seconds: float = 20) -> None:
        """Until the field of what the command shows has this value, or it is noted that it does not get it."""

        def there() -> bool:
            code, said = self.run(f"{line} -f json", user)
            assert code == 0, said
            return str(self._decoded(said)[field]) == value

        try:
            eventually(there, seconds, f"{field} {value} in {line}")
        except AssertionError as error:
            self.tried.append(Tried(self._name(line), False, str(error)))

    def gone(self, line: str, *, user: str = "admin", seconds: float = 20) -> None:
        """Until what the command shows is not there, or it is noted that it stays."""
        try:
            eventually(lambda: self.run(line, user)[0] != 0, seconds, f"the end of what is shown by {line}")
        except AssertionError as error:
            self.tried.append(Tried(self._name(line), False, str(error)))

    def run(self, line: str, user: str = "admin") -> tuple[int, str]:
        """The exit code, and what was said on both channels."""
        cloud = "pilvi-admin" if user == "admin" else user
        out = io.StringIO()
        logging.getLogger().handlers.clear()  # an earlier command's, which write where that wrote
        for cache in vars(ClientManager).values():
            if isinstance(cache, ClientCache):
                cache._handle = None  # an earlier command's client, which is that command's user
        before = os.environ.get("OS_CLIENT_CONFIG_FILE")
        os.environ["OS_CLIENT_CONFIG_FILE"] = str(self._clouds)
        try:
            sys.stdin = Terminal()
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
                code = OpenStackShell().run(["--os-cloud", cloud, *shlex.split(line)])
        except SystemExit as end:
            code = int(end.code or 0)
        finally:
            sys.stdin = sys.__stdin__
            if before is None:
                del os.environ["OS_CLIENT_CONFIG_FILE"]
            else:
                os.environ["OS_CLIENT_CONFIG_FILE"] = before
        return code, out.getvalue()

    def _try(self, line: str, user: str) -> str:
        code, said = self.run(line, user)
        self.tried.append(Tried(self._name(line), code == 0, f"{line}\n{said}"))
        return said if code == 0 else ""

    def _name(self, line: str) -> str:
        words = [word for word in shlex.split(line) if word != "--"]
        for end in range(len(words), 0, -1):
            if (name := " ".join(words[:end])) in self.commands:
                return name
        # Options of the client itself may stand before the command.
        return self._name(shlex.join(words[1:])) if len(words) > 1 else line

    @staticmethod
    def _decoded(said: str) -> Found:
        start = min((at for at in (said.find("{"), said.find("[")) if at >= 0), default=-1)
        if start < 0:
            return Found()
        with contextlib.suppress(ValueError):
            found: Any = json.loads(said[start:])
            if isinstance(found, dict):
                return Found(found)
            return Found({row.get("Name") or row.get("ID"): Found(row) for row in found if isinstance(row, dict)})
        return Found()


def groups() -> dict[str, list[str]]:
    """The client's subcommands by their area."""
    with contextlib.redirect_stdout(io.StringIO()) as out:
        OpenStackShell().run(["command", "list", "-f", "json"])
    names = {"openstack.common": "common", "openstack.identity.v3": "identity", "openstack.image.v2": "image",
             "openstack.compute.v2": "compute", "openstack.network.v2": "network", "openstack.volume.v3": "volume"}
    listed = {row["Command Group"]: row["Commands"] for row in json.loads(out.getvalue())}
    return {area: listed[group] if isinstance(listed[group], list) else listed[group].split("\n")
            for group, area in names.items()}
