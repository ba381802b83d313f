-- SPDX-License-Identifier: MIT
-- Topics that are read without a consumer group: events:read. What is read is not remembered anywhere; each reader
-- reads all partitions, or those that it names.
local core = require "perilune.topics.core"
local queues = require "perilune.pubsub.core"
local errors = require "perilune.errors"
local log = require "perilune.log"
local proto = require "perilune.proto"
local registry = require "perilune.registry"
local time = require "perilune.time"

local topics = {}

-- How the bytes of a message become an event.
local decoders = {
  json = function(msg, as)
    if as.registry then return (registry.decode(msg.topic, msg.value, as)) end
    return registry.read_json(msg.topic, msg.value, as.schema)
  end,
  bytes = function(msg) return msg.value end,
  protobuf = function(msg, as)
    if as.registry then return (registry.decode(msg.topic, msg.value, as)) end
    return proto.decode(as.message, msg.value)
  end,
}

-- What says how values are written: the options where they do, else kafka.topics of app.lua.
local function written_as(topic, options)
  if options.format or options.message or options.schema or options.registry then return options end
  return registry.defaults(topic) or options
end

-- A function(msg) that gives the event of a message, nil for a tombstone; raises INVALID_ARGUMENT where it cannot be read, and
-- what registry.decode does.
local function decoder(topic, options, what)
  local as = written_as(topic, options)
  local format = as.format or (as.message and "protobuf" or "json")
  local decode = decoders[format]
  if not decode then error(what .. ": format must be \"json\", \"protobuf\" or \"bytes\"", 3) end
  if format == "protobuf" and not as.registry and type(as.message) ~= "string" then
    error(what .. ": format \"protobuf\" needs the name of the message: message = \"pay.v1.Event\"", 3)
  end
  return function(msg)
    if msg.value == nil then return nil end
    local ok, event = pcall(decode, msg, as)
    if ok then return event end
    if getmetatable(event) == errors.metatable and event.code ~= "INVALID_ARGUMENT" then error(event, 0) end
    error(errors.invalid_argument(("%s is no %s: %s"):format(msg.id, as.message or format,
      type(event) == "table" and event.message or event)))
  end
end

