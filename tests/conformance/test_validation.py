# SPDX-License-Identifier: MIT
"""Runs each case of the validation suite with the one rule that it names, and compares messages and places exactly."""

import json

import httpx
import pytest

from harness import Server, run_cli, write_bundle
from suite import cases

HEAD, *ALL = cases("graphql-validation")

# A scalar that refuses every value has code, which SDL alone does not give: this case is asked of a server.
WITH_CODE = "Invalid input object value/reports error for custom scalar that returns undefined"
CODE = "return { CustomScalar = { parse = function() return nil end } }"

# An erratum. The places of this case are ones where its document has nothing: the second is not even as far from the first
# as the directive is long. graphql-js 17.1 gives the places below, and the suite that the case comes from compares lines only.
MISPLACED = "duplicate custom non-repeatable directives in one location"
STATED = [{"line": 2, "column": 13}, {"line": 2, "column": 35}]
CORRECT = [{"line": 2, "column": 9}, {"line": 2, "column": 30}]


def schema_of(case):
    return case["schema"] if isinstance(case["schema"], str) else HEAD["schemas"][case["schema"]]


def expected_of(case):
    if case["name"] != MISPLACED:
        return case["errors"]
    (error,) = case["errors"]
    assert error["locations"] == STATED, "the data have changed: is the erratum still needed?"
    line = case["query"].splitlines()[1]
    assert not any(line[place["column"] - 1 :].startswith("@customNonRepeatable") for place in STATED)
    assert all(line[place["column"] - 1 :].startswith("@customNonRepeatable") for place in CORRECT)
    return [error | {"locations": CORRECT}]


def validate(directory, case):
    (directory / "schema.graphql").write_text(schema_of(case))
    (directory / "document.graphql").write_text(case["query"])
    result = run_cli("validate", "--schema", directory / "schema.graphql", "--rule", case["rule"], directory / "document.graphql")
    assert not result.stderr
    found = json.loads(result.stdout)
    assert all(error.pop("rule") == case["rule"] for error in found)
    assert result.returncode == (1 if found else 0)
    return found


def ask_server(directory, case):
    """All rules run here; the others have nothing to say about this document."""
    bundle = write_bundle(directory / "bundle", {"schema/schema.graphql": schema_of(case), "resolvers/scalar.lua": CODE})
    server = Server(bundle, directory / "log").start()
    try:
        response = httpx.post(server.url, json={"query": case["query"]}, timeout=30).json()
    finally:
        server.stop()
    assert "data" not in response
    assert all(error.pop("extensions") == {"code": "INVALID_ARGUMENT"} for error in response["errors"])
    return response["errors"]


def test_the_whole_suite_is_there():
    assert len(ALL) == 225


@pytest.mark.parametrize("case", ALL, ids=lambda case: f"{case['rule']}: {case['name']}")
def test_case(tmp_path, case):
    find = ask_server if case["name"] == WITH_CODE else validate
    assert find(tmp_path, case) == expected_of(case)
