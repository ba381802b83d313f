# SPDX-License-Identifier: MIT
"""The execution suite of GraphQL, with a Python function as the resolver of every field."""

import json
import os
from pathlib import Path

import pytest

import perilune

ROOT = Path(__file__).resolve().parents[3]
DATA = Path(ROOT, os.environ.get("CONFORMANCE_DATA", "../shared/conformance"), "graphql-execution", "cases.jsonl")
APP = "return { graphql = { ready_made_scalars = false } }"
TYPE = "kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name } } } } }"
FIELDS = f"{{ __schema {{ types {{ kind name fields(includeDeprecated: true) {{ name type {{ {TYPE} }} }} }} }} }}"
SCALARS = {"Int": 2, "Float": 3.14, "String": "str", "Boolean": True, "ID": "id"}


def value_of(type_, fixed):
    kind, name = type_["kind"], type_["name"]
    if kind == "NON_NULL":
        return value_of(type_["ofType"], fixed)
    if kind == "LIST":
        return [value_of(type_["ofType"], fixed)] * 2
    if kind == "SCALAR":
        return SCALARS.get(name, "str")
    if kind == "ENUM":
        return fixed["enums"][name]
    if kind in ("UNION", "INTERFACE"):
        return {"__typename": fixed["unions" if kind == "UNION" else "interfaces"][name]}
    return {}


def resolver(type_, fixed, later):
    async def resolve_later():
        return value_of(type_, fixed)

    return resolve_later if later else lambda: value_of(type_, fixed)


def app_of(schema, later):
    files = {"app.lua": APP, "schema/schema.graphql": schema["schema"]}
    fixed = {kind: schema["fixed"].get(kind, {}) for kind in ("enums", "unions", "interfaces")}
    with perilune.App(files=files, log_level="none") as plain:
        types = plain.graphql(FIELDS)["data"]["__schema"]["types"]
    app = perilune.App(files=files, log_level="none", queue=100000)
    for each in types:
        if each["kind"] == "OBJECT" and not each["name"].startswith("__"):
            for field in each["fields"]:
                app.resolver(each["name"], field["name"])(resolver(field["type"], fixed, later))
    return app


@pytest.mark.timeout(300)
@pytest.mark.parametrize("later", [False, True], ids=["plain", "async"])
def test_execution(later):
    if not DATA.exists():
        pytest.skip(f"no conformance data: {DATA} is absent (set CONFORMANCE_DATA)")
    wrong, count = [], 0
    with DATA.open() as lines:
        for schema in map(json.loads, lines):
            cases = [case for case in schema["cases"] if not case.get("incremental")]
            with app_of(schema, later) as app:
                for case in cases:
                    count += 1
                    response = app.graphql(case["query"], case.get("variables"))
                    if json.dumps(response) != json.dumps(case["expected"]):
                        wrong.append((case["query"], response, case["expected"]))
    assert count > 100
    assert not wrong, f"{len(wrong)} of {count} cases; the first: {wrong[0]}"
