# SPDX-License-Identifier: MIT
"""Runs the execution suite once more through a mount in another program's libh2o."""

import pytest

from h2o_host import H2oHost
from harness import write_bundle
from suite import cases, check_execution

SUITE = cases("graphql-execution")


@pytest.fixture(scope="module")
def mount(tmp_path_factory):
    directory = tmp_path_factory.mktemp("mount")
    files = {"app.lua": "return {}", "schema/schema.graphql": "type Query { hello: String }"}
    with H2oHost(write_bundle(directory / "bundle", files), directory / "host.log", path="/deep/below") as host:
        yield host


@pytest.mark.parametrize("schema", SUITE, ids=lambda schema: f"schema{schema['id']}")
def test_schema(mount, schema):
    check_execution(mount, schema)
