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
