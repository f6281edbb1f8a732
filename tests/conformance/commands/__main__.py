"""`scripts/openstack-commands`: every subcommand of the unmodified client on a throw-away cloud, and the table of it."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from pilvi.cli.client import ApiFault
from tests.conformance import clouds
from tests.conformance.commands.compute import compute
from tests.conformance.commands.identity import identity
from tests.conformance.commands.image import image
from tests.conformance.commands.network import network
from tests.conformance.commands.shell import Shell, Tried, groups
from tests.conformance.commands.volume import volume

PAGE = Path(__file__).resolve().parents[3] / "docs/reference/openstack-commands.md"
SCENARIOS: dict[str, Callable[[Shell, Path], None]] = {
    "identity": identity, "image": image, "compute": compute, "network": network,
    "volume": volume,
}
AREAS = ("common", "identity", "image", "compute", "network", "volume")
HEAD = """# What the `openstack` command can do here

Made by `scripts/openstack-commands`, which runs every subcommand of openstackclient {version} on a throw-away cloud with
simulated hosts.
"""


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/openstack-commands", description=__doc__)
    parser.add_argument("areas", nargs="*", help="only these areas; the page is not written")
    options = parser.parse_args()
    known = {area: commands for area, commands in groups().items() if area in AREAS}
    with clouds.simulated() as target, tempfile.TemporaryDirectory() as folder:
        shell = Shell(target.place / "clouds.yaml", known, target.client())
        for area in options.areas or SCENARIOS:
            try:
                SCENARIOS[area](shell, Path(folder))
            except (ApiFault, LookupError) as fault:
                shell.tried.append(Tried(area, False, f"the rest of {area} was not run: {fault}"))
    broken = [tried for tried in shell.tried if not tried.ok]
    for tried in broken:
        print(f"FAILED  {tried.command}: {tried.said.strip()}\n")
    if options.areas:
        return 1 if broken else 0
    rows, missing = table(known, shell.tried)
    PAGE.write_text(HEAD.format(version=version()) + rows)
    print(f"{len(shell.tried)} calls, {len(broken)} failed, {missing} subcommands not tried")
    return 1 if broken or missing else 0


def version() -> str:
    from importlib.metadata import version as of

    return of("python-openstackclient")


def table(known: dict[str, list[str]], tried: list[Tried]) -> tuple[str, int]:
    """The page's tables, and how many subcommands nobody tried."""
    by_command: dict[str, list[Tried]] = {}
    for each in tried:
        by_command.setdefault(each.command, []).append(each)
    text, missing = "", 0
    for area, commands in known.items():
        lines = []
        for command in sorted(commands):
            calls = by_command.get(command, [])
            missing += not calls
            lines.append(f"| `{command}` | {verdict(calls)} |")
        text += f"\n## {area.capitalize()}\n\n| command | |\n|---|---|\n" + "\n".join(lines) + "\n"
    return text, missing


def verdict(calls: list[Tried]) -> str:
    if not calls:
        return "not tried"
    if not all(call.ok for call in calls):
        return "**fails**"
    why = next((call.why for call in calls if call.why), "")
    return f"refused: {why}" if why else "works"


if __name__ == "__main__":
    sys.exit(main())
