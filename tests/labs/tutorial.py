"""Tutorials that can be run: the commands in their fenced blocks, and what is said to come out of them.

A block begins with ```sh and words about it: `real` (only on a cloud with guests), `fails` (its exit status is not 0),
`wait` (tried again until it does what it should). The block ```output after it is what it says: `…` stands for anything in a
line, a line of its own for any lines; spaces and the rules of tables do not count."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.support.wait import eventually

FENCE = re.compile(r"^```(\w+) ?([\w ]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
WORDS = {"real", "fails", "wait"}
SECONDS, PATIENCE = 120, 300


class Step(NamedTuple):
    line: int
    commands: str
    words: frozenset[str]
    output: str | None


class Failed(AssertionError):
    """The tutorial says something else than what happens; the message says where."""


def steps(text: str) -> list[Step]:
    """Raises ValueError for a block that is not understood."""
    found: list[Step] = []
    for block in FENCE.finditer(text):
        kind, words, body = block[1], frozenset(block[2].split()), block[3]
        line = text.count("\n", 0, block.start()) + 1
        if kind == "sh" and words <= WORDS:
            found.append(Step(line, body, words, None))
        elif kind == "output" and not words and found and found[-1].output is None:
            found[-1] = found[-1]._replace(output=body)
        else:
            raise ValueError(f"line {line}: a block of {block[1]} {block[2]}".rstrip())
    return found


def differs(expected: str, said: str) -> bool:
    lines = [re.escape(line).replace("…", ".*") for line in plain(expected)]
    pattern = "".join(r"(.*\n)*" if line == ".*" else f"{line}\n" for line in lines)
    return not re.fullmatch(pattern, "".join(f"{line}\n" for line in plain(said)))


def plain(text: str) -> list[str]:
    lines = (" ".join(line.split()) for line in text.splitlines())
    return [line for line in lines if line and not re.fullmatch(r"[+\- ]+", line)]


class Session:
    """A shell in a folder; variables last from block to block."""

    def __init__(self, folder: Path, environment: Mapping[str, str], enter: Sequence[str] = ()):
        self._folder, self._environment, self._enter = folder, environment, enter
        (folder / ".variables").touch()

    def run(self, step: Step) -> None:
        """Raises Failed where it does not do what the tutorial says."""
        if "wait" in step.words:
            last: list[str] = []

            def done() -> bool:
                last[:] = filter(None, [self._trouble(step)])
                return not last

            try:
                eventually(done, PATIENCE, f"line {step.line}")
            except AssertionError as error:
                raise Failed(f"{error}: {''.join(last)}") from None
        elif trouble := self._trouble(step):
            raise Failed(f"line {step.line}: {trouble}")

    def _trouble(self, step: Step) -> str:
        script = f"set -euo pipefail -a\n. ./.variables\ntrap 'export -p >.variables' EXIT\n{step.commands}"
        done = subprocess.run([*self._enter, "bash", "-c", script], cwd=self._folder, env=dict(self._environment), text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, timeout=SECONDS)
        if (done.returncode != 0) != ("fails" in step.words):
            return f"exit status {done.returncode} of\n{step.commands}\n{done.stdout}"
        if step.output is not None and differs(step.output, done.stdout):
            return f"{step.commands}\nis said to say\n{step.output}\nbut says\n{done.stdout}"
        return ""
