"""`pilvi network`: why a packet passes, or where it is dropped."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import urlencode

import click

from pilvi.cli.main import state_option
from pilvi.settings import Place, default_place

DROPPED = 3  # the exit status


@click.group("network")
def command() -> None:
    """Look into the network."""


@command.command("show-path")
@click.option("--from", "source", required=True, metavar="PORT",
              help="A server's port, by id or name; or an external network, for a packet from outside.")
@click.option("--to", "address", required=True, metavar="ADDRESS", help="An IPv4 or IPv6 address.")
@click.option("--protocol", type=click.Choice(["icmp", "tcp", "udp", "sctp"]),
              help="By default tcp with --port, and icmp (a ping) without.")
@click.option("--port", "number", type=click.IntRange(1, 65535), help="The destination's, of tcp, udp and sctp.")
@click.option("--source", "sender", metavar="ADDRESS", help="Another source address than the port's own.")
@click.option("--format", "shape", type=click.Choice(["text", "json"]), default="text", show_default=True)
@state_option
def show_path(source: str, address: str, protocol: str | None, number: int | None, sender: str | None, shape: str,
              state: Path | None) -> None:
    """Explain why the first packet of a connection passes, or where it is dropped.

    The network itself traces the packet (ovn-trace); none is sent. Exits 0 where it passes, 3 where it is dropped.
    """
    from pilvi.cli.client import Client

    asked = {"from": source, "to": address, "protocol": protocol, "port": number, "source": sender}
    query = urlencode({name: value for name, value in asked.items() if value is not None})
    answer = Client(Place(state or default_place()), "admin").get(f"/pilvi/v1/network/path?{query}")
    if shape == "json":
        click.echo(json.dumps(answer, indent=2))
    else:
        _tell(answer)
    raise SystemExit(0 if answer["passes"] else DROPPED)


def _tell(answer: dict) -> None:
    for step in answer["steps"]:
        click.echo(("✓ " if step["passes"] else "✗ ") + step["text"])
    last = answer["steps"][-1]
    click.echo("The packet passes." if answer["passes"] else "The packet is dropped.")
    if last["remedy"]:
        click.echo(f"To let it through: {last['remedy']}")
