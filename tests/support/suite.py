# SPDX-License-Identifier: MIT
"""The conformance data: JSON lines in folders below $CONFORMANCE_DATA."""

import json
import os
from pathlib import Path

import pytest

from harness import ROOT, write_bundle
from streams import MultipartStream

DATA = Path(ROOT, os.environ.get("CONFORMANCE_DATA", "../shared/conformance"))


def cases(name):
    """The lines of a suite; where its file is absent the module that asks is skipped, with the reason."""
    path = DATA / name / "cases.jsonl"
    if not path.exists():
        pytest.skip(f"no conformance data: {path} is absent (set CONFORMANCE_DATA)", allow_module_level=True)
    with path.open() as lines:
        return [json.loads(line) for line in lines]


APP = """
local fixed = %s
local scalars = { Int = 2, Float = 3.14, String = "str", Boolean = true, ID = "id" }

local function value(type)
  local kind = type.kind
  if kind == "NON_NULL" then return value(type.of_type) end
  if kind == "LIST" then return { value(type.of_type), value(type.of_type) } end
  if kind == "SCALAR" then return scalars[type.name] or "str" end
  if kind == "ENUM" then return fixed.enums[type.name] end
  if kind == "UNION" then return { __typename = fixed.unions[type.name] } end
  if kind == "INTERFACE" then return { __typename = fixed.interfaces[type.name] } end
  return {}
end

return {
  graphql = { ready_made_scalars = false },
  default_resolver = function(_, _, _, info) return value(info.return_type) end,
}
"""


def lua(value):
    """A dictionary of strings and dictionaries as a Lua table."""
    if isinstance(value, str):
        return json.dumps(value)
    return "{ " + ", ".join(f"[{json.dumps(key)}] = {lua(member)}" for key, member in value.items()) + " }"


def bundle_of(schema):
    fixed = {kind: schema["fixed"].get(kind, {}) for kind in ("enums", "unions", "interfaces")}
    return {"app.lua": APP % lua(fixed), "schema/schema.graphql": schema["schema"]}


def check_execution(server, schema):
    """Asks a server every operation of one schema, by HTTP."""
    write_bundle(server.bundle, bundle_of(schema))
    server.reload()
    wrong = []
    for number, case in enumerate(schema["cases"]):
        if case.get("incremental"):
            with MultipartStream(server, case["query"], "multipart/mixed", variables=case.get("variables")) as stream:
                payloads = stream.rest()
            if payloads != case["expected"] or _results(payloads) != _results(case["expected"]):
                wrong.append((number, case["query"], payloads, case["expected"]))
            continue
        payload = {"query": case["query"], "variables": case.get("variables")}
        response = server.post(payload)
        if response.status_code != 200 or response.json() != case["expected"]:
            wrong.append((number, case["query"], response.status_code, response.text, case["expected"]))
        elif json.dumps(response.json()) != json.dumps(case["expected"]):
            wrong.append((number, case["query"], "the order of keys", response.text, case["expected"]))
    assert not wrong, f"{len(wrong)} of {len(schema['cases'])} cases; the first: " + "\n".join(map(str, wrong[0]))


def _results(payloads):
    """The data of all payloads as text: the order of keys counts."""
    return json.dumps(
        [payloads[0]["data"]]
        + [part.get("data", part.get("items")) for payload in payloads[1:] for part in payload.get("incremental", [])]
    )
