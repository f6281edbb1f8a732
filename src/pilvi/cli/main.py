"""The `pilvi` command. Commands are imported only when they are called: `pilvi --help` answers at once."""

from __future__ import annotations

import importlib
from pathlib import Path

import click

COMMANDS = {
    "up": ("pilvi.cli.up", "Bring the cloud up, or say that it is."),
    "down": ("pilvi.cli.down", "Stop Pilvi; guests and their network go on, unless --guests is given."),
    "status": ("pilvi.cli.status", "Show what runs: the API, hosts, reconcilers, engines."),
    "doctor": ("pilvi.cli.doctor", "Check each requirement of this machine, and say how to meet it."),
    "image": ("pilvi.cli.image", "Build guest images."),
    "keys": ("pilvi.cli.keys", "Change the keys that tokens are sealed with."),
    "console": ("pilvi.cli.console", "Type into a server's serial line."),
    "explain": ("pilvi.cli.explain", "Tell what happened to a thing, and why."),
    "audit": ("pilvi.cli.audit", "List what nothing owns and what is missing, and mend it."),
    "network": ("pilvi.cli.network", "Show why a packet passes, or where it is dropped."),
    "serve": ("pilvi.cli.serve", "Run the cloud in this process (what `up` starts)."),
}
HIDDEN = {"serve"}


class Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return [name for name in COMMANDS if name not in HIDDEN]

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        return importlib.import_module(COMMANDS[name][0]).command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name][1]) for name in self.list_commands(ctx)])


def state_option(function):
    """`--state DIR`, which every command has."""
    return click.option("--state", type=click.Path(path_type=Path, file_okay=False), metavar="DIR",
                        help="The cloud's state folder (PILVI_STATE; by default /var/lib/pilvi for root).")(function)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="pilvi")
def main() -> None:
    """Pilvi: an infrastructure cloud in one process that speaks the OpenStack APIs."""


if __name__ == "__main__":
    main()
