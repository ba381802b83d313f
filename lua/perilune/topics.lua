-- SPDX-License-Identifier: MIT
-- Topics that are read without a consumer group: events:read. What is read is not remembered anywhere; each reader
-- reads all partitions, or those that it names.
local core = require "perilune.topics.core"
local json = require "perilune.json"
local errors = require "perilune.errors"

local topics = {}

-- How the bytes of a message become an event, and nil for a tombstone.
local decoders = {
  json = function(value) return json.decode(value) end,
  bytes = function(value) return value end,
  protobuf = function(value, options) return require "perilune.proto".decode(options.message, value) end,
}

-- A function(msg) that gives the event of a message; raises INVALID_ARGUMENT where it cannot be read.
function topics.decoder(options, what)
  local format = options.format or (options.message and "protobuf" or "json")
  local decode = decoders[format]
  if not decode then error(what .. ": format must be \"json\", \"protobuf\" or \"bytes\"", 3) end
  if format == "protobuf" and type(options.message) ~= "string" then
    error(what .. ": format \"protobuf\" needs the name of the message: message = \"pay.v1.Event\"", 3)
  end
  return function(msg)
    if msg.value == nil then return nil end
    local ok, event = pcall(decode, msg.value, options)
    if ok then return event end
    error(errors.invalid_argument(("%s is no %s: %s"):format(msg.id, options.message or format,
      type(event) == "table" and event.message or event)))
  end
end

local READ_OPTIONS = {
  partition = true, from = true, to = true, format = true, message = true, uncommitted = true, timeout = true,
}

local function check_place(place, what)
  local is_time = type(place) == "table" and type(place.timestamp) == "number" and next(place, next(place)) == nil
  local is_offset = math.type(place) == "integer" and place >= 0
  if place ~= "beginning" and place ~= "end" and not is_time and not is_offset then
    error(what .. ": from must be \"beginning\", \"end\", an offset, { timestamp = seconds } or { offsets = { … } }", 4)
  end
  return place
end

local function check_partition(partition, what)
  if math.type(partition) ~= "integer" or partition < 0 or partition > 0x7fffffff then
    error(what .. ": a partition is a number from 0", 4)
  end
  return partition
end

-- partition and from, as core.read has them: start, places, only_places.
local function places_of(options, what)
  local from, partition = options.from or "beginning", options.partition
  local places = {}
  if type(from) == "table" and from.offsets then
    for id, place in pairs(from.offsets) do places[check_partition(id, what)] = check_place(place, what) end
    from = "beginning"
  end
  check_place(from, what)
  if partition == nil then return from, places, false end
  local only = {}
  for _, id in ipairs(type(partition) == "table" and partition or { partition }) do
    only[check_partition(id, what)] = places[id] or from
  end
  if next(only) == nil then error(what .. ": partition must be a number, or a list of numbers", 3) end
  return from, only, true
end

local Reader = {}
Reader.__index = Reader
Reader.__name = "perilune.topics.reader"

-- Waits for the next message, and returns it with its event (nil: a tombstone); nothing at the end, and after close. A message
-- has topic, partition, offset, timestamp, id, key, headers and value, its bytes.
function Reader:next()
  while true do
    local msg, offset = self.source:take()
    if msg == nil then return nil end
    if offset then
      self.offsets[msg] = offset
    else
      self.offsets[msg.partition] = msg.offset + 1
      return msg, self.decode(msg)
    end
  end
end

-- Where it would go on, for { from = { offsets = … } }: { [partition] = offset }, of partitions that were read.
function Reader:position()
  local copy = {}
  for partition, offset in pairs(self.offsets) do copy[partition] = offset end
  return copy
end

-- Ends it; who waits for the next message gets nothing.
function Reader:close()
  self.source:close()
end

Reader.__call = Reader.next
Reader.__close = Reader.close

-- events:read(topic, options): the messages of a topic, without a consumer group: an object with next and close, and an iterator.
-- options.partition: one, or a list (all); options.from: "beginning" (the default), "end", an offset, { timestamp = seconds } or
-- { offsets = { [partition] = offset } }; options.to = "end": up to where the partitions end now, else for ever;
-- options.format and .message, as in events:publish; options.uncommitted: events of transactions that were not committed, too;
-- options.timeout: seconds after which brokers that cannot be reached are an error (30 with to = "end", else never).
function topics.read(_, topic, options)
  options = options or {}
  for name in pairs(options) do
    if not READ_OPTIONS[name] then error("events:read: there is no option " .. tostring(name), 2) end
  end
  if options.to ~= nil and options.to ~= "end" then error("events:read: to can only be \"end\"", 2) end
  local start, places, only = places_of(options, "events:read")
  local decode = topics.decoder(options, "events:read")
  local timeout = options.timeout or (options.to and 30 or 0)
  local source = core.read(topic, start, places, only, options.to == "end", options.uncommitted, timeout)
  return setmetatable({ source = source, decode = decode, offsets = {} }, Reader)
end

return topics
