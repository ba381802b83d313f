# SPDX-License-Identifier: MIT
import json
import os
import shutil
from pathlib import Path

import pytest

import perilune

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


# -- counts for the summary of `make test` --
_counts = {"passed": 0, "failed": 0, "skipped": 0}


def pytest_runtest_logreport(report):
    if report.failed:
        _counts["failed"] += 1
    elif report.skipped:
        _counts["skipped"] += 1
    elif report.when == "call":
        _counts["passed"] += 1


def pytest_sessionfinish(session, exitstatus):
    name = os.environ.get("PERILUNE_RESULTS")
    if name:
        if exitstatus not in (0, 1):  # interrupted, wrong use, or no test at all
            _counts["failed"] += 1
        results = ROOT / "build" / "results"
        results.mkdir(parents=True, exist_ok=True)
        (results / f"{name}.json").write_text(json.dumps(_counts))
