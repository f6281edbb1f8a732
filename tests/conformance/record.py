"""Results in docs/reference/conformance.md: a section for each recorded run, and why what is skipped is skipped."""

from __future__ import annotations

import argparse
import re
import tomllib
from pathlib import Path

from tests.conformance.results import Outcome, by_area, failed, reasons, short

PAGE = Path(__file__).resolve().parents[2] / "docs/reference/conformance.md"
EXPLANATIONS = Path(__file__).with_name("skips.toml")


def write(title: str, options: argparse.Namespace, outcomes: list[Outcome]) -> None:
    """Replaces the section of this title, or adds it at the end."""
    text = PAGE.read_text()
    section = f"## {title}\n\n{body(options, outcomes)}\n"
    known = re.search(rf"^## {re.escape(title)}\n.*?(?=^## |\Z)", text, re.DOTALL | re.MULTILINE)
    PAGE.write_text(text[:known.start()] + section + text[known.end():].lstrip("\n") if known
                    else text.rstrip("\n") + "\n\n" + section)


def body(options: argparse.Namespace, outcomes: list[Outcome]) -> str:
    where = "QEMU guests on OVN, logged in to" if options.real else "simulated hosts"
    lines = [f"On {where}.", "", "| area | passed | skipped | failed |", "|---|---|---|---|"]
    lines += [f"| {area} | {counts['pass']} | {counts['skip']} | {counts['fail']} |"
              for area, counts in by_area(outcomes).items()]
    if failures := failed(outcomes):
        lines += ["", "Failed:", "", *(f"- `{short(failure.test)}`{known_defect(failure.test)}" for failure in failures)]
    if skips := reasons(outcomes):
        lines += ["", "| skipped | Tempest's reason | why it holds here |", "|---|---|---|"]
        lines += [f"| {count} | {reason} | {explanation(reason)} |" for reason, count in sorted(skips.items())]
    return "\n".join(lines) + "\n"


def known_defect(test: str) -> str:
    """Why a test fails on every cloud, where it is the test that is wrong."""
    rules = tomllib.loads(EXPLANATIONS.read_text())["broken"]
    return next((f": {rule['why']}" for rule in rules if re.search(rule["test"], test)), "")


def explanation(reason: str) -> str:
    for rule in tomllib.loads(EXPLANATIONS.read_text())["skip"]:
        if re.search(rule["reason"], reason):
            return rule["why"]
    return "**not explained**"
