"""`pilvi status`: what runs, and how it does."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from pilvi.cli.main import state_option
from pilvi.settings import Place, default_place


@click.command("status")
@state_option
def command(state: Path | None) -> None:
    """Show what runs: the API, hosts, reconcilers, engines. Exits 3 when the cloud is down."""
    from pilvi.cli.client import Client
    from pilvi.lock import running_pid

    place = Place(state or default_place())
    pid = running_pid(place)
    if pid is None:
        click.echo(f"Pilvi is down (state {place.root}). Bring it up with `pilvi up --state {place.root}`.")
        raise SystemExit(3)
    settings = place.load()
    answer = Client(place, "admin").get("/pilvi/v1/status")
    kind = "simulated" if settings.simulated else "real"
    click.echo(f"Pilvi {answer['version']} is up ({kind}, pid {pid}): http://{settings.listen}/identity/v3")
    table("HOST", [(host["host"], f"{host['vcpus_used']}/{host['vcpus']:g} VCPUs",
                    f"{host['memory_mib_used']}/{host['memory_mib']:g} MiB",
                    f"{host['disk_gib_used']}/{host['disk_gib']:g} GiB") for host in answer["hosts"]])
    table("RECONCILER", [(one["name"], "ok" if one["ok"] else f"failed {one['failures']} times",
                          one["finished_at"], one["summary"]) for one in answer["reconcilers"]])
    table("LEFT BEHIND by projects that are gone",
          [(one["project_id"], one["kind"], one["count"]) for one in answer["left_behind"]])
    table("ENGINE", [(one["name"], f"pid {one['pid']}" if one["pid"] else "DOWN") for one in answer["processes"]])


def table(title: str, rows: Sequence[Sequence[Any]]) -> None:
    if not rows:
        return
    widths = [max(len(str(row[column])) for row in rows) for column in range(len(rows[0]))]
    click.echo(f"\n{title}")
    for row in rows:
        click.echo("  " + "  ".join(str(cell).ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
