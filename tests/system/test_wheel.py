"""The wheel is enough for a simulated cloud: in an environment of its own, without privileges or programs."""

from __future__ import annotations

import importlib.metadata
import os
import re
import shutil
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def run(*command: str | Path, **options) -> str:
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, **options)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def copy_locked(target: Path) -> None:
    """The lock file's packages, and only those, from the environment of this test: no registry is asked."""
    lock = (ROOT / "requirements" / "runtime.txt").read_text()
    for name, version in re.findall(r"^([\w.-]+)==([\w.]+)", lock, re.MULTILINE):
        package = importlib.metadata.distribution(name)
        assert package.version == version, f"{name} is not the locked one: run scripts/install test"
        for file in package.files or ():
            source = Path(package.locate_file(file))
            if ".." not in file.parts and source.exists():
                (target / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(source, target / file)


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """The `bin` folder of a virtual environment with the wheel and its locked dependencies."""
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT)
    (wheel,) = folder.glob("pilvi-*.whl")
    environment = folder / "environment"
    run(sys.executable, "-m", "venv", "--without-pip", environment)
    (packages,) = environment.glob("lib/python*/site-packages")
    copy_locked(packages)
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", environment)
    run(*pip, "install", "--no-deps", "--no-index", wheel)
    run(*pip, "check")  # what the wheel says it needs is there
    return environment / "bin"


def test_a_simulated_cloud_from_the_wheel(installed, tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        listen = f"127.0.0.1:{probe.getsockname()[1]}"
    state = tmp_path / "state"
    powerless = () if os.geteuid() else (shutil.which("setpriv"), "--bounding-set=-all", "--inh-caps=-all")

    def pilvi(*arguments: str) -> str:
        return run(*powerless, installed / "pilvi", *arguments, "--state", state, cwd="/",
                   env={"PATH": str(installed), "HOME": str(tmp_path), "LC_ALL": "C.UTF-8"})

    try:
        said = pilvi("up", "--simulated", "--listen", listen)
        assert "server first is active" in said
        with urllib.request.urlopen(f"http://{listen}/identity/v3", timeout=10) as answer:
            assert b"v3" in answer.read()
        assert "nothing was changed" in pilvi("up", "--simulated")
    finally:
        if (state / "pilvi.toml").exists():
            pilvi("down")


def test_the_guests_files_are_in_the_wheel(installed):
    (packages,) = installed.parent.glob("lib/python*/site-packages/pilvi")
    for folder in ("images", "migrations"):
        ours = ROOT / "src" / "pilvi" / folder
        files = (path for path in ours.rglob("*") if path.is_file() and path.suffix != ".pyc")
        wanted = {path.relative_to(ours) for path in files}
        assert wanted
        assert {path for path in wanted if not (packages / folder / path).exists()} == set()
