"""`pilvi down`: stop Pilvi, and the guests and the network too where that is wanted."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import click

from pilvi.cli.main import state_option
from pilvi.cli.up import step
from pilvi.settings import Place, Settings, default_place

STOP_SECONDS = 20


@click.command("down")
@state_option
@click.option("--guests", is_flag=True, help="Switch the guests off too, and take the network down.")
def command(state: Path | None, guests: bool) -> None:
    """Stop Pilvi. Guests and their network go on, and the next `pilvi up` takes them over.

    With --guests they are switched off, and the next `pilvi up` starts them again."""
    place = Place(state or default_place())
    if not place.settings.exists():
        raise click.ClickException(f"There is no cloud in {place.root}.")
    stopped = stop_daemon(place)
    settings = place.load()
    if not settings.simulated:
        stop_guests_and_network(place, settings, guests)
    elif not stopped:
        click.echo("Pilvi was down already.")


def stop_daemon(place: Place) -> bool:
    """SIGTERM, then SIGKILL when that is not enough; False when it did not run."""
    from pilvi.lock import running_pid

    pid = running_pid(place)
    if pid is None:
        return False
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS
    while running_pid(place) == pid:
        if time.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)
            deadline += STOP_SECONDS
        time.sleep(0.02)
    step("Pilvi is down")
    return True


def stop_guests_and_network(place: Place, settings: Settings, guests: bool) -> None:
    from pilvi.drivers.hypervisor.base import PowerState
    from pilvi.node.agent import mark_for_restart
    from pilvi.site import build_hypervisor, tear_down

    hypervisor = build_hypervisor(place, settings, userspace=True)
    try:
        alive = [guest for guest, state in hypervisor.guests().items()
                 if state in (PowerState.RUNNING, PowerState.PAUSED)]
        if alive and not guests:
            step(f"{len(alive)} guests go on running (pilvi down --guests switches them off)")
            return
        mark_for_restart(place.node, alive)
        for guest in alive:
            hypervisor.resume(guest)
            hypervisor.shutdown(guest)
        deadline = time.monotonic() + settings.shutdown_seconds
        while time.monotonic() < deadline and any(
                hypervisor.state(guest) is PowerState.RUNNING for guest in alive):
            time.sleep(0.2)
        for guest in alive:
            hypervisor.stop(guest)
        if alive:
            step(f"{len(alive)} guests are switched off")
    finally:
        hypervisor.close()
    tear_down(place)
    step("the network is down")
