"""`pilvi explain`: what happened to a thing, step by step, and why."""

from __future__ import annotations

from pathlib import Path

import click

from pilvi.cli.main import state_option
from pilvi.settings import Place, default_place


@click.group("explain")
def command() -> None:
    """Tell what happened to a thing, and why."""


@command.command("server")
@click.argument("server")
@state_option
def server(server: str, state: Path | None) -> None:
    """The reason trail of SERVER (an id, or a name that only one has): each operation, step, host and reason."""
    from pilvi.cli.client import Client

    trail = Client(Place(state or default_place()), "admin").get(f"/pilvi/v1/explain/servers/{server}")
    click.echo(f"{trail['name']} ({trail['id']}): {trail['status']} on {trail['host'] or 'no host'}")
    if trail["fault"]:
        click.echo(f"  fault: {trail['fault']}")
    for operation in trail["operations"]:
        click.echo(f"\n{operation['started_at']}  {operation['action']}: {operation['state']}"
                   f"  ({operation['request_id'] or 'by Pilvi itself'})")
        for line in operation["placement"]:
            click.echo(f"    placement: {line}")
        for event in operation["events"]:
            where = f" on {event['host']}" if event["host"] else ""
            click.echo(f"    {event['milliseconds']:>7.1f} ms  {event['name']}{where}: {event['result']}")
            if event["details"]:
                click.echo(f"               {event['details']}")
        if operation["reason"]:
            click.echo(f"    reason: {operation['reason']}")
