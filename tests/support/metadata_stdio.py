"""One answer of a metadata service, on standard input and output: `python metadata_stdio.py FOLDER`.

QEMU starts this for each connection of a guest to 169.254.169.254: metadata without a network."""

from __future__ import annotations

import sys
from pathlib import Path


def main(folder: Path) -> None:
    target = sys.stdin.readline().split()[1]
    while sys.stdin.readline().strip():
        pass
    path = folder / target.strip("/")
    found = path / "index" if path.is_dir() else path
    status, body = ("200 OK", found.read_bytes()) if found.exists() else ("404 Not Found", b"not found\n")
    sys.stdout.buffer.write(f"HTTP/1.0 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
    sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
