"""The documentation says what the program does."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from pilvi.cli.main import COMMANDS, HIDDEN, main
from pilvi.settings import HostSettings, IdentitySettings, ImageSettings, NetworkSettings, Settings, StoreSettings

ROOT = Path(__file__).resolve().parents[2]


def test_the_api_table_is_up_to_date():
    done = subprocess.run([sys.executable, ROOT / "scripts" / "api-table", "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", [name for name in COMMANDS if name not in HIDDEN])
def test_every_command_and_option_is_in_the_reference(name):
    page = (ROOT / "docs" / "reference" / "cli.md").read_text()
    assert f"## pilvi {name}" in page
    for option in re.findall(r"--[a-z-]+", CliRunner().invoke(main, [name, "--help"]).output):
        assert option in page, f"pilvi {name} {option}"


@pytest.mark.parametrize("shape", [ImageSettings, StoreSettings, Settings, NetworkSettings, IdentitySettings, HostSettings])
def test_every_setting_is_in_the_reference(shape):
    page = (ROOT / "docs" / "reference" / "configuration.md").read_text()
    for field in msgspec.structs.fields(shape):
        assert f"`{field.name}`" in page, field.name


@pytest.mark.parametrize("page", [*sorted(ROOT.glob("docs/**/*.md")), ROOT / "README.md", ROOT / "CONTRIBUTING.md"],
                         ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
        assert target.startswith("http") or (page.parent / target).exists(), f"{page}: {target}"
