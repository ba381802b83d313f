-- SPDX-License-Identifier: MIT
-- Nodes that count, reduce and aggregate: a key at a time, in windows or not. `fold` is { init(), merge(a, b, key),
-- add(aggregate, value, key, record) }; events without a key or a value are left out, as they are by Kafka Streams.
local closing = require "perilune.streams.closing"
local record = require "perilune.streams.record"
local store = require "perilune.streams.store"

local forward, at = record.forward, record.at
local encode, decode = store.encode, store.decode

local aggregate = {}

local MOST_AT_ONCE = 1000

local function usable(task, one)
  if one.key == nil then
    task:count "no_key"
  elseif one.value == nil then
    task:count "no_value"
  else
    return true
  end
end

-- Without windows ---------------------------------------------------------------------------------------------------------
function aggregate.plain(definition, fold)
  local name, codec = definition.name, definition.codec
  return {
    kind = "aggregate",
    stores = { definition },
    lookup = function(task, key) return (decode(codec, task.state:get(name, key, 0, 0))) end,
    process = function(node, task, one)
      if not usable(task, one) then return end
      local old, time = decode(codec, task.state:get(name, one.key, 0, 0))
      if old == nil then old = fold.init() end
      time = math.max(time or one.time, one.time)
      local new = fold.add(old, one.value, one.key, one)
      task.state:put(name, one.key, 0, 0, new ~= nil and encode(codec, new, time) or nil)
      forward(node, task, at(one, one.key, new, time))
    end,
  }
end

-- Windows -----------------------------------------------------------------------------------------------------------------
-- The node that hands out results of closed windows only.
local function final_node(definition, window_of, before)
  local final = { kind = "final", process = forward }
  final.closer = {
    store = definition.name,
    time = "time:" .. definition.name,
    before = before,
    emit = function(task, entry)
      local value, time = decode(definition.codec, entry.value)
      forward(final, task, { key = entry.key, value = value, time = time, timestamp = time / 1000, window = window_of(entry) })
    end,
  }
  return final
end

-- After each event: final results that are due.
local function after_event(node, task)
  if node.final.used then closing.emit(task, node.final.closer, MOST_AT_ONCE) end
end

function aggregate.fixed(definition, fold, window)
  local name, codec = definition.name, definition.codec
  local time_name = "time:" .. name
  local function window_of(entry) return record.window(entry.t1, entry.t1 + window.size) end

  local function update(node, task, one, start)
    local old, time = decode(codec, task.state:get(name, one.key, start, 0))
    if old == nil then old = fold.init() end
    time = math.max(time or one.time, one.time)
    local new = fold.add(old, one.value, one.key, one)
    task.state:put(name, one.key, start, 0, new ~= nil and encode(codec, new, time) or nil)
    closing.note(task, node.final.closer, start)
    forward(node, task, at(one, one.key, new, time, record.window(start, start + window.size)))
  end

  return {
    kind = "aggregate",
    stores = { definition },
    final = final_node(definition, window_of, window.closed_before),
    process = function(node, task, one)
      if not usable(task, one) then return end
      local stream_time, late, starts = task:advance(time_name, one.time), false, {}
      for start in window.starts(one.time) do
        if window.closed(start, stream_time) then late = true else starts[#starts + 1] = start end
      end
      for i = #starts, 1, -1 do update(node, task, one, starts[i]) end
      if late then task:count "late" end
      after_event(node, task)
    end,
  }
end

-- Sessions ----------------------------------------------------------------------------------------------------------------
-- The open sessions of the key that an event at this time belongs to.
local function overlapping(task, name, window, one, open_from)
  local from, found = math.max(one.time - window.gap, open_from), {}
  for _, entry in ipairs(task.state:fetch(name, one.key, from, math.maxinteger)) do
    if entry.t2 <= one.time + window.gap then found[#found + 1] = entry end
  end
  return found
end

function aggregate.session(definition, fold, window)
  local name, codec = definition.name, definition.codec
  local time_name = "time:" .. name
  local function window_of(entry) return record.window(entry.t2, entry.t1) end

  -- Takes the sessions out of the store, and makes one of them: its value, time, start and stop.
  local function join_up(node, task, one, sessions)
    local start, stop, value, time = one.time, one.time, nil, one.time
    for _, entry in ipairs(sessions) do
      start, stop = math.min(start, entry.t2), math.max(stop, entry.t1)
    end
    for _, entry in ipairs(sessions) do
      local own, own_time = decode(codec, entry.value)
      if value == nil then value = own else value = fold.merge(value, own, one.key) end
      time = math.max(time, own_time)
      if entry.t1 ~= stop or entry.t2 ~= start then
        task.state:put(name, one.key, entry.t1, entry.t2, nil)
        forward(node, task, at(one, one.key, nil, own_time, window_of(entry)))
      end
    end
    return value, time, start, stop
  end

  return {
    kind = "aggregate",
    stores = { definition },
    final = final_node(definition, window_of, window.closed_before),
    process = function(node, task, one)
      if not usable(task, one) then return end
      local stream_time = task:advance(time_name, one.time)
      local sessions = overlapping(task, name, window, one, window.closed_before(stream_time))
      if #sessions == 0 and window.closed(one.time, stream_time) then
        task:count "late"
      else
        local old, time, start, stop = join_up(node, task, one, sessions)
        if old == nil then old = fold.init() end
        local new = fold.add(old, one.value, one.key, one)
        task.state:put(name, one.key, stop, start, new ~= nil and encode(codec, new, time) or nil)
        closing.note(task, node.final.closer, stop)
        forward(node, task, at(one, one.key, new, time, record.window(start, stop)))
      end
      after_event(node, task)
    end,
  }
end

-- Entries that begin before this are no longer needed.
function aggregate.expired_before(task, node, definition)
  local stream_time = task:var("time:" .. definition.name)
  if not stream_time then return nil end
  local before = stream_time - definition.window.retention
  if node.final.used then before = math.min(before, closing.emitted_before(task, node.final.closer)) end
  return before
end

return aggregate
