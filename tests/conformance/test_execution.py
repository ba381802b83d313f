# SPDX-License-Identifier: MIT
"""Runs every operation of the execution suite against a server whose one default resolver answers by return type."""

import pytest

from harness import run_cli, write_bundle
from suite import bundle_of, cases, check_execution

SUITE = cases("graphql-execution")


@pytest.fixture(scope="module")
def server(start_shared):
    return start_shared({"app.lua": "return {}", "schema/schema.graphql": "type Query { hello: String }"})


@pytest.mark.parametrize("schema", SUITE, ids=lambda schema: f"schema{schema['id']}")
def test_schema(server, schema):
    check_execution(server, schema)


def test_a_bundle_of_the_suite_is_sound(tmp_path):
    assert SUITE, "the suite is empty"
    assert run_cli("check", write_bundle(tmp_path / "bundle", bundle_of(SUITE[0]))).returncode == 0
