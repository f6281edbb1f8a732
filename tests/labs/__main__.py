"""`scripts/labs`: the tutorials of labs/, run on a throw-away cloud."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from tests.conformance import clouds
from tests.conformance.configuration import environment
from tests.labs.client import preloaded
from tests.labs.tutorial import Failed, Session, steps
from tests.support.guests import tiny_image

LABS = Path(__file__).resolve().parents[2] / "labs"


def names() -> list[str]:
    return sorted(path.stem for path in LABS.glob("*.md") if path.stem != "README")


class Done(NamedTuple):
    blocks: int  # that were run
    seconds: float
    trouble: str  # "" where it all is as the tutorial says


def run(target: clouds.Target, wanted: list[str], image: Path) -> dict[str, Done]:
    found = {}
    with tempfile.TemporaryDirectory(prefix="labs-") as folder:
        variables = {**environment(target.place), "OS_CLOUD": "pilvi", "PILVI_STATE": str(target.place.root),
                     "PYTHONPATH": os.environ.get("PYTHONPATH", "")}
        with preloaded(Path(folder) / "bin", target.enter, variables) as programs:
            variables["PATH"] = f"{programs}:{variables['PATH']}"
            prepare(target, image)
            for name in wanted:
                (place := Path(folder) / name).mkdir()
                found[name] = follow(name, Session(place, variables, target.enter), real=target.real)
    return found


def follow(name: str, session: Session, *, real: bool) -> Done:
    chosen = [step for step in steps((LABS / f"{name}.md").read_text()) if real or "real" not in step.words]
    started, trouble = time.monotonic(), ""
    try:
        for step in chosen:
            session.run(step)
    except Failed as failed:
        trouble = f"labs/{name}.md, {failed}"
    return Done(len(chosen), time.monotonic() - started, trouble)


def prepare(target: clouds.Target, image: Path) -> None:
    """What `pilvi up` makes by itself: an image to boot."""
    client = target.client()
    made = client.post("/image/v2/images", {"name": "tiny", "disk_format": "qcow2", "container_format": "bare",
                                            "visibility": "public", "min_ram": 96})
    with image.open("rb") as data:
        client.upload(f"/image/v2/images/{made['id']}/file", data, image.stat().st_size)


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/labs", description=__doc__)
    parser.add_argument("labs", nargs="*", choices=[*names(), []], help="default: all")
    parser.add_argument("--real", action="store_true", help="QEMU and OVN in a network namespace, guests are logged in to")
    options = parser.parse_args()
    image = tiny_image()
    with clouds.real(image) if options.real else clouds.simulated() as target:
        done = run(target, options.labs or names(), image)
    for name, lab in done.items():
        print(lab.trouble or f"{name:20} {lab.blocks:3} blocks {lab.seconds:6.1f} s")
    return 1 if any(lab.trouble for lab in done.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
