"""How drivers call programs, and how they tell what went wrong."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

COMMAND_SECONDS = 120


def run(*command: str, seconds: int = COMMAND_SECONDS, files: Sequence[int] = ()) -> str:
    """What the program said on standard output; it has these files open as well.

    Raises subprocess's errors: call it inside `told`."""
    return subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=True, pass_fds=files).stdout


@contextmanager
def told(kind: type[Exception], what: str) -> Iterator[None]:
    """Trouble inside is an error of this kind, which says what was tried."""
    try:
        yield
    except subprocess.CalledProcessError as error:
        raise kind(f"{what}: {error.stderr.strip()}") from error
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        raise kind(f"{what}: {error}") from error
