-- SPDX-License-Identifier: MIT
-- Values whose schemas are in a schema registry: kafka.registry of app.lua. A value has the id of its schema in front, by which
-- those who read it find what it was written as. Ids do not change: they are asked for once, and kept with the code.
local core = require "perilune.registry.core"
local errors = require "perilune.errors"
local json = require "perilune.json"
local proto = require "perilune.proto"

local registry = {}

local MOST = 4096 -- answers that are kept

local headers, header_count = {}, 0 -- topic, message or file → what stands in front of the value
local writers, writer_count = {}, 0 -- id, path → { type = …, name = … }
local defaults = {}

local function header(topic, message, schema)
  local key = topic .. "\n" .. (message or "") .. "\n" .. (schema or "")
  local known = headers[key]
  if known then return known end
  known = core.header(topic, message, schema)
  if header_count >= MOST then headers, header_count = {}, 0 end
  headers[key], header_count = known, header_count + 1
  return known
end

local function writer(id, path)
  local key = path and id .. path or id
  local known = writers[key]
  if known then return known end
  local type, name = core.writer(id, path)
  known = { type = type, name = name }
  if writer_count >= MOST then writers, writer_count = {}, 0 end
  writers[key], writer_count = known, writer_count + 1
  return known
end

-- What kafka.topics says of a topic, or nil.
function registry.defaults(topic)
  local known = defaults[topic]
  if known == nil then
    known = core.topic(topic) or false
    if known then defaults[topic] = known end
  end
  return known or nil
end

-- The value as JSON, when it is what the JSON Schema of the bundle says.
function registry.write_json(topic, value, schema)
  local text = json.encode(value)
  if schema then core.validate(schema, text, topic) end
  return text
end

-- The converse; without a schema any JSON.
function registry.read_json(topic, text, schema)
  if schema then core.validate(schema, text, topic) end
  return json.decode(text)
end

-- Whether the bundle has a JSON Schema of this path.
function registry.has_schema(path) return core.has_schema(path) end

-- registry.encode(topic, value, { message = "pay.v1.Event" }): the value as a protobuf message with the id of its schema in
-- front, as it is written to the topic; { schema = "schemas/order.schema.json" }: as JSON. Without options, as kafka.topics has
-- it. Waits where the schema is not known yet.
function registry.encode(topic, value, options)
  local as = options and (options.message or options.schema) and options or registry.defaults(topic)
  if not as or not (as.message or as.schema) then
    error(("registry.encode: neither the options nor kafka.topics[%q] has a message or schema"):format(topic), 2)
  end
  if as.message then return header(topic, as.message) .. proto.encode(as.message, value) end
  return header(topic, nil, as.schema) .. registry.write_json(topic, value, as.schema)
end

local messages -- names of the bundle's, when they are needed

local function has_message(name)
  if not messages then
    messages = {}
    local ok, names = pcall(proto.types)
    for _, one in ipairs(ok and names or {}) do messages[one] = true end
  end
  return messages[name] or name:find("^google%.protobuf%.") ~= nil
end

local decoders = {
  JSON = function(topic, _, bytes, options) return registry.read_json(topic, bytes, options.schema) end,
  PROTOBUF = function(topic, id, bytes, options)
    local path, message = core.path(bytes)
    local name = writer(id, path).name
    if options.message and options.message ~= name then
      error(errors.invalid_argument(("%s: the value is a %s (schema %d), not a %s"):format(topic, name, id, options.message)))
    elseif not has_message(name) then
      error(errors.failed_precondition(
        ("%s: the value is a %s (schema %d), and the bundle has no such message: its .proto file belongs into proto/")
        :format(topic, name, id)))
    end
    return proto.decode(name, message), name
  end,
}

local formats = { json = "JSON", protobuf = "PROTOBUF" }

-- registry.decode(topic, bytes, { message = "pay.v1.Event" }): the value, and the full name of its message where it is protobuf.
-- It is read with the bundle's own message of the name that the writer's schema has; options.message, options.format ("json",
-- "protobuf") and options.schema ("schemas/order.schema.json") say what it must be. Waits where the schema is not known yet. A
-- value that cannot be read raises INVALID_ARGUMENT, a schema that is not registered NOT_FOUND, a registry that cannot be asked
-- UNAVAILABLE.
function registry.decode(topic, bytes, options)
  options = options or {}
  local id, rest = core.split(bytes)
  local by = writer(id)
  local expected = formats[options.format] or options.message and "PROTOBUF" or options.schema and "JSON" or by.type
  if by.type ~= expected then
    error(errors.invalid_argument(("%s: the value is %s (schema %d), not %s"):format(topic, by.type, id, expected)))
  end
  local decode = decoders[by.type]
  if not decode then
    error(errors.unimplemented(("%s: the value is %s (schema %d), which cannot be read"):format(topic, by.type, id)))
  end
  return decode(topic, id, rest, options)
end

return registry
