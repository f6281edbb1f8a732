"""Extra DHCP options of ports: which there are, and what their values may be."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Sequence
from typing import Any

from pilvi.faults import BadRequest
from pilvi.network import wire

MOST_OF_A_NUMBER = {"mtu": 2**16 - 1, "lease-time": 2**32 - 1, "T1": 2**32 - 1, "T2": 2**32 - 1}

# What the DHCP server can send, by IP version: Neutron's names, and what the value is.
KINDS = {
    4: {
        **dict.fromkeys(("bootfile-name", "domain-name", "path-prefix", "tftp-server", "wpad"), "text"),
        **dict.fromkeys(("server-ip-address", "next-server"), "address"),
        **dict.fromkeys(("dns-server", "ntp-server", "log-server"), "addresses"),
        **dict.fromkeys(MOST_OF_A_NUMBER, "number"),
    },
    6: {"dns-server": "addresses", "domain-search": "text"},
}


def merged(kept: Sequence[dict[str, Any]], wanted: Sequence[wire.DhcpOption] | None) -> list[dict[str, Any]]:
    """A port's options after a change: one without a value goes, what is not named stays."""
    found = {(one["opt_name"], one["ip_version"]): one for one in kept}
    for one in wanted or ():
        found.pop((one.opt_name, one.ip_version), None)
        if one.opt_value is not None:
            found[one.opt_name, one.ip_version] = {
                "opt_name": one.opt_name, "opt_value": one.opt_value, "ip_version": one.ip_version,
            }  # fmt: skip
    return list(found.values())


def check(options: Sequence[dict[str, Any]], versions: Collection[int]) -> None:
    """Raises BadRequest for an option that cannot be sent to a port with addresses of these IP versions.

    Options are for IPv4 where nobody says otherwise, so on a port that has only IPv6 they may hold IPv6 addresses."""
    for option in options:
        name, value, version = option["opt_name"], option["opt_value"], option["ip_version"]
        if (kind := KINDS[version].get(name)) is None:
            raise _refused(f"'{name}' is no option that DHCP for IPv{version} sends here: there are "
                           f"{', '.join(sorted(KINDS[version]))}")  # fmt: skip
        allowed = {4, 6} if version == 4 and 4 not in versions else {version}
        if not _fits(kind, name, value, allowed):
            raise _refused(f"'{value}' is no value of {name} for IPv{version}")


def _fits(kind: str, name: str, value: str, versions: Collection[int]) -> bool:
    if kind == "text":  # in double quotes where it goes
        return value.isascii() and value.isprintable() and not set(value) & set('"\\')
    if kind == "number":
        return value.isascii() and value.isdigit() and 0 < int(value) <= MOST_OF_A_NUMBER[name]
    return all(_is_address(part, versions) for part in (value.split(",") if kind == "addresses" else [value]))


def _is_address(text: str, versions: Collection[int]) -> bool:
    try:
        return "%" not in text and ipaddress.ip_address(text.strip()).version in versions
    except ValueError:
        return False


def _refused(reason: str) -> BadRequest:
    return BadRequest(f"Invalid input for extra_dhcp_opts. Reason: {reason}.", kind="HTTPBadRequest")
