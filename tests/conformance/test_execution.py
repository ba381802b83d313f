# SPDX-License-Identifier: MIT
"""Runs every operation of the execution suite against a server whose one default resolver answers by return type."""

import json

import pytest

from harness import run_cli, write_bundle
from streams import MultipartStream
from suite import bundle_of, cases

SUITE = cases("graphql-execution")


@pytest.fixture(scope="module")
def server(start_shared):
    return start_shared({"app.lua": "return {}", "schema/schema.graphql": "type Query { hello: String }"})


@pytest.mark.parametrize("schema", SUITE, ids=lambda schema: f"schema{schema['id']}")
def test_schema(server, schema):
    write_bundle(server.bundle, bundle_of(schema))
    server.reload()
    wrong = []
    for number, case in enumerate(schema["cases"]):
        if case.get("incremental"):
            with MultipartStream(server, case["query"], "multipart/mixed", variables=case.get("variables")) as stream:
                payloads = stream.rest()
            if payloads != case["expected"] or results(payloads) != results(case["expected"]):
                wrong.append((number, case["query"], payloads, case["expected"]))
            continue
        payload = {"query": case["query"], "variables": case.get("variables")}
        response = server.post(payload)
        if response.status_code != 200 or response.json() != case["expected"]:
            wrong.append((number, case["query"], response.status_code, response.text, case["expected"]))
        elif json.dumps(response.json()) != json.dumps(case["expected"]):
            wrong.append((number, case["query"], "the order of keys", response.text, case["expected"]))
    assert not wrong, f"{len(wrong)} of {len(schema['cases'])} cases; the first: " + "\n".join(map(str, wrong[0]))


def results(payloads):
    """The data of all payloads as text: the order of keys counts."""
    return json.dumps(
        [payloads[0]["data"]]
        + [part.get("data", part.get("items")) for payload in payloads[1:] for part in payload.get("incremental", [])]
    )


def test_a_bundle_of_the_suite_is_sound(tmp_path):
    assert SUITE, "the suite is empty"
    assert run_cli("check", write_bundle(tmp_path / "bundle", bundle_of(SUITE[0]))).returncode == 0
