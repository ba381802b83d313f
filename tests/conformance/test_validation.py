# SPDX-License-Identifier: MIT
"""Runs each case of the validation suite with the one rule that it names, and compares messages and places exactly."""

import json

import pytest

from harness import run_cli
from suite import cases

HEAD, *CASES = cases("graphql-validation")


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['rule']}: {case['name']}")
def test_case(tmp_path, case):
    schema = case["schema"] if isinstance(case["schema"], str) else HEAD["schemas"][case["schema"]]
    (tmp_path / "schema.graphql").write_text(schema)
    (tmp_path / "document.graphql").write_text(case["query"])
    result = run_cli("validate", "--schema", tmp_path / "schema.graphql", "--rule", case["rule"], tmp_path / "document.graphql")
    assert not result.stderr
    assert json.loads(result.stdout) == case["errors"]
    assert result.returncode == (1 if case["errors"] else 0)
