# SPDX-License-Identifier: MIT
import shutil
from pathlib import Path

import pytest

import perilune
from crashes import pytest_configure, pytest_runtest_protocol  # noqa: F401
from results import pytest_runtest_logreport, pytest_sessionfinish  # noqa: F401

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def app():
    """app(directory), app(files={…}): an App that is closed when the test ends."""
    made = []

    def make(*arguments, **options):
        made.append(perilune.App(*arguments, **options))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def example(tmp_path):
    """example("blog"): the folder of a copy, as bundles leave their databases there."""
    ignored = shutil.ignore_patterns("*.db*", ".perilune")
    return lambda name: Path(shutil.copytree(ROOT / "examples" / name, tmp_path / name, ignore=ignored))
