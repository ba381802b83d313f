-- SPDX-License-Identifier: MIT
-- One partition of a sub-topology at work. No I/O but that of the backend, and no clock: records and times are handed in, what is
-- to be published is collected in `out`, and state changes in an overlay, until the owner commits both.
--
--   task:process(topic, msg)   each is whole, or without any effect when it fails: then nil and the error
--   task:punctuate(now)        the same of each punctuation: the others happen, and the first error comes back
--   task:drain()               true: there is more to hand out; commit, and call it again
--   task:changes()             what is to be written; then task:committed()
--   task:abandon()             forgets all since the last commit
local aggregate = require "perilune.streams.aggregate"
local closing = require "perilune.streams.closing"
local errors = require "perilune.errors"
local join = require "perilune.streams.join"
local Overlay = require "perilune.streams.overlay"
local process = require "perilune.streams.process"
local serde = require "perilune.streams.serde"
local TIME = require "perilune.streams.stateless".TIME

local Task = {}
Task.__index = Task

-- Of the store that holds a task's own variables (stream times, numbers).
local VARS = "\1"

-- started: when, in milliseconds.
function Task.new(sub, partition, backend, started)
  local self = {
    sub = sub,
    partition = partition,
    state = Overlay.new(backend),
    out = {},
    counts = {},
    vars = {},
    changed = {},
    next_close = {},
    wall_dues = {},
    started = started or 0,
    now = started or 0,
  }
  return setmetatable(self, Task)
end

-- Variables ---------------------------------------------------------------------------------------------------------------
-- A number or a string with a name; nil until it is set.
function Task:var(name)
  local value = self.vars[name]
  if value == nil then
    local bytes = self.state:get(VARS, name, 0, 0)
    if bytes == nil then return nil end
    value = bytes:sub(1, 1) == "n" and math.tointeger(bytes:sub(2)) or bytes:sub(2)
    self.vars[name] = value
  end
  return value
end

function Task:set_var(name, value)
  if self.before and self.before[name] == nil then
    self.before[name] = { value = self.vars[name], changed = self.changed[name] }
  end
  self.vars[name], self.changed[name] = value, true
end

-- Moves a variable with a stream time on, never back; what it is then.
function Task:advance(name, time)
  local now = self:var(name)
  if now and now >= time then return now end
  self:set_var(name, time)
  return time
end

local function flush_vars(self)
  for name in pairs(self.changed) do
    local value = self.vars[name]
    self.state:put(VARS, name, 0, 0, (math.type(value) == "integer" and "n" or "s") .. tostring(value))
  end
  self.changed = {}
end

