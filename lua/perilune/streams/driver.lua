-- SPDX-License-Identifier: MIT
-- Runs a topology without Kafka and with a clock of its own, as Kafka Streams' TopologyTestDriver does: one task for each
-- sub-topology, records go through it one at a time, and what a topology writes to a topic that it reads comes back to it.
local serde = require "perilune.streams.serde"
local Task = require "perilune.streams.task"

local Driver = {}
Driver.__index = Driver

-- options: start (seconds since 1970; 0); backend(sub): a backend for its state; on_error(err, topic, msg): instead of raising
-- what a function of the topology has raised.
function Driver.new(topology, options)
  options = options or {}
  local now = serde.milliseconds(options.start or 0)
  local self = { topology = topology, now = now, tasks = {}, readers = {}, output = {}, offsets = {}, written = {} }
  setmetatable(self, Driver)
  self.on_error = options.on_error
  for i, sub in ipairs(topology.subs) do
    local task = Task.new(sub, 0, options.backend and options.backend(sub), now)
    self.tasks[i] = task
    for _, topic in ipairs(sub.topics) do self.readers[topic] = task end
  end
  return self
end

local function fail(self, why, topic, msg)
  if not self.on_error then error(why, 0) end
  self.on_error(why, topic, msg)
end

-- What tasks have written: to whoever reads, and to the tasks that read the topic.
local function deliver(self, task, queue)
  for _, event in ipairs(task.out) do
    local list = self.output[event.topic]
    if not list then
      list = { first = 1 }
      self.output[event.topic] = list
    end
    list[#list + 1] = event
    self.written[#self.written + 1] = event
    if self.readers[event.topic] then queue[#queue + 1] = event end
  end
  task.out = {}
  local problem = task.problem
  task.problem = nil
  if problem then fail(self, problem) end
end

local function put(self, topic, msg)
  local task = self.readers[topic]
  msg.offset = self.offsets[topic] or 0
  self.offsets[topic] = msg.offset + 1
  msg.partition = 0
  local ok, why = task:process(topic, msg)
  return ok, why, task
end

-- Until nothing is on its way.
local function settle(self, queue)
  local at = 1
  repeat
    while queue[at] do
      local event = queue[at]
      at = at + 1
      local msg = { key = event.key, value = event.value, headers = event.headers, timestamp = event.time / 1000 }
      local ok, why, task = put(self, event.topic, msg)
      if not ok then fail(self, why, event.topic, msg) end
      deliver(self, task, queue)
    end
    for _, task in ipairs(self.tasks) do
      while task:drain() do deliver(self, task, queue) end
      deliver(self, task, queue)
    end
  until not queue[at]
end

-- Pipes one event in. value: as the topic's format has it; nil: a tombstone; options.raw: bytes. timestamp: seconds (now).
function Driver:pipe_input(topic, key, value, timestamp, options)
  options = options or {}
  local source = self.topology.sources[topic]
  if not source then error(("topology %s does not read topic %s"):format(self.topology.name, tostring(topic)), 2) end
  local bytes = value
  if not options.raw then bytes = source.codec.encode(value) end
  local msg = { key = serde.key(key), value = bytes, headers = options.headers or {}, timestamp = timestamp or self.now / 1000 }
  local queue = {}
  local ok, why, task = put(self, topic, msg)
  if not ok then fail(self, why, topic, msg) end
  deliver(self, task, queue)
  settle(self, queue)
  return ok, why
end

-- Moves the clock on by so many seconds; punctuations by wall clock happen at their times.
function Driver:advance_time(seconds)
  local target = self.now + serde.duration(seconds, "advance_time")
  while true do
    local first, task = target, nil
    for _, one in ipairs(self.tasks) do
      local due = one:next_due()
      if due and due <= first and (not task or due < first) then first, task = due, one end
    end
    self.now = math.max(self.now, first)
    if not task then break end
    local ok, why = task:punctuate(first)
    local queue = {}
    if not ok then fail(self, why) end
    deliver(self, task, queue)
    settle(self, queue)
    if not ok then break end -- it is due still: the next time the clock goes on
  end
  self.now = math.max(self.now, target)
end

local function shown(self, event)
  local sink = self.topology.sinks[event.topic]
  local codec = sink and sink.codec or self.topology.sources[event.topic] and self.topology.sources[event.topic].codec
  local value = event.value
  if codec then value = codec.decode(value) end
  return { key = event.key, value = value, headers = event.headers, timestamp = event.time / 1000, partition = event.partition }
end

-- The next event that was written to the topic: { key, value, headers, timestamp }; nil when all are read.
function Driver:read_output(topic)
  local list = self.output[topic]
  local event = list and list[list.first]
  if not event then return nil end
  list[list.first] = false
  list.first = list.first + 1
  return shown(self, event)
end

-- All that was written to any topic since the last time, as it was written: in the order in which it was.
function Driver:take_written()
  local written = self.written
  self.written = {}
  return written
end

function Driver:read_all(topic)
  local all = {}
  for event in function() return self:read_output(topic) end do all[#all + 1] = event end
  return all
end

-- How many events were left out: { late, no_key, no_value, no_timestamp }.
function Driver:counts()
  local counts = {}
  for _, task in ipairs(self.tasks) do
    for name, n in pairs(task.counts) do counts[name] = (counts[name] or 0) + n end
  end
  return counts
end

-- The state of a store, to look at: see perilune.streams.view.
function Driver:store(name)
  local definition = self.topology.stores[name]
  if not definition then error(("topology %s has no store %s"):format(self.topology.name, tostring(name)), 2) end
  local states = {}
  for i, sub in ipairs(self.topology.subs) do
    for _, one in ipairs(sub.stores) do
      if one == definition then states[1] = self.tasks[i].state end
    end
  end
  return require "perilune.streams.view".new(definition, function() return states end)
end

return Driver
