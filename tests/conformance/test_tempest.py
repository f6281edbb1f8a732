"""A representative part of Tempest on simulated hosts; `scripts/conformance` runs the whole."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

REPRESENTATIVE = Path(__file__).with_name("representative.txt")
ROOT = Path(__file__).parents[2]


def test_what_stands_for_the_suite_passes():
    regex = "|".join(REPRESENTATIVE.read_text().split())
    done = subprocess.run([sys.executable, "-m", "tests.conformance", regex, "--workers", "2"], cwd=ROOT, text=True,
                          capture_output=True, timeout=900)
    assert done.returncode == 0, done.stdout[-10_000:] + done.stderr[-2000:]
