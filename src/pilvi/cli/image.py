"""`pilvi image`: guest images made from the distribution's packages."""

from __future__ import annotations

import tempfile
from pathlib import Path

import click


@click.group("image")
def command() -> None:
    """Build guest images."""


@command.command("build")
@click.argument("kind", type=click.Choice(["tiny", "debian"]))
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
              help="Where it goes (KIND.qcow2 here).")
def build(kind: str, output: Path | None) -> None:
    """Build a guest image: tiny (20 MB, boots in seconds) or debian (a full Debian 12 with cloud-init)."""
    import importlib

    module = importlib.import_module("pilvi.images." + kind)
    output = (output or Path(kind + ".qcow2")).absolute()
    with tempfile.TemporaryDirectory(prefix=f"pilvi-{kind}-") as work:
        try:
            module.build(output, work=Path(work), progress=click.echo)
        except (RuntimeError, OSError) as error:
            raise click.ClickException(f"{kind} was not built: {error}") from None
    click.echo(f"{output}: {output.stat().st_size / 1e6:.1f} MB")
