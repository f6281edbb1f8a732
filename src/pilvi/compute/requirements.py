"""What extra specs of flavors, properties of images and the hint `query` say about a host.

Operators and names: Nova's scheduler filters (compute capabilities, aggregate extra specs, image properties, JSON).
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from pilvi.faults import BadRequest

_NUMBERS: dict[str, Callable[[float, float], bool]] = {
    "=": operator.ge, "==": operator.eq, "!=": operator.ne, ">=": operator.ge, "<=": operator.le}
_TEXTS: dict[str, Callable[[str, str], bool]] = {
    "s==": operator.eq, "s!=": operator.ne, "s<": operator.lt, "s<=": operator.le, "s>": operator.gt,
    "s>=": operator.ge}


def fits(value: Any, requirement: str) -> bool:
    """Whether a host's value is what an extra spec asks for: ">= 4", "<in> x", "<or> a <or> b", or just the value."""
    words = requirement.split()
    name = words[0] if words else ""
    text, wanted = str(value), requirement[len(name):].strip()
    if name == "<or>":
        return text in [word.strip() for word in requirement.split("<or>")]
    if name == "<in>":
        return wanted in text
    if name == "<all-in>":
        return all(word in text for word in words[1:])
    if name in _TEXTS:
        return _TEXTS[name](text, wanted)
    if name in _NUMBERS:
        try:
            return _NUMBERS[name](float(text), float(wanted))
        except ValueError:
            return False
    return text == requirement


def against_flavor(extra_specs: Mapping[str, str], facts: Mapping[str, Any],
                   aggregates: Sequence[Mapping[str, str]]) -> str | None:
    """Why a host is not for this flavor; None when it is."""
    for key, wanted in extra_specs.items():
        scope, _, name = key.partition(":")
        if scope == "capabilities" and not (name in facts and fits(facts[name], wanted)):
            return f"the flavor asks for {key} {wanted}, it has {facts.get(name, 'none')}"
        if scope == "aggregate_instance_extra_specs":
            values = [word.strip() for each in aggregates if name in each for word in each[name].split(",")]
            if not any(fits(value, wanted) for value in values):
                return f"the flavor asks for an aggregate with {name} {wanted}"
        if scope.startswith("trait") and wanted == "required":
            return f"the flavor asks for the trait {name}, which it has not"
    return None


def against_image(properties: Mapping[str, Any], facts: Mapping[str, Any]) -> str | None:
    wanted = properties.get("img_hv_type") or properties.get("hypervisor_type")
    if wanted and str(wanted).lower() != facts["hypervisor_type"].lower():
        return f"the image asks for a hypervisor of type {wanted}, it has {facts['hypervisor_type']}"
    return None


_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq, "<": operator.lt, ">": operator.gt, "<=": operator.le, ">=": operator.ge,
    "in": lambda one, others: one in others}
MAX_DEPTH = 10


def parse_query(query: str | Mapping[str, Any] | Sequence[Any]) -> Any:
    """The hint `query` as a value. Raises BadRequest where it is no query."""
    try:
        parsed = msgspec.json.decode(query) if isinstance(query, str) else query
        holds(parsed, {})
    except (msgspec.DecodeError, ValueError) as error:
        raise BadRequest(f"Invalid input for field/attribute query. {error}. It is a list: an operator "
                         f"({', '.join([*_COMPARISONS, 'not', 'and', 'or'])}) and what it works on.") from None
    return parsed


def holds(query: Any, facts: Mapping[str, Any], depth: int = 0) -> bool:
    """Whether a query such as ["and", [">=", "$free_ram_mb", 1024], ...] is true of a host.

    Raises ValueError for one that is none."""
    if isinstance(query, str) and depth == 0:
        query = msgspec.json.decode(query)
    if not isinstance(query, list) or not query or depth > MAX_DEPTH:
        raise ValueError(f"{str(query)[:80]} is no query")
    name, arguments = query[0], query[1:]
    if name in ("and", "or", "not"):
        answers = [holds(each, facts, depth + 1) for each in arguments]
        return not any(answers) if name == "not" else all(answers) if name == "and" else any(answers)
    if not isinstance(name, str) or name not in _COMPARISONS or len(arguments) < 2:
        raise ValueError(f"{str(name)[:80]} is no operator, or has nothing to compare")
    values = [facts.get(each[1:]) if isinstance(each, str) and each.startswith("$") else each for each in arguments]
    if None in values:  # a fact that hosts have not
        return False
    if name == "in":
        return values[0] in values[1:]
    try:
        return all(_COMPARISONS[name](values[0], each) for each in values[1:])
    except TypeError:
        return False