-- What nodes say -------------------------------------------------------------------------------------------------------------
function Task:emit(event)
  self.out[#self.out + 1] = event
end

-- Counts an event that was left out: "late", "no_key", "no_value", "no_timestamp"; or a result: "failed_results".
function Task:count(what)
  self.counts[what] = (self.counts[what] or 0) + 1
end

-- Failures that pass: what was done is to be done again. All others say that the event is wrong.
Task.PASSES = { UNAVAILABLE = true, ABORTED = true, RESOURCE_EXHAUSTED = true, DEADLINE_EXCEEDED = true, CANCELLED = true }

-- A result that comes late cannot be refused with its event, and must not hold up those behind it.
function Task:result_failed(why)
  if errors.is(why) and Task.PASSES[why.code] then error(why, 0) end
  self:count "failed_results"
  self.problem = why
end

-- All or nothing -------------------------------------------------------------------------------------------------------------
local function undo(self, out_count, counts)
  self.state:undo()
  for i = #self.out, out_count + 1, -1 do self.out[i] = nil end
  for name, old in pairs(self.before) do
    self.vars[name], self.changed[name] = old.value, old.changed
  end
  self.counts, self.next_close = counts, {}
end

local function whole(self, fn, ...)
  local out_count, counts = #self.out, {}
  for name, n in pairs(self.counts) do counts[name] = n end
  self.before = {}
  self.state:begin()
  local ok, why = pcall(fn, self, ...)
  if ok then self.state:keep() else undo(self, out_count, counts) end
  self.before = nil
  if ok then return true end
  return nil, why
end

-- Records --------------------------------------------------------------------------------------------------------------------
local function timestamp_of(source, value, one)
  if source.timestamp and value ~= nil then return serde.milliseconds(source.timestamp(value, one)) end
  local early = source.internal and one.headers and one.headers[TIME]
  if early then
    one.headers[TIME] = nil
    return math.tointeger(tonumber(early))
  end
  return one.timestamp and one.timestamp >= 0 and serde.milliseconds(one.timestamp) or nil
end

-- Undecodable bytes are an error of the event.
local function decode(source, bytes)
  local ok, value = pcall(source.codec.decode, bytes)
  if ok then return value end
  if errors.is(value) then error(value, 0) end
  error(errors.invalid_argument("the value cannot be decoded: " .. tostring(value)))
end

local function take(self, source, topic, msg)
  local value = decode(source, msg.value)
  local one = {
    key = msg.key,
    value = value,
    timestamp = msg.timestamp,
    headers = msg.headers,
    topic = topic,
    partition = msg.partition or self.partition,
    offset = msg.offset,
  }
  local time = timestamp_of(source, value, one)
  if not time then
    self:count "no_timestamp"
    return
  end
  one.time, one.timestamp = time, time / 1000
  local stream_time = self:advance("time", time)
  for _, child in ipairs(source.children) do child.process(child, self, one) end
  for _, node in ipairs(self.sub.processors) do process.punctuate(node, self, stream_time) end
end

-- msg: key, value (bytes), timestamp (seconds), headers, partition, offset.
function Task:process(topic, msg)
  local source = self.sub.sources[topic]
  if not source then error("topology " .. self.sub.topology .. ": it does not read topic " .. tostring(topic), 2) end
  return whole(self, take, source, topic, msg)
end

-- Time ------------------------------------------------------------------------------------------------------------------------
-- One that fails is due still, and tried again.
function Task:punctuate(now)
  local failed, failure = false, nil
  self.now = now
  for _, node in ipairs(self.sub.processors) do
    for _, schedule in ipairs(node.schedules) do
      local ok, why = true, nil
      if schedule.by == "wall_clock" then ok, why = whole(self, process.tick, node, schedule, now) end
      if not ok and not failed then failed, failure = true, why end
    end
  end
  if failed then return nil, failure end
  return true
end

-- When it wants to be called next (milliseconds); nil: not at all.
function Task:next_due()
  local first
  for _, node in ipairs(self.sub.processors) do
    local due = process.next_due(node, self)
    if due and (not first or due < first) then first = due end
  end
  return first
end

local AT_ONCE = 1000

function Task:drain()
  local more = false
  for _, closer in ipairs(self.sub.closers) do
    if closing.emit(self, closer, AT_ONCE) then more = true end
  end
  return more
end

-- Committing -----------------------------------------------------------------------------------------------------------------
-- Deletes some of what is not needed any more. True: there may be more.
function Task:expire(limit)
  local more = false
  for _, node in ipairs(self.sub.expiring) do
    for _, definition in ipairs(node.stores) do
      local before = (definition.side and join or aggregate).expired_before(self, node, definition)
      local entries, last = {}, nil
      if before then entries, last = self.state:by_time(definition.name, nil, before, limit) end
      for _, entry in ipairs(entries) do self.state:put(definition.name, entry.key, entry.t1, entry.t2, nil) end
      more = more or last ~= nil
    end
  end
  return more
end

function Task:changes()
  flush_vars(self)
  return self.state:changes()
end

-- The changes are in the backend.
function Task:committed()
  self.state:clear()
  self.out = {}
end

function Task:abandon()
  self.state:clear()
  self.out, self.vars, self.changed, self.next_close = {}, {}, {}, {}
end

-- How much is kept until the next commit: entries and bytes.
function Task:size()
  return self.state.count + #self.out, self.state.bytes
end

return Task
