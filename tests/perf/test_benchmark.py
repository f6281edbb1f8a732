"""The benchmark measures all that it has budgets for; how fast this is, a test on a busy machine does not say."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_a_small_benchmark_fills_the_table_of_the_reference():
    done = subprocess.run([sys.executable, "-m", "tests.perf", "--servers", "20", "--runs", "1"], cwd=ROOT, text=True,
                          capture_output=True, timeout=300)
    assert done.returncode == 0, done.stderr
    kept = (ROOT / "docs" / "reference" / "performance.md").read_text()
    for row in done.stdout.splitlines()[2:]:
        measure = re.sub(r"\d+", "[0-9,]+", re.escape(row.split(" | ")[0].strip("| ")))
        assert re.search(rf"^\| {measure} \|", kept, re.MULTILINE), row
