"""Pilvi's own network namespaces, and the one veth pair that leads out of them.

Everything is idempotent: `ensure_*` may find its work done, `absent_*` nothing. Linux only; needs root.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import hashlib
import json
import os
import socket
import struct
import subprocess
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

NAMESPACES = Path("/run/netns")
COMMAND_SECONDS = 20
_CLONE_NEWNET = 0x40000000
_TUNSETIFF, _IFF_TAP, _IFF_NO_PI, _IFF_VNET_HDR = 0x400454CA, 0x0002, 0x1000, 0x4000  # linux/if_tun.h
_libc = ctypes.CDLL(None, use_errno=True)


class HostError(Exception):
    """A command on the host failed; the message has the command and what it answered."""


def run(*command: str, stdin: str | None = None) -> str:
    """The standard output of a command that must succeed within COMMAND_SECONDS. Raises HostError."""
    try:
        done = subprocess.run(
            command, input=stdin, capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise HostError(f"{' '.join(command)}: {error}") from error
    if done.returncode:
        said = (done.stderr or done.stdout).strip() or f"exit status {done.returncode}"
        told = f" ({'; '.join(stdin.splitlines())})" if stdin else ""
        raise HostError(f"{' '.join(command)}{told}: {'; '.join(said.splitlines())}")
    return done.stdout


def ip(namespace: str | None, *arguments: str, stdin: str | None = None) -> str:
    """`ip` in a namespace (None: where we are). Raises HostError."""
    where = ("-n", namespace) if namespace else ()
    return run("ip", *where, *arguments, stdin=stdin)


def links(namespace: str | None, *filters: str, statistics: bool = False) -> dict[str, dict]:
    """The devices of a namespace by name, as iproute2 describes them. Raises HostError."""
    flags = ("-s", "-d", "-j") if statistics else ("-d", "-j")
    described = json.loads(ip(namespace, *flags, "link", "show", *filters) or "[]")
    return {link["ifname"]: link for link in described if link}


def inside(namespace: str | None, *command: str) -> tuple[str, ...]:
    """The command line that runs `command` in the namespace.

    nsenter rather than `ip netns exec`, which would remount /sys and hide the cgroups."""
    if namespace is None:
        return command
    return ("nsenter", f"--net={NAMESPACES / namespace}", *command)


def call_in(namespace: str | None, function: Callable[..., T], *arguments: object) -> T:
    """`function(*arguments)`, called by a thread of its own that is in the namespace.

    The thread ends with the call: a thread never comes back from a namespace into a pool. Raises what the
    function raises, and OSError where there is no such namespace."""
    if namespace is None:
        return function(*arguments)
    results: list[T] = []
    failures: list[BaseException] = []

    def enter_and_call() -> None:
        try:
            handle = os.open(NAMESPACES / namespace, os.O_RDONLY | os.O_CLOEXEC)
            try:
                if _libc.setns(handle, _CLONE_NEWNET):
                    number = ctypes.get_errno()
                    raise OSError(number, os.strerror(number), str(NAMESPACES / namespace))
            finally:
                os.close(handle)
            results.append(function(*arguments))
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=enter_and_call, name=f"in-{namespace}", daemon=True)
    thread.start()
    thread.join()
    if failures:
        raise failures[0]
    return results[0]


def listen_in(namespace: str | None, address: str, port: int, backlog: int = 128) -> socket.socket:
    """A TCP socket that listens on the address inside the namespace and may be served from any thread.

    A socket stays in the namespace where it was made. Raises OSError."""

    def listen() -> socket.socket:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        listener = socket.socket(family, socket.SOCK_STREAM)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(socket.getaddrinfo(address, port, family, flags=socket.AI_NUMERICHOST)[0][4])  # "fe80::1%eth0" too
            listener.listen(backlog)
        except BaseException:
            listener.close()
            raise
        return listener

    return call_in(namespace, listen)


def open_tap(namespace: str | None, device: str, *, offloads: bool) -> int:
    """A file descriptor of the tap, for the process that is to be its other end (QEMU: `-netdev tap,fd=`).

    /dev/net/tun is not for everyone on every host; this way QEMU's user need not open it. The caller closes
    it. Without `offloads` packets come whole and with their checksums, as OVS's userspace datapath needs
    them: QEMU sees a tap without virtio headers and offers the guest no offloads. Raises OSError, also where
    there is no such device."""
    flags = _IFF_TAP | _IFF_NO_PI | (_IFF_VNET_HDR if offloads else 0)

    def open_device() -> int:
        try:
            socket.if_nametoindex(device)  # the kernel would make a new one, connected to nothing
        except OSError:
            raise OSError(errno.ENODEV, os.strerror(errno.ENODEV), device) from None
        handle = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            fcntl.ioctl(handle, _TUNSETIFF, struct.pack("16sH22x", device.encode(), flags))
        except BaseException:
            os.close(handle)
            raise
        return handle

    return call_in(namespace, open_device)


def exists(namespace: str) -> bool:
    return (NAMESPACES / namespace).exists()


def ensure_namespace(namespace: str, **settings: int) -> None:
    """`settings` are kernel settings of the namespace under /proc/sys/net, with dots as double underscores.

    A new namespace takes the host's IPv4 settings, forwarding among them: it must not become a router.
    Raises HostError."""
    if not exists(namespace):
        run("ip", "netns", "add", namespace)
    ip(namespace, "link", "set", "lo", "up")
    try:
        call_in(namespace, _set, {"ipv4__ip_forward": 0, **settings})
    except OSError as error:
        raise HostError(f"cannot set up namespace {namespace}: {error}") from error


def _set(settings: dict[str, int]) -> None:
    for name, value in settings.items():
        Path("/proc/sys/net", *name.split("__")).write_text(str(value))


def absent_namespace(namespace: str) -> None:
    """Raises HostError. Processes that are still in it keep its devices alive."""
    if exists(namespace):
        run("ip", "netns", "delete", namespace)


def checksums_off(namespace: str | None, device: str) -> None:
    """OVS's userspace datapath forwards a veth's unfinished checksums as they are: have them finished."""
    run(*inside(namespace, "ethtool", "-K", device, "tx", "off"))


def ensure_addresses(namespace: str | None, device: str, addresses: Sequence[str]) -> None:
    """Exactly these addresses ("172.24.4.1/24") on the device, link-local ones aside. Raises HostError."""
    described = json.loads(ip(namespace, "-j", "address", "show", "dev", device))
    scopes = {f"{one['local']}/{one['prefixlen']}": one["scope"] for one in described[0]["addr_info"]}
    for address in sorted(present for present in scopes if present not in addresses and scopes[present] != "link"):
        ip(namespace, "address", "delete", address, "dev", device)
    for address in addresses:
        if address not in scopes:
            nodad = ("nodad",) if ":" in address else ()
            ip(namespace, "address", "replace", address, "dev", device, *nodad)


def lasting_mac(name: str) -> str:
    """The locally administered unicast MAC address that belongs to a name."""
    return ":".join(f"{byte:02x}" for byte in (0x0A, *hashlib.sha256(name.encode()).digest()[:5]))


def ensure_pair(
    namespace: str, inner: str, outer: str, addresses: Sequence[str], outer_namespace: str | None = None
) -> None:
    """A veth pair from a namespace to `outer_namespace` (None: where we are); the outer end has `addresses`.

    Made again, as after the host's restart, the outer end has the same MAC address: others remember it.
    Raises HostError."""
    if inner not in links(namespace):
        absent_link(outer_namespace, outer)
        ends = ("address", lasting_mac(f"{namespace} {outer}"), "type", "veth", "peer", "name", inner)
        ip(outer_namespace, "link", "add", outer, *ends, "netns", namespace)
        checksums_off(namespace, inner)
        checksums_off(outer_namespace, outer)
    ensure_addresses(outer_namespace, outer, addresses)
    ip(outer_namespace, "link", "set", outer, "up")
    ip(namespace, "link", "set", inner, "up")


def absent_link(namespace: str | None, device: str) -> None:
    """Raises HostError."""
    try:
        ip(namespace, "link", "delete", device)
    except HostError:
        if device in links(namespace):
            raise


def take_interface(namespace: str, interface: str) -> None:
    """Moves one of the host's interfaces into the namespace. Raises HostError."""
    if interface not in links(namespace):
        run("ip", "link", "set", interface, "netns", namespace)
    ip(namespace, "link", "set", interface, "up")
