"""A guest of one sector, for tests: up at once, it speaks on its serial port and can switch itself off.

It says GREETING, repeats what it is told, and goes when it is told QUIT or its power button is pressed.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

GREETING = b"hello from the boot sector\r\n"
QUIT = b"q"

_CODE = bytes.fromhex(
    "31c0 8ed8 fc"  # ds = 0, strings go upwards
    "be 3e7c  ba f803"  # si = the greeting, dx = the serial port
    "ac 84c0 7403 ee ebf8"  # say it, up to its zero byte
    "ba 0206  b8 0001  ef  fb"  # enable the power button's bit (PM1a_EN, 0x602), and interrupts
    "f4"  # 1b: wait for the timer
    "ba fd03 ec a801 7408"  # nothing heard (line status): on to 2c
    "b2f8 ec ee 3c71 7409"  # repeat what was heard; a "q": on to 35
    "ba 0006 ed f6c401 74e6"  # 2c: power button not pressed (PM1a_STS, 0x600): back to 1b
    "ba 0406  b8 0020  ef  ebdd"  # 35: go to sleep state S5 (PM1a_CNT, 0x604)
)


def write(path: Path, uid: int | None = None) -> Path:
    """As a raw disk of 1 MiB, which belongs to `uid`."""
    sector = (_CODE + GREETING + b"\0").ljust(510, b"\0") + b"\x55\xaa"
    path.write_bytes(sector.ljust(1 << 20, b"\0"))
    if uid is not None:
        os.chown(path, uid, uid)
    return path


def missing() -> str | None:
    """Why it cannot be run here, if so."""
    if os.geteuid():
        return "needs root"
    try:
        subprocess.run(["qemu-system-x86_64", "--version"], capture_output=True, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        return str(error)
    return None