local READ_OPTIONS = {
  partition = true, from = true, to = true, uncommitted = true, timeout = true,
  format = true, message = true, schema = true, registry = true,
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
-- options.format, .message, .schema and .registry, as in events:publish;
-- options.uncommitted: events of transactions that were not committed, too;
-- options.timeout: seconds after which brokers that cannot be reached are an error (30 with to = "end", else never).
function topics.read(_, topic, options)
  options = options or {}
  for name in pairs(options) do
    if not READ_OPTIONS[name] then error("events:read: there is no option " .. tostring(name), 2) end
  end
  if options.to ~= nil and options.to ~= "end" then error("events:read: to can only be \"end\"", 2) end
  local start, places, only = places_of(options, "events:read")
  local decode = decoder(topic, options, "events:read")
  local timeout = options.timeout or (options.to and 30 or 0)
  local source = core.read(topic, start, places, only, options.to == "end", options.uncommitted, timeout)
  return setmetatable({ source = source, decode = decode, offsets = {} }, Reader)
end

-- --- events:subscribe ---

local PLACED_WITHIN = 5 -- seconds that subscribing waits for the brokers
local HISTORY_WITHIN = 30 -- seconds after which brokers that cannot be reached are an error, while what was before is read
local NO_HISTORY = { NOT_FOUND = true, OUT_OF_RANGE = true }

local function as_it_is(msg) return msg.value end

local NO_EVENT = {}
-- By topic and format: from message, which all subscribers of a state share, to its event. As long as there are any.
local decoded = setmetatable({}, { __mode = "v" })

-- Of a message that cannot be read now, but perhaps later: the schema registry does not answer.
local function decode_in_time(decode, msg)
  while true do
    local ok, result = pcall(decode, msg)
    if ok then return result end
    if type(result) ~= "table" or result.code ~= "UNAVAILABLE" then
      log.warn("event passed over: " .. tostring(type(result) == "table" and result.message or result))
      return nil
    end
    time.sleep(1)
  end
end

-- The event of a message for subscribers, decoded once for all of them; NO_EVENT where it has none, or cannot be read.
local function shared_decoder(topic, options)
  local decode = decoder(topic, options, "events:subscribe")
  local key = table.concat({ topic, options.format or "", options.message or "", options.schema or "",
    tostring(options.registry) }, "\0")
  local events = decoded[key]
  if not events then
    events = setmetatable({}, { __mode = "k" })
    decoded[key] = events
  end
  return function(msg)
    local event = events[msg]
    if event ~= nil then return event end
    event = decode_in_time(decode, msg)
    if event == nil then event = NO_EVENT end
    events[msg] = event
    return event
  end
end

local Subscription = {}
Subscription.__index = Subscription
Subscription.__name = "perilune.topics.subscription"

function Subscription:wanted(msg)
  if self.key and msg.key ~= self.key then return nil end
  local event = self.event_of(msg)
  if event == NO_EVENT or (self.filter and not self.filter(event, msg)) then return nil end
  return event
end

-- Up to the end that the topic has now, beginning at the offsets, and at `start` where there are none; start nil: only those
-- partitions are read.
function Subscription:read_history(start, offsets)
  local source = core.read(self.topic, start or "beginning", offsets, start == nil, true, false, HISTORY_WITHIN)
  self.history = setmetatable({ source = source, decode = as_it_is, offsets = {} }, Reader)
end

-- The history has been read up to its end.
function Subscription:leave_history()
  for partition, offset in pairs(self.history.offsets) do
    self.offsets[partition] = math.max(offset, self.offsets[partition] or 0)
    if self.progress then self.progress:reach(partition, offset) end
  end
  self.history:close()
  self.history = nil
end

-- What was published before the subscription: read up to the end, then, once the queue has what comes from now on, up to the
-- end again. The message; nothing when all has been read.
function Subscription:next_of_history()
  while self.history do
    local ok, msg = pcall(self.history.next, self.history)
    if ok and msg then return msg end
    -- A topic that is not there has no history, and one that was made anew not the one that was read.
    if not ok and not (type(msg) == "table" and NO_HISTORY[msg.code]) then error(msg, 0) end
    if not ok then self.offsets = {} end
    self:leave_history()
    if not self.queue then
      self:join()
      self:read_history("beginning", self.offsets)
    elseif self.progress then
      self.progress:go_live()
    end
  end
end

-- What the history and the queue both have, or older code has given already.
function Subscription:was_given(msg)
  local up_to = self.offsets[msg.partition]
  if not up_to then return false end
  if msg.offset < up_to then return true end
  self.offsets[msg.partition] = nil
  return false
end

-- The first event is to be taken. Older code has ended by now: where it has left off, this one goes on.
function Subscription:begin()
  self.begun = true
  if not self.progress then return end
  self.offsets = self.progress:offsets()
  if self.progress:has_left_some() and not self.history and next(self.offsets) then
    self:read_history(nil, self.offsets)
  end
end

-- Waits for the next event that is wanted, and returns it with its message; nothing after close.
function Subscription:next()
  local progress = self.progress
  if not self.begun then self:begin() end
  while not self.closed do
    local msg = self:next_of_history() or (self.queue and self.queue:take())
    if not msg then
      if progress and not self.closed then progress:drained() end
      return nil
    end
    if not self:was_given(msg) then
      if progress then progress:take(msg.partition, msg.offset) end
      local event = self:wanted(msg)
      if event ~= nil then return event, msg end
    end
  end
end

-- Ends it: who waits for the next event gets nothing.
function Subscription:close()
  self.closed = true
  if self.history then self.history:close() end
  if self.queue then self.queue:close() end
end

-- How many messages were dropped because too many were waiting.
function Subscription:dropped()
  return self.queue and self.queue:dropped() or 0
end

-- What is published from now on comes to the queue.
function Subscription:join()
  local options = self.options
  local queue = queues.subscribe_topic(self.topic, options.queue, options.on_full, options.max_bytes, self.progress)
  self.queue = queue
  if queues.topic_state(self.topic) then return end
  queue:await(PLACED_WITHIN)
  if not queues.topic_state(self.topic) then
    error(errors.unavailable(self.topic .. ": the brokers cannot be reached; try again later"))
  end
end

Subscription.__call = Subscription.next
Subscription.__close = Subscription.close

local SUBSCRIBE_OPTIONS = {
  from = true, key = true, queue = true, max_bytes = true, on_full = true,
  format = true, message = true, schema = true, registry = true,
}

-- events:subscribe(topic, filter, options): the events of a topic, as what a GraphQL subscription's `subscribe` returns. Each
-- server reads all partitions, so that an event published anywhere comes to the subscribers of all servers. filter(event, msg)
-- decides which are wanted (optional). options.from: "end" (the default), "beginning" or { timestamp = seconds };
-- options.format, .message, .schema and .registry, as in events:publish;
-- options.key: only events with this key; options.queue, .max_bytes and
-- .on_full, as in pubsub:subscribe. Tombstones, and what cannot be decoded, are passed over.
function topics.subscribe(_, topic, filter, options)
  if filter ~= nil and type(filter) ~= "function" then
    error("events:subscribe: the filter must be a function(event, msg), not a " .. type(filter), 2)
  end
  options = options or {}
  for name in pairs(options) do
    if not SUBSCRIBE_OPTIONS[name] then error("events:subscribe: there is no option " .. tostring(name), 2) end
  end
  local self = setmetatable({
    topic = topic, filter = filter, options = options, key = options.key, event_of = shared_decoder(topic, options),
    offsets = {}, -- by partition: what is before has been given
    progress = core.progress(topic), -- over all generations that the subscription goes through
  }, Subscription)
  local start, places = places_of({ from = options.from or "end" }, "events:subscribe")
  if start == "end" and self.progress then self.progress:go_live() end
  local ok, failure
  if start == "end" or self.progress and self.progress:is_live() then
    ok, failure = pcall(self.join, self)
  else
    for partition, offset in pairs(self.progress and self.progress:offsets() or {}) do places[partition] = offset end
    ok, failure = pcall(self.read_history, self, start, places)
  end
  if ok then return self end
  self:close()
  error(failure, 0)
end

return topics
