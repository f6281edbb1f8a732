"""Which hosts carry the logical network, and when each one's controller was heard last (ovn-sb(5), Chassis)."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Collection

from pilvi.drivers.fabric.words import HostState
from pilvi.supervise.namespace import HostError, run

SECONDS = 10


def look(northbound: str, southbound: str, gateways: Collection[str]) -> tuple[HostState, ...]:
    """Raises HostError."""
    with contextlib.suppress(HostError):  # nobody passes the call on: then nobody answers it either
        run("ovn-nbctl", f"--db={northbound}", f"--timeout={SECONDS}", "--wait=sb", "sync")
    heard = {name: stamp for name, stamp in _rows(southbound, "Chassis_Private", "name", "nb_cfg_timestamp")}
    now = time.time()
    return tuple(
        HostState(
            name,
            hostname,
            name in gateways,
            max(0.0, now - heard[name] / 1000) if heard.get(name) else None,
            dict(_pairs(options, "ovn-bridge-mappings")),
        )
        for name, hostname, options in _rows(southbound, "Chassis", "name", "hostname", "other_config")
    )


def _rows(southbound: str, table: str, *columns: str) -> list[list]:
    chosen = f"--columns={','.join(columns)}"
    said = json.loads(run("ovn-sbctl", f"--db={southbound}", f"--timeout={SECONDS}", "-f", "json", chosen, "list", table))
    order = [said["headings"].index(column) for column in columns]
    return [[row[place] for place in order] for row in said["data"]]


def _pairs(options: list, name: str) -> list[tuple[str, str]]:
    """Of an option like "public:br-ex,other:br-2"."""
    told = dict(options[1]).get(name, "")
    return [(key, value) for key, _, value in (part.partition(":") for part in told.split(",") if part)]
