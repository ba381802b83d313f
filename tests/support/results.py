# SPDX-License-Identifier: MIT
"""Counts of tests for the summary of `make test`: a conftest.py imports the hooks."""

import json
import os
from pathlib import Path

RESULTS = Path(__file__).resolve().parents[2] / "build" / "results"
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
    if name and not hasattr(session.config, "workerinput"):  # those of xdist report to the one that counts
        if exitstatus not in (0, 1):  # interrupted, wrong use, or no test at all
            _counts["failed"] += 1
        RESULTS.mkdir(parents=True, exist_ok=True)
        (RESULTS / f"{name}.json").write_text(json.dumps(_counts))
