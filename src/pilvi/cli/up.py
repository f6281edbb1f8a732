"""`pilvi up`: configure, start, wait until the API answers, and make the first server."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import click
import msgspec

from pilvi.cli.main import state_option
from pilvi.faults import ConfigurationError
from pilvi.settings import Place, Settings, default_place

START_SECONDS = 60


@click.command("up")
@state_option
@click.option("--simulated", is_flag=True, help="Pretend the hosts, guests and packets: no root, no OVN, no QEMU.")
@click.option("--listen", metavar="ADDR:PORT", help="Where the API answers (127.0.0.1:8774).")
@click.option("--uplink", metavar="IF", help="Give this network interface to the external network.")
@click.option("--no-demo", is_flag=True, help="Make no image, network and server.")
@click.option("--foreground", is_flag=True, help="Stay, for a supervisor; log to standard error.")
def command(state: Path | None, simulated: bool, listen: str | None, uplink: str | None, no_demo: bool,
            foreground: bool) -> None:
    """Bring the cloud up, or say that it is; it goes on when this command returns.

    The first time this writes the state folder's pilvi.toml; later it keeps what is there, but for the options given.
    """
    place = Place(state or default_place())
    try:
        changed = configure(place, simulated=simulated, listen=listen, uplink=uplink)
        if foreground:
            from pilvi.daemon import serve

            serve(place)
            return
        started = start(place, changed)
    except ConfigurationError as error:
        raise click.ClickException(str(error)) from None
    settings = place.load()
    news = started
    if not no_demo:
        from pilvi.cli.demo import Demo

        news |= Demo(place, settings).ensure()
    if not news:
        click.echo("Everything was up already; nothing was changed.")
    show(place, settings)


def configure(place: Place, *, simulated: bool, listen: str | None, uplink: str | None) -> bool:
    """Writes pilvi.toml where it is new or an option differs; says whether it did. Raises ConfigurationError."""
    new = not place.settings.exists()
    before = place.load()
    settings = before
    if new:
        settings = msgspec.structs.replace(settings, simulated=simulated)
        if not simulated:
            settings = msgspec.structs.replace(settings, network=msgspec.structs.replace(
                settings.network, external_cidr=free_external_cidr(settings.network.external_cidr)))
    elif simulated and not before.simulated:
        raise ConfigurationError(f"{place.root} is a real cloud's: take another folder with --state for a simulated one.")
    if listen:
        settings = msgspec.structs.replace(settings, listen=listen)
    if uplink:
        settings = msgspec.structs.replace(settings, network=msgspec.structs.replace(settings.network, uplink=uplink))
    if not settings.simulated:
        from pilvi.cli.doctor import missing

        if lacking := missing(place):
            raise ConfigurationError("This machine lacks something that a real cloud needs:\n" + "\n".join(
                f"  {check.name}: {check.found}. {check.remedy}" for check in lacking)
                + "\nOr pretend it all: pilvi up --simulated")
    if new or settings != before:
        place.save(settings)
        return True
    return False


def free_external_cidr(first: str) -> str:
    """The first network of this size, from this one on, that no interface of the host is in (another Pilvi's is)."""
    import ipaddress
    import json

    addresses = [
        ipaddress.ip_interface(f"{address['local']}/{address['prefixlen']}").network
        for link in json.loads(subprocess.run(["ip", "-j", "address"], capture_output=True, check=True).stdout)
        for address in link.get("addr_info", ())
    ]
    candidate = ipaddress.ip_network(first)
    for _ in range(64):
        if not any(candidate.version == used.version and candidate.overlaps(used) for used in addresses):
            return str(candidate)
        candidate = ipaddress.ip_network((int(candidate.network_address) + candidate.num_addresses,
                                          candidate.prefixlen))
    raise ConfigurationError(f"No free external network was found from {first} on: set network.external_cidr.")


def start(place: Place, changed: bool) -> bool:
    """Starts the daemon and waits until its API answers; False when it ran already. Raises ConfigurationError."""
    from pilvi.lock import running_pid

    settings = place.load()
    if running_pid(place):
        if changed:
            raise ConfigurationError("Pilvi runs with its former settings: `pilvi down`, then up again, to change them.")
        return False
    with open(place.log, "ab") as log:
        process = subprocess.Popen([sys.executable, "-m", "pilvi.cli.main", "serve", "--state", str(place.root)],
                                   stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                                   cwd="/", env={**os.environ, "PYTHONUNBUFFERED": "1"})
    deadline = time.monotonic() + START_SECONDS
    while not answers(settings):
        if process.poll() is not None or time.monotonic() > deadline:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            raise ConfigurationError(f"Pilvi did not come up. The end of {place.log}:\n{tail(place.log)}")
        time.sleep(0.02)
    step(f"Pilvi is up (pid {process.pid})")
    return True


_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def answers(settings: Settings) -> bool:
    try:
        _opener.open(f"http://{settings.listen}/identity/v3", timeout=2).close()
    except (OSError, urllib.error.URLError):
        return False
    return True


def tail(path: Path, lines: int = 15) -> str:
    return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])


def step(text: str) -> None:
    click.secho("✓ ", fg="green", nl=False)
    click.echo(text)


def show(place: Place, settings: Settings) -> None:
    click.echo(f"\nAPI         http://{settings.listen}/identity/v3\n"
               f"clouds.yaml {place / 'clouds.yaml'}   (OS_CLIENT_CONFIG_FILE; clouds pilvi and pilvi-admin)\n"
               f"openrc      {place / 'openrc'}")
