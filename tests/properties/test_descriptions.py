"""Generated requests to every served operation: no 500, no success that is not documented, answers of the right shape.

The descriptions are other people's and lie beside the project, not in it; `scripts/openapi DIR` makes the long run."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.conformance import clouds
from tests.conformance.properties import APIS, check, newest

FOLDER = Path(os.environ.get("PILVI_OPENAPI") or Path(__file__).parents[3] / "shared/openapi")


@pytest.mark.parametrize("name", list(APIS))
def test_the_api_is_what_its_description_says(name):
    if not FOLDER.is_dir():
        pytest.skip(f"no OpenAPI descriptions in {FOLDER}: name a folder of them in PILVI_OPENAPI")
    with clouds.simulated() as target:
        assert check(name, newest(FOLDER, name), target, examples=2) == []
