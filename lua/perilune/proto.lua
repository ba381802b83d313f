-- SPDX-License-Identifier: MIT
-- Protobuf messages as tables. The messages are those of the bundle's proto folder; without the server, those of the descriptor
-- sets that were loaded.
local core = require "perilune.proto.core"
local errors = require "perilune.errors"
local time = require "perilune.time"

local proto = {
  encode = core.encode,
  decode = core.decode,
  to_json = core.to_json,
  from_json = core.from_json,
  defaults = core.defaults,
  types = core.types,
  enum = core.enum,
}

local function not_here()
  error(errors.failed_precondition "in the server the messages are those of the bundle's proto folder: nothing can be loaded")
end

proto.load = core.load or not_here
proto.add = core.add or not_here

local function through(type, value)
  return core.decode(type, core.encode(type, value))
end

-- { seconds, nanos } of a number of seconds since 1970, an RFC 3339 text, or now.
function proto.timestamp(value)
  return through("google.protobuf.Timestamp", value == nil and time.now() or value)
end

-- { seconds, nanos } of a number of seconds, or of text like "1.5s".
function proto.duration(value)
  return through("google.protobuf.Duration", value)
end

-- The seconds of a timestamp or duration, as one number: a float where there are nanos.
function proto.seconds(value)
  if (value.nanos or 0) == 0 then return value.seconds or 0 end
  return (value.seconds or 0) + value.nanos / 1e9
end

-- "2026-05-09T12:30:00.250Z" of a timestamp, in any of its forms.
function proto.rfc3339(value)
  return core.to_json("google.protobuf.Timestamp", value):sub(2, -2)
end

-- The decimal digits of a uint64 or fixed64, whose upper half are negative integers in Lua.
function proto.uint64(value)
  if value >= 0 then return ("%d"):format(value) end
  local tens = (value >> 1) // 5
  return ("%d%d"):format(tens, value - tens * 10)
end

return proto
