"""Talks to the QEMU guest agent: a program in the guest, which answers lines of JSON on a serial channel."""

from __future__ import annotations

import base64
import json
import secrets
import socket
from pathlib import Path
from typing import Any

from pilvi.drivers.hypervisor.base import AgentSilent, HypervisorError

ANSWER_SECONDS = 5.0
LONGEST_ANSWER = 1 << 16


def set_password(path: Path, user: str, password: str) -> None:
    """Raises HypervisorError."""
    ask(path, "guest-set-user-password", {
        "username": user, "password": base64.b64encode(password.encode()).decode(), "crypted": False})


def ask(path: Path, command: str, arguments: dict[str, Any]) -> Any:
    """The agent's answer. Whatever an earlier caller was told is skipped first. Raises AgentSilent, HypervisorError."""
    with socket.socket(socket.AF_UNIX) as channel:
        channel.settimeout(ANSWER_SECONDS)
        try:
            channel.connect(str(path))
            number = secrets.randbelow(1 << 31)
            # qemu-ga.rst: 0xFF makes the agent forget half a command, and begin its answer with the same byte.
            _send(channel, b"\xff", "guest-sync-delimited", {"id": number})
            lines = channel.makefile("rb")
            while _read(lines).get("return") != number:
                pass
            _send(channel, b"", command, arguments)
            answer = _read(lines)
        except OSError as error:
            raise AgentSilent(f"its guest agent does not answer: {error}") from error
    if "error" in answer:
        raise HypervisorError(f"its guest agent refused {command}: {answer['error'].get('desc', 'no reason given')}")
    return answer.get("return")


def _send(channel: socket.socket, before: bytes, command: str, arguments: dict[str, Any]) -> None:
    channel.sendall(before + json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n")


def _read(lines: Any) -> dict[str, Any]:
    """One answer. What is none comes from a guest that does not keep to the protocol."""
    line = lines.readline(LONGEST_ANSWER)
    if not line.endswith(b"\n"):
        raise HypervisorError("its guest agent hung up")
    try:
        answer = json.loads(line.rpartition(b"\xff")[2])
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}
