"""Flows of our own on the switch, for what OVN lets pass whatever its access rules say: router advertisements.

They are marked with a cookie, and come before all of OVN's, whose controller takes them away when it begins anew.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

COOKIE = "0x50696c7669"
_FLOW = re.compile(r"in_port=(\d+)")


def drop(port: int) -> str:
    """RFC 4861, 4.2: ICMPv6 of type 134."""
    return f"cookie={COOKIE},table=0,priority=65000,in_port={port},icmp6,icmp_type=134,actions=drop"


def present(dump: str) -> set[int]:
    """The ports that such flows are about, as `ovs-ofctl --no-names dump-flows` writes them."""
    return {int(found[1]) for line in dump.splitlines() if (found := _FLOW.search(line))}


def changes(have: Collection[int], want: Collection[int]) -> Iterable[str]:
    """What makes the one the other, as `ovs-ofctl add-flows` takes it."""
    yield from (f"add {drop(port)}" for port in sorted(set(want) - set(have)))
    for port in sorted(set(have) - set(want)):
        match = drop(port).partition(",actions")[0].replace(f"cookie={COOKIE},", f"cookie={COOKIE}/-1,")
        yield f"delete_strict {match}"
