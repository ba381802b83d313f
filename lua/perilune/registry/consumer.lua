-- SPDX-License-Identifier: MIT
-- Consumers of values with the id of their schema in front: the option `registry`; and `schema`, what JSON must be like. The
-- server hands over bytes, which are decoded before the handler, and whatever else is around it, sees an event.
local errors = require "perilune.errors"
local proto = require "perilune.proto"
local registry = require "perilune.registry"

local function wrong(what) error(what, 0) end

local function check(declaration)
  local format, registered = declaration.format, declaration.registry
  if registered ~= nil and type(registered) ~= "boolean" then wrong "registry must be true or false" end
  if declaration.schema ~= nil and type(declaration.schema) ~= "string" then
    wrong "schema must be the path of a file of the bundle: \"schemas/order.schema.json\""
  end
  if declaration.schema and (format or "json") ~= "json" then wrong "schema is for format \"json\"" end
  if declaration.schema and declaration.message then wrong "an event has a message or a schema, not both" end
  if registered and format == "bytes" then wrong "registry = true is for format \"json\" or \"protobuf\"" end
  if declaration.schema and not registry.has_schema(declaration.schema) then
    wrong(("there is no file %s in the bundle; the name of a JSON Schema ends with .schema.json"):format(declaration.schema))
  end
  if declaration.message ~= nil then
    local ok, failure = pcall(proto.defaults, declaration.message)
    if not ok then wrong(type(failure) == "table" and failure.message or "message must be the name of a message") end
  end
  if type(declaration.handler) ~= "function" then wrong "a consumer needs a handler" end
end

-- function(topic, bytes) → event
local function decoder(declaration)
  local schema = declaration.schema
  if declaration.registry then
    local options = { format = declaration.format, message = declaration.message, schema = schema }
    return function(topic, bytes) return (registry.decode(topic, bytes, options)) end
  end
  return function(topic, bytes) return registry.read_json(topic, bytes, schema) end
end

-- The converse, by which tests make events.
local function encoder(declaration)
  local schema = declaration.schema
  if not declaration.registry then return function(topic, event) return registry.write_json(topic, event, schema) end end
  return function(topic, event) return registry.encode(topic, event, { message = declaration.message, schema = schema }) end
end

-- A tombstone is none; tests hand over events as they are.
local function is_bytes(event) return type(event) == "string" end

local function one(decode, handler)
  return function(event, msg, ctx)
    if is_bytes(event) then event = decode(msg.topic, event) end
    return handler(event, msg, ctx)
  end
end

-- What cannot be decoded has failed by itself. A failure that the next try may not have ends the whole batch.
local function decode_all(decode, events, msgs)
  local good, good_msgs, places, failures = {}, {}, {}, {}
  for i, msg in ipairs(msgs) do
    local ok, event = true, events[i]
    if is_bytes(event) then ok, event = pcall(decode, msg.topic, event) end
    if ok then
      local n = #places + 1
      good[n], good_msgs[n], places[n] = event, msg, i
    elseif getmetatable(event) ~= errors.metatable or event.code == "UNAVAILABLE" then
      error(event, 0)
    else
      failures[i] = event
    end
  end
  return good, good_msgs, places, failures
end

local function several(decode, handler)
  return function(events, msgs, ctx)
    local good, good_msgs, places, failures = decode_all(decode, events, msgs)
    local told = #places > 0 and handler(good, good_msgs, ctx)
    for i, failure in pairs(type(told) == "table" and told or {}) do
      if places[i] then failures[places[i]] = failure end
    end
    return next(failures) and failures or nil
  end
end

-- The declaration as the server is to read it.
return function(declaration)
  check(declaration)
  local wrapped = {}
  for name, value in pairs(declaration) do wrapped[name] = value end
  wrapped.schema, wrapped.message = nil, nil
  wrapped.format = "bytes"
  wrapped.handler = (declaration.batch and several or one)(decoder(declaration), declaration.handler)
  return setmetatable(wrapped, { encode = encoder(declaration) })
end
