"""`pilvi audit`: what lies about and nothing owns, and what is missing."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import click

from pilvi.cli.main import state_option
from pilvi.settings import Place, default_place

PATH = "/pilvi/v1/audit"
SECONDS = 2.0  # between the looks: what is being made or deleted in the first one is done in the second


@click.command("audit")
@state_option
@click.option("--repair", is_flag=True, help="Mend what can be mended without a person's decision.")
@click.option("--format", "shape", type=click.Choice(["text", "json"]), default="text", show_default=True)
def command(state: Path | None, repair: bool, shape: str) -> None:
    """List files, processes, network cards and the like that no row owns, and rows whose thing is missing.

    Data that nothing owns is never deleted. Exits 1 when something is left that is not as it should be."""
    from pilvi.cli.client import Client

    client = Client(Place(state or default_place()), "admin")
    first = {_key(each) for each in client.get(PATH)["findings"]}
    found: list[dict[str, Any]] = []
    if first:
        time.sleep(SECONDS)
        found = [each for each in client.get(PATH)["findings"] if _key(each) in first]
    if repair and found:
        found = client.post(PATH, {"findings": [_key(each) for each in found]})["findings"]
    if shape == "json":
        click.echo(json.dumps(found, indent=2))
    else:
        for each in found:
            click.echo(_line(each))
        click.echo(f"{len(found)} findings." if found else "Everything has its owner, and nothing is missing.")
    if not all(each.get("mended") for each in found):
        raise SystemExit(1)


def _key(finding: dict[str, Any]) -> tuple[str, ...]:
    return finding["problem"], finding["kind"], finding["name"], finding["where"]


def _line(finding: dict[str, Any]) -> str:
    if finding.get("trouble"):
        done = f"could not be mended: {finding['trouble']}"
    elif finding.get("mended"):
        done = f"mended: {finding['remedy']}"
    else:
        done = f"with --repair: {finding['remedy']}" if finding["mendable"] else finding["remedy"]
    return f"{finding['problem']} {finding['kind']} {finding['name']} ({finding['where']}): {finding['why']}. {done}"
