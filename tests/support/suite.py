# SPDX-License-Identifier: MIT
"""The conformance data: JSON lines in folders below $CONFORMANCE_DATA."""

import json
import os
from pathlib import Path

import pytest

from harness import ROOT

DATA = Path(ROOT, os.environ.get("CONFORMANCE_DATA", "../shared/conformance"))


def cases(name):
    """The lines of a suite; where its file is absent the module that asks is skipped, with the reason."""
    path = DATA / name / "cases.jsonl"
    if not path.exists():
        pytest.skip(f"no conformance data: {path} is absent (set CONFORMANCE_DATA)", allow_module_level=True)
    with path.open() as lines:
        return [json.loads(line) for line in lines]
