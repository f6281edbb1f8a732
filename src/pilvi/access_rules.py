"""What an application credential may be used for, request by request: a service, a method and a path.

In a path `*` and `{any_name}` stand for what is between two slashes, `**` for anything.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable

import msgspec

# Services that a catalog knows by more than one type.
_TYPES = {"volume": frozenset({"volume", "block-storage", "volumev2", "volumev3", "block-store"})}
_WILD = re.compile(r"\*\*|\*|\{[^}/]*\}")


class AccessRule(msgspec.Struct, frozen=True):
    id: str
    service: str  # its type in the catalog: "compute"
    method: str
    path: str  # "/v2.1/servers/*", below the service's own address or with it


def permitted(rules: Iterable[AccessRule], service: str, prefix: str, method: str, path: str) -> bool:
    """Whether a request to `path` (with the service's `prefix`) is among what the rules allow."""
    types = _TYPES.get(service, (service,))
    paths = (path, path.removeprefix(prefix) or "/")
    return any(
        rule.service in types and rule.method == method and any(map(_pattern(rule.path).fullmatch, paths))
        for rule in rules
    )


@functools.lru_cache(512)
def _pattern(path: str) -> re.Pattern[str]:
    parts, last = [], 0
    for wild in _WILD.finditer(path):
        parts += [re.escape(path[last : wild.start()]), ".*" if wild[0] == "**" else "[^/]+"]
        last = wild.end()
    return re.compile("".join([*parts, re.escape(path[last:]), "/?"]))
