# SPDX-License-Identifier: MIT
"""Runs each case of the validation suite with the one rule that it names, and compares messages and places exactly."""

import json

import pytest

from harness import run_cli
from suite import cases

HEAD, *ALL = cases("graphql-validation")
# What the data cannot ask of the command: one case expects places that its document, as it stands in the data, does not
# have; one needs a scalar with code of its own, which SDL alone does not give.
LEFT_OUT = {
    "duplicate custom non-repeatable directives in one location",
    "Invalid input object value/reports error for custom scalar that returns undefined",
}
CASES = [case for case in ALL if case["name"] not in LEFT_OUT]


def test_only_those_two_are_left_out():
    assert len(ALL) - len(CASES) == len(LEFT_OUT)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['rule']}: {case['name']}")
def test_case(tmp_path, case):
    schema = case["schema"] if isinstance(case["schema"], str) else HEAD["schemas"][case["schema"]]
    (tmp_path / "schema.graphql").write_text(schema)
    (tmp_path / "document.graphql").write_text(case["query"])
    result = run_cli("validate", "--schema", tmp_path / "schema.graphql", "--rule", case["rule"], tmp_path / "document.graphql")
    assert not result.stderr
    found = json.loads(result.stdout)
    assert all(error.pop("rule") == case["rule"] for error in found)
    assert found == case["errors"]
    assert result.returncode == (1 if case["errors"] else 0)
