-- SPDX-License-Identifier: MIT
-- Nodes of a script's own, with stores and punctuation.
local errors = require "perilune.errors"
local record = require "perilune.streams.record"
local serde = require "perilune.streams.serde"
local store = require "perilune.streams.store"

local process = {}

-- What the functions of a processor work with. It is made for one call of them.
local Context = {}
Context.__index = Context

-- Hands on a value; without key and timestamp (seconds): those of the event, or of the punctuation.
function Context:forward(value, key, timestamp)
  local one = self.record
  local time = timestamp == nil and one.time or serde.milliseconds(timestamp)
  if not time then error(errors.invalid_argument "forward: the timestamp must be a number of seconds") end
  if key == nil then key = one.key else key = serde.key(key) end
  record.forward(self.node, self.task, record.at(one, key, value, time, one.window))
end

function Context:store(name)
  local definition = self.node.by_name[name]
  if not definition then
    error(("processor %s: it has no store %s; name it in `stores`"):format(self.node.name, tostring(name)), 2)
  end
  return store.key_value(self.task, definition)
end

local function context(node, task, one)
  return setmetatable({ node = node, task = task, record = one, time = one.timestamp, partition = task.partition }, Context)
end

local function schedules_of(options)
  local list = options.punctuate or {}
  if list.run then list = { list } end
  local schedules = {}
  for i, one in ipairs(list) do
    local by = one.by or "wall_clock"
    if type(one.run) ~= "function" then error("process: punctuate needs a function `run`", 0) end
    if by ~= "wall_clock" and by ~= "stream_time" then
      error("process: punctuate.by must be \"wall_clock\" or \"stream_time\"", 0)
    end
    schedules[i] = { every = serde.duration(one.every, "process: punctuate.every", 1), by = by, run = one.run, number = i }
  end
  return schedules
end

-- options: name, process(value, key, record, ctx), punctuate = { every, by = "wall_clock" | "stream_time", run(time, ctx) } or a
-- list of such; definitions: of its stores.
function process.node(name, options, definitions)
  local node = { kind = "process", name = name, stores = definitions, by_name = {}, schedules = schedules_of(options) }
  for _, definition in ipairs(definitions) do node.by_name[definition.name] = definition end
  local fn = options.process
  function node.process(self, task, one)
    if fn then fn(one.value, one.key, one, context(self, task, one)) end
  end
  return node
end

-- Calls what is due by then. Wall clock: due times begin with the task; stream time: they are part of its state.
local function run(node, task, schedule, now, due)
  if due and now >= due then
    local one = { time = now, timestamp = now / 1000 }
    schedule.run(now / 1000, context(node, task, one))
  end
  if not due or now >= due then return (now // schedule.every + 1) * schedule.every end
  return due
end

-- Those by stream time.
function process.punctuate(node, task, now)
  for _, schedule in ipairs(node.schedules) do
    if schedule.by == "stream_time" then
      local name = ("punctuate:%s:%d"):format(node.name, schedule.number)
      local due = task:var(name)
      local next_due = run(node, task, schedule, now, due)
      if next_due ~= due then task:set_var(name, next_due) end
    end
  end
end

-- One by wall clock.
function process.tick(task, node, schedule, now)
  local dues = task.wall_dues
  dues[schedule] = run(node, task, schedule, now, dues[schedule] or task.started + schedule.every)
end

-- When the next punctuation by wall clock is due (milliseconds); nil: there is none.
function process.next_due(node, task)
  local first
  for _, schedule in ipairs(node.schedules) do
    if schedule.by == "wall_clock" then
      local due = task.wall_dues[schedule] or task.started + schedule.every
      if not first or due < first then first = due end
    end
  end
  return first
end

return process
