"""Volumes that are LUKS containers: made by qemu-img, opened by the guests' QEMU, and to all else just bytes.

The passphrase is random, so it needs no stretching; qemu-img reads it from an open file that is in memory only.
The format is LUKS version 1, which is what QEMU reads and writes, whichever version of LUKS a volume type names.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pilvi.drivers.disk.base import Image
from pilvi.drivers.tools import run, told
from pilvi.drivers.volume.base import VolumeError, Way

COPY_SECONDS = 3600
CIPHERS = ("aes", "serpent", "twofish")
STRETCHING_MS = 10
UNMEASURED, ATTEMPTS = "Unable to get accurate CPU usage", 10


class Luks:
    """Containers on their way into volumes, in `folder`; `unseal`: a key -> the passphrase."""

    def __init__(self, folder: Path, unseal: Callable[[str], bytes]):
        self._folder, self._unseal = folder, unseal
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for unfinished in folder.iterdir():
            unfinished.unlink()

    @contextmanager
    def container(self, name: str, way: Way, image: Image | None) -> Iterator[Path]:
        file = self._folder / f"{name}.luks"
        try:
            with told(VolumeError, f"volume {name} cannot be encrypted"):
                self._make(file, way, image)
            yield file
        finally:
            file.unlink(missing_ok=True)

    def _make(self, file: Path, way: Way, image: Image | None) -> None:
        passphrase = os.memfd_create("passphrase", os.MFD_CLOEXEC)
        try:
            os.write(passphrase, self._unseal(way.key))
            secret = ("--object", f"secret,id=key,file=/dev/fd/{passphrase}")
            how = ",".join(("key-secret=key", f"iter-time={STRETCHING_MS}", *options(way.cipher, way.key_bits)))
            if image is None:
                _stretched("qemu-img", "create", "-q", *secret, "-f", "luks", "-o", how, str(file), "0", files=(passphrase,))
            else:
                described = json.loads(run("qemu-img", "info", "--output=json", "-f", image.format, image.path))
                if described.get("backing-filename"):
                    raise ValueError("the image is based on another file")  # it may be any file of this host
                _stretched("qemu-img", "convert", "-q", *secret, "-f", image.format, "-O", "luks", "-o", how, image.path,
                           str(file), files=(passphrase,), seconds=COPY_SECONDS)
        finally:
            os.close(passphrase)


def _stretched(*command: str, **more: Any) -> None:
    """qemu-img measures its key derivation, and gives up where the clock saw none of it: another time it will."""
    for attempts_left in reversed(range(ATTEMPTS)):
        try:
            run(*command, **more)
        except subprocess.CalledProcessError as error:
            if not attempts_left or UNMEASURED not in error.stderr:
                raise
        else:
            return


def options(cipher: str, key_bits: int) -> list[str]:
    """What qemu-img calls a cipher of cryptsetup's. Raises ValueError for one that there is not."""
    if not cipher:
        return []
    found = re.fullmatch(r"([a-z]+)-(xts|cbc)-(plain|plain64|essiv:sha256)", cipher)
    bits = key_bits or (512 if "-xts-" in cipher else 256)
    if found and found[2] == "xts":  # half of the key is for the tweak
        bits //= 2
    if not found or found[1] not in CIPHERS or bits not in (128, 256):
        raise ValueError(f"there is no cipher {cipher} with a key of {key_bits or 'its own number of'} bits")
    generator, _, digest = found[3].partition(":")
    return [f"cipher-alg={found[1]}-{bits}", f"cipher-mode={found[2]}", f"ivgen-alg={generator}",
            *([f"ivgen-hash-alg={digest}"] if digest else [])]
