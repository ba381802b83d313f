-- SPDX-License-Identifier: MIT
-- Keys, values and times between scripts and bytes.
local errors = require "perilune.errors"
local json = require "perilune.json"

local serde = {}

local function protobuf(message)
  if type(message) ~= "string" then
    error("streams: format \"protobuf\" needs the name of the message: message = \"pay.v1.Event\"", 0)
  end
  local proto = require "perilune.proto"
  return {
    encode = function(value) return proto.encode(message, value) end,
    decode = function(bytes) return proto.decode(message, bytes) end,
  }
end

local function check_bytes(value)
  if type(value) ~= "string" then error("streams: format \"bytes\" is for strings, not a " .. type(value), 0) end
  return value
end

local formats = {
  json = { encode = json.encode, decode = json.decode },
  bytes = { encode = check_bytes, decode = check_bytes },
}

-- A pair of functions for options.format ("json", "bytes" or "protobuf", with options.message). nil, a tombstone, stays nil.
function serde.of(options)
  options = options or {}
  local format = options.format or (options.message and "protobuf") or "json"
  local pair = format == "protobuf" and protobuf(options.message) or formats[format]
  if not pair then error("streams: format must be \"json\", \"protobuf\" or \"bytes\", not " .. tostring(format), 0) end
  return {
    encode = function(value)
      if value == nil then return nil end
      return pair.encode(value)
    end,
    decode = function(bytes)
      if bytes == nil then return nil end
      local value = pair.decode(bytes)
      if value == json.null then return nil end
      return value
    end,
  }
end

-- A key as the bytes that go to Kafka: a string is itself, a number its decimals, so that 7 and "7" are the same key.
function serde.key(value)
  local kind = math.type(value) or type(value)
  if kind == "string" or kind == "nil" then return value end
  if kind == "integer" or kind == "boolean" then return tostring(value) end
  if kind == "float" and value == value then
    local integer = math.tointeger(value)
    return integer and tostring(integer) or ("%.17g"):format(value)
  end
  if value == json.null then return nil end
  error(errors.invalid_argument("a key must be a string, a number, a boolean or nil, not a " .. type(value)))
end

-- Seconds as whole milliseconds; nil for what is no time.
function serde.milliseconds(seconds)
  if type(seconds) ~= "number" or seconds ~= seconds or seconds > 2 ^ 52 or seconds < -2 ^ 52 then return nil end
  return math.floor(seconds * 1000 + 0.5)
end

-- A setting in seconds as milliseconds.
function serde.duration(value, name, least)
  local ms = serde.milliseconds(value)
  if not ms or ms < (least or 0) then
    error(("streams: %s must be a number of seconds, at least %g, not %s"):format(name, (least or 0) / 1000, tostring(value)), 0)
  end
  return ms
end

return serde
