"""`scripts/conformance`: Tempest, unmodified, on a throw-away cloud."""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.conformance import clouds, record, results
from tests.conformance.configuration import GUEST_IMAGE, environment, prepare
from tests.support.guests import tiny_image

UNEXPECTED = "a request failed unexpectedly"  # what the cloud's log says of every answer with status 500


def main() -> int:
    options = arguments()
    with tempfile.TemporaryDirectory(prefix="conformance-") as folder:
        workspace = Path(folder)
        image = guest_image(workspace, real=options.real)
        with clouds.real(image) if options.real else clouds.simulated() as target, web(target, workspace) as url:
            config = prepare(target, workspace, image, url)
            outcomes = run(target, workspace, config, options)
            log = target.place.log.read_text(errors="replace")
            unexpected = [line for line in log.splitlines() if UNEXPECTED in line] + audit(target)
            if options.keep:
                print(f"The cloud is at {target.listen} (state {target.place.root}), Tempest's files in {workspace}.")
                input("Enter ends both. ")
    if options.record:
        record.write(options.record, options, outcomes)
    return report(outcomes, unexpected)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/conformance", description=__doc__)
    parser.add_argument("regex", nargs="?", help="tests to run (default: all of tempest.api)")
    parser.add_argument("--list", type=Path, metavar="FILE", help="run the tests that this file names, one a line")
    parser.add_argument("--real", action="store_true", help="QEMU and OVN in a network namespace, guests are logged in to")
    parser.add_argument("--workers", type=int, default=4, help="tests at a time (default: 4)")
    parser.add_argument("--keep", action="store_true", help="wait for Enter before the cloud is taken down")
    parser.add_argument("--record", metavar="TITLE", help="write the results to docs/reference/conformance.md")
    options = parser.parse_args()
    if options.regex and options.list:
        parser.error("a REGEX or --list FILE, not both")
    return options


def guest_image(workspace: Path, *, real: bool) -> Path:
    """A guest that boots, or where guests are only pretended, an empty disk."""
    path = workspace / GUEST_IMAGE
    if real:
        shutil.copyfile(tiny_image(), path)
        return path
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", path, "16M"], check=True)
    return path


@contextmanager
def web(target: clouds.Target, folder: Path) -> Iterator[str]:
    """The workspace's files over HTTP, where the cloud is, for images that it fetches by itself."""
    server = subprocess.Popen([*target.enter, sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1",
                               "--directory", str(folder)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        yield re.search(r"http://[\d.:]+", server.stdout.readline())[0]
    finally:
        server.terminate()
        server.wait(10)


def run(target: clouds.Target, workspace: Path, config: Path, options: argparse.Namespace) -> list[results.Outcome]:
    variables = environment(target.place)

    def tool(*command: str | Path, output: int | None = None) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run([*target.enter, *map(str, command)], cwd=workspace / "w", env=variables, stdout=output)

    (workspace / "w").mkdir()
    subprocess.run(["tempest", "init", "--workspace-path", workspace / "workspaces.yaml", workspace / "w"], check=True,
                   env=variables, capture_output=True)
    if options.list:
        names = workspace / "include"
        names.write_text("".join(rf"^{re.escape(name)}(\[|$)" + "\n" for name in options.list.read_text().split()))
        chosen = ["--include-list", names]
    else:
        chosen = ["--regex", options.regex or r"^tempest\.api\."]
    tool("tempest", "run", "--config-file", config, "--concurrency", str(options.workers), *chosen)
    return results.parse(tool("stestr", "last", "--subunit", output=subprocess.PIPE).stdout)


def audit(target: clouds.Target) -> list[str]:
    """What the suite's tests have left behind that has no owner, or was lost."""
    command = [*target.enter, sys.executable, "-m", "pilvi.cli.main", "audit", "--state", target.place.root]
    found = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    return [] if found.returncode == 0 else [f"audit: {line}" for line in (found.stdout + found.stderr).splitlines()]


def report(outcomes: list[results.Outcome], unexpected: list[str]) -> int:
    failures = results.failed(outcomes)
    print()
    for reason, count in results.reasons(outcomes).most_common():
        print(f"skipped {count:4}  {reason}")
    for failure in failures:
        print(f"FAILED  {results.short(failure.test)}")
    for line in unexpected:
        print(f"LOG     {line[:300]}")
    for area, counts in results.by_area(outcomes).items():
        print(f"{area:20} pass {counts['pass']:5}  skip {counts['skip']:4}  fail {counts['fail']:4}")
    if not outcomes:
        print("no tests were run")
    return 1 if failures or unexpected or not outcomes else 0


if __name__ == "__main__":
    sys.exit(main())
