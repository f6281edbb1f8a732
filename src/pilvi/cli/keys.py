"""`pilvi keys`: the keys that tokens are sealed with."""

from __future__ import annotations

from pathlib import Path

import click

from pilvi.cli.main import state_option
from pilvi.settings import Place, default_place


@click.group("keys")
def command() -> None:
    """Change the keys that tokens are sealed with."""


@command.command("rotate")
@click.option("--force", is_flag=True, help="Even where that ends tokens that are in use.")
@state_option
def rotate(force: bool, state: Path | None) -> None:
    """Take a new key into use; a running cloud does at once. Tokens outlive two rotations, not three."""
    import time

    from pilvi.keys import Keys

    place = Place(state or default_place())
    folder = place / "identity"
    if not folder.is_dir():
        raise click.ClickException(f"{folder} is not there: no cloud has been up in {place.root}.")
    keys = Keys(folder)
    wait = keys.in_use_until(place.load().token_hours * 3600) - time.time()
    if wait > 0 and not force:
        raise click.ClickException(
            f"Tokens that are sealed with the oldest key may be in use for {wait / 3600:.1f} hours. "
            "Wait as long, or end them with --force."
        )
    click.echo(f"{folder / str(keys.rotate())} seals new tokens; older keys read on: {', '.join(keys.older())}.")
