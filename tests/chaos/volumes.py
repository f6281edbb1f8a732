"""`scripts/volume-chaos`: a guest writes blocks and says which are flushed, while its volume is snapshotted, grown, copied
and backed up, and Pilvi and the guest are killed. At the end every block that was said to be flushed must be there, and
every snapshot and backup must be what the volume was at one moment between its request and its completion.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from pilvi.cli.client import ApiFault
from tests.support.guests import tiny_image
from tests.support.wait import eventually
from tests.system.lab import Lab, lab
from tests.system.test_server_changes import prepare

BLOCK = 512
PLACES = 1 << 20  # blocks that are written to: the first half of the first GiB
STRIDE = 7919  # odd, so that consecutive blocks are far from each other and none is written twice
GIB_AT_MOST = 4
VOLUME = "/volume/v3"
WRITER = f"""
n=$1
while :; do
  printf '%-{BLOCK - 1}s\\n' "block $n of the chaos" > /run/block
  dd if=/run/block of=/dev/vdb bs={BLOCK} seek=$((n * {STRIDE} % {PLACES})) conv=notrunc,fsync 2>/dev/null || exit 1
  echo "flushed $n" > /dev/ttyS0
  n=$((n + 1))
done
"""


def block(number: int) -> bytes:
    return f"block {number} of the chaos".encode().ljust(BLOCK - 1) + b"\n"


class Moment(NamedTuple):
    """Something that holds the volume as it was at a moment after `least` was flushed."""

    name: str
    least: int


class Chaos:
    def __init__(self, cloud: Lab, seed: int, say: Callable[[str], None] = print):
        self.cloud, self.random, self.say = cloud, random.Random(seed), say
        self.snapshots: dict[str, Moment] = {}
        self.backups: dict[str, Moment] = {}
        self.copies: dict[str, Moment] = {}
        self.holes: set[int] = set()  # numbers that were under way, or left out, when the guest was killed
        self.size, self.done, self.kills = 1, 0, 0

    # -- the guest

    def begin(self) -> None:
        openstack = self.cloud.openstack
        openstack("server", "create", "--image", "tiny", "--flavor", "small", "--network", "net", "--key-name", "k",
                  "--security-group", "open", "--wait", "writer")
        self.server = self.cloud.json("server", "show", "writer")["id"]
        self.address = self.cloud.json("floating", "ip", "create", "public")["floating_ip_address"]
        openstack("server", "add", "floating", "ip", "writer", self.address)
        self.cloud.wait_ssh(self.address)
        self.volume = self.call("post", "/volumes", {"volume": {"size": 1, "name": "chaos"}})["volume"]["id"]
        self.wait_status("volumes", self.volume, "available")
        openstack("server", "add", "volume", "writer", self.volume)
        self.wait_status("volumes", self.volume, "in-use")
        self.write(1)

    def write(self, first: int) -> None:
        """Has the guest write from this number on."""
        eventually(lambda: self.ssh("test -b /dev/vdb"), 60, "the disk in the guest")
        script = f"cat > /run/writer <<'END'\n{WRITER}\nEND\nsetsid sh /run/writer {first} </dev/null >/dev/null 2>&1 &"
        assert self.ssh(script)
        eventually(lambda: self.flushed() >= first, 60, "the first flushed block")

    def ssh(self, command: str) -> bool:
        return self.cloud.ssh(self.address, command, user="root", check=False).returncode == 0

    def said(self, command: str) -> Callable[[str], bool]:
        """Whether the guest answers this; whatever else it answers is told, once."""
        told = set()

        def check(wanted: str) -> bool:
            done = self.cloud.ssh(self.address, command, user="root", check=False)
            answer = done.stdout or done.stderr
            if answer != wanted and answer not in told:
                told.add(answer)
                self.say(f"   the guest says {answer!r} to {command!r}, not {wanted!r} yet")
            return answer == wanted
        return check

    def flushed(self) -> int:
        """The last block that the guest has said is flushed."""
        log = self.cloud.place.node / "guests" / self.server / "console.log"
        return max(map(int, re.findall(rb"flushed (\d+)\r?\n", log.read_bytes())), default=0)

    # -- the cloud

    def call(self, verb: str, path: str, *body: Any) -> Any:
        return getattr(self.cloud.client(), verb)(VOLUME + path, *body)

    def status(self, noun: str, thing: str) -> str | None:
        try:
            return self.call("get", f"/{noun}/{thing}")[noun.removesuffix("s")]["status"]
        except ApiFault as fault:
            if fault.status != 404:
                raise
            return None

    def wait_status(self, noun: str, thing: str, *wanted: str | None) -> str | None:
        found: list[str | None] = []

        def there() -> bool:
            found[:] = [self.status(noun, thing)]
            return found[0] in wanted
        eventually(there, 120, f"{noun} {thing} to be {wanted}, not what it is", poll=0.1)
        return found[0]

    def kill_pilvi(self) -> None:
        self.cloud.kill9()
        self.cloud.up("--no-demo")
        self.kills += 1

    def settle(self, noun: str, thing: str) -> str | None:
        """How something that was begun has ended, the volume being in use again."""
        ended = self.wait_status(noun, thing, "available", "error", None)
        self.wait_status("volumes", self.volume, "in-use")
        return ended

    # -- what happens

    def round(self) -> None:
        what = self.random.choices(
            (self.snapshot, self.drop_snapshot, self.extend, self.backup, self.copy, self.kill_guest),
            (6, 3, 2, 2, 2, 1))[0]
        kill = self.random.random() < 0.5
        self.say(f"{self.done + 1}: {what.__name__}{' and SIGKILL for Pilvi' if kill else ''}; "
                 f"{self.flushed()} blocks flushed")
        what(kill)
        self.done += 1

    def perhaps(self, kill: bool) -> None:
        if kill:
            time.sleep(self.random.choice((0.0, 0.02, 0.1, 0.3)))
            self.kill_pilvi()

    def snapshot(self, kill: bool) -> None:
        moment = Moment(f"snapshot {len(self.snapshots)}", self.flushed())
        made = self.call("post", "/snapshots", {"snapshot": {"volume_id": self.volume, "force": True}})["snapshot"]["id"]
        self.perhaps(kill)
        if self.settle("snapshots", made) == "available":
            self.snapshots[made] = moment

    def drop_snapshot(self, kill: bool) -> None:
        if self.snapshots:
            gone = self.random.choice(list(self.snapshots))
            del self.snapshots[gone]
            self.call("delete", f"/snapshots/{gone}")
            self.perhaps(kill)
            assert self.settle("snapshots", gone) is None

    def extend(self, kill: bool) -> None:
        if self.size < GIB_AT_MOST:
            self.size += 1
            self.cloud.openstack("--os-volume-api-version", "3.42", "volume", "set", "--size", str(self.size), self.volume)
            self.perhaps(kill)
            self.wait_status("volumes", self.volume, "in-use")
            shown = self.call("get", f"/volumes/{self.volume}")["volume"]["size"]
            assert shown == self.size, f"the volume has {shown} GiB, not {self.size}: {self.call('get', '/messages')}"
            seen = self.said("cat /sys/block/vdb/size")
            eventually(lambda: seen(f"{self.size << 21}\n"), 120, f"{self.size} GiB in the guest")

    def backup(self, kill: bool) -> None:
        moment = Moment(f"backup {len(self.backups)}", self.flushed())
        made = self.call("post", "/backups", {"backup": {
            "volume_id": self.volume, "force": True, "incremental": bool(self.backups)}})["backup"]["id"]
        self.perhaps(kill)
        if self.settle("backups", made) == "available":
            self.backups[made] = moment

    def copy(self, kill: bool) -> None:
        """A volume of a snapshot."""
        if self.snapshots:
            source, moment = self.random.choice(list(self.snapshots.items()))
            made = self.call("post", "/volumes", {"volume": {"size": self.size, "snapshot_id": source}})["volume"]["id"]
            self.perhaps(kill)
            if self.settle("volumes", made) == "available":
                self.copies[made] = Moment(f"copy of {moment.name}", moment.least)

    def kill_guest(self, kill: bool) -> None:
        os.kill(*self.cloud.processes(), signal.SIGKILL)
        self.perhaps(kill)
        eventually(lambda: self.cloud.json("server", "show", "writer")["status"] == "SHUTOFF", 60, "the lost guest's end")
        last = self.flushed()
        self.cloud.openstack("server", "start", "writer")
        self.cloud.wait_ssh(self.address)
        self.holes |= set(range(last + 1, last + 10))
        self.write(last + 10)

    # -- what must be true

    def verify(self) -> list[str]:
        """Everything that is not as it must be."""
        assert self.ssh("pkill -f /run/writer; sync")
        last = self.flushed()
        self.cloud.openstack("server", "remove", "volume", "writer", self.volume)
        self.wait_status("volumes", self.volume, "available")
        kept = self.cloud.place / "volumes"
        wrong = self.compare(Moment("the volume", last), kept / "volumes" / self.volume, last)
        for thing, moment in self.snapshots.items():
            wrong += self.compare(moment, kept / "snapshots" / thing, last)
        for thing, moment in self.copies.items():
            wrong += self.compare(moment, kept / "volumes" / thing, last)
        for thing, moment in self.backups.items():
            made = self.call("post", f"/backups/{thing}/restore", {"restore": {}})["restore"]["volume_id"]
            self.wait_status("volumes", made, "available")
            wrong += self.compare(moment, kept / "volumes" / made, last)
        return wrong

    def compare(self, moment: Moment, disk: Path, last: int) -> list[str]:
        """A disk must hold all blocks up to some number, which is not before the moment's, and none after it."""
        raw = self.cloud.folder / "raw"
        subprocess.run(["qemu-img", "convert", "-U", "-O", "raw", disk.resolve(), raw], check=True)
        with raw.open("rb") as file:
            def there(number: int) -> bool:
                file.seek(number * STRIDE % PLACES * BLOCK)
                return file.read(BLOCK) == block(number)
            present = {number for number in range(1, last + 2) if there(number)}
        raw.unlink()
        until = max(present, default=0)
        missing = sorted(set(range(1, until + 1)) - present - self.holes)
        self.say(f"{moment.name}: {len(present)} blocks, up to {until}; at least {moment.least} were flushed")
        wrong = [f"{moment.name} has block {until}, and not {missing[:5]} of {len(missing)}"] if missing else []
        if until < moment.least:
            wrong.append(f"{moment.name} ends with block {until}, when {moment.least} was flushed before it")
        return wrong


def run(cloud: Lab, rounds: int, seed: int, say: Callable[[str], None] = print) -> list[str]:
    chaos = Chaos(cloud, seed, say)
    chaos.begin()
    for _ in range(rounds):
        chaos.round()
    wrong = chaos.verify()
    audit = cloud.pilvi("audit", "--format", "json", check=False)
    wrong += [f"audit: {each}" for each in json.loads(audit.stdout)]
    say(f"{rounds} rounds, seed {seed}: Pilvi was killed {chaos.kills} times; {len(chaos.snapshots)} snapshots, "
        f"{len(chaos.copies)} copies and {len(chaos.backups)} backups compared; {len(wrong)} are wrong")
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/volume-chaos", description=__doc__)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32), help="to do the same again")
    options = parser.parse_args()
    with lab(tiny_image()) as cloud:
        prepare(cloud)
        wrong = run(cloud, options.rounds, options.seed)
    for each in wrong:
        print(f"WRONG  {each}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
