"""`pilvi serve`: the cloud in this process, for `pilvi up` and for supervisors."""

from __future__ import annotations

import gc
from pathlib import Path

import click

from pilvi.cli.main import state_option
from pilvi.faults import ConfigurationError
from pilvi.settings import Place, default_place


@click.command("serve")
@state_option
def command(state: Path | None) -> None:
    """Run the cloud in this process, configured as the last `pilvi up` left it."""
    gc.disable()  # until the cloud is up: what a start makes stays, and looking through it takes a tenth of the start
    from pilvi.daemon import serve

    try:
        serve(Place(state or default_place()))
    except ConfigurationError as error:
        raise click.ClickException(str(error)) from None
