-- SPDX-License-Identifier: MIT
-- A schema registry for tests: any schema is registered when it is first asked for. Ids count from 1 in the order of that.
local core = require "perilune.registry.core"
local errors = require "perilune.errors"

local ids, schemas = {}, {}

function core.header(_, message, schema)
  local name = message or schema
  if not ids[name] then
    schemas[#schemas + 1] = { type = message and "PROTOBUF" or "JSON", name = message or "" }
    ids[name] = #schemas
  end
  return string.pack(">BI4", 0, ids[name]) .. (message and "\0" or "")
end

function core.writer(id)
  local schema = schemas[id]
  if not schema then error(errors.not_found(("the schema registry of the test has no schema %d"):format(id))) end
  return schema.type, schema.name
end
