"""Connections that the switch tracks, as `dpctl/dump-conntrack` writes them.

A connection keeps the translation that it began with. So one that came in over a floating address stays with
its guest when the address leads to another one, and a client that asks on with the same port never reaches that.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_LINE = re.compile(r"orig=\(src=([^,)]+),dst=([^,)]+)[^)]*\),reply=\(src=([^,)]+),dst=([^,)]+)[^)]*\),zone=(\d+)")

Stale = tuple[str, tuple[str, str]]  # a zone, and what `dpctl/flush-conntrack` knows the connections by


def stale(dump: str, floating: Mapping[str, str | None]) -> list[Stale]:
    """Connections of these addresses with guests to which they do not lead. Where nothing was translated (both
    ways tell the same address) it is not for us to say."""
    found: dict[Stale, None] = {}
    for source, target, guest, back, zone in _LINE.findall(dump):
        if target in floating and guest not in (target, floating[target]):
            found[zone, (f"ct_nw_dst={target}", f"ct_nw_src={guest}")] = None
        if back in floating and source not in (back, floating[back]):
            found[zone, (f"ct_nw_src={source}", f"ct_nw_dst={back}")] = None
    return list(found)
