"""`scripts/benchmark`: a throw-away simulated cloud is measured over HTTP, and compared with the budgets."""

from __future__ import annotations

import argparse
import sys
from contextlib import ExitStack

from tests.perf.bench import Bench
from tests.perf.measures import MEASURES, table
from tests.perf.target import Target
from tests.support.postgresql import postgresql


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/benchmark", description=__doc__)
    parser.add_argument("--servers", type=int, default=1000, help="how many servers long lists show (default: 1000)")
    parser.add_argument("--runs", type=int, default=3, help="of which the best counts (default: 3)")
    parser.add_argument("--postgresql", action="store_true", help="on a private PostgreSQL server instead of SQLite")
    options = parser.parse_args()
    with ExitStack() as stack:
        database = stack.enter_context(postgresql()) if options.postgresql else ""
        target = stack.enter_context(Target.running(database))
        bench = Bench(target, options.servers, options.runs)
        for measure in MEASURES:
            measure(bench)
            print(".", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    print(table(bench.results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
