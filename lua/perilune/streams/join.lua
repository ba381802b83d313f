-- SPDX-License-Identifier: MIT
-- Joins. fn(left, right, key) makes the value of a pair.
local closing = require "perilune.streams.closing"
local record = require "perilune.streams.record"
local store = require "perilune.streams.store"

local forward, with, at = record.forward, record.with, record.at
local encode, decode = store.encode, store.decode

local join = {}

local MOST_AT_ONCE = 1000

-- A stream with a table: each event meets what the table has for its key at that moment.
function join.with_table(table_node, fn, left)
  return {
    kind = "join",
    process = function(node, task, one)
      if one.key == nil or (one.value == nil and not left) then
        task:count(one.key == nil and "no_key" or "no_value")
        return
      end
      local other = table_node.lookup(task, one.key)
      if other ~= nil or left then forward(node, task, with(one, one.key, fn(one.value, other, one.key))) end
    end,
  }
end

-- A table from a topic or a stream.
function join.table(definition)
  local name, codec = definition.name, definition.codec
  return {
    kind = "table",
    stores = { definition },
    lookup = function(task, key) return (decode(codec, task.state:get(name, key, 0, 0))) end,
    process = function(node, task, one)
      if one.key == nil then
        task:count "no_key"
        return
      end
      task.state:put(name, one.key, 0, 0, one.value ~= nil and encode(codec, one.value, one.time) or nil)
      forward(node, task, one)
    end,
  }
end

-- Two streams ---------------------------------------------------------------------------------------------------------------
-- Each side keeps its events as long as the other may still bring one that they meet. An entry is a mark, "j" when it has met
-- one, and the value. `side`: definition; back, ahead: which times of the other side it meets; outer: whether an event that meets
-- none is handed out when it is closed.
local function closer_of(join_name, side, grace, output, pair)
  return {
    store = side.definition.name,
    time = "time:" .. join_name,
    before = function(stream_time) return stream_time - side.ahead - grace end,
    emit = function(task, entry)
      if entry.value:sub(1, 1) == "j" then return end
      local value, time = decode(side.definition.codec, entry.value:sub(2))
      forward(output, task, { key = entry.key, value = pair(value, nil, entry.key), time = time, timestamp = time / 1000 })
    end,
  }
end

-- Hands out all pairs of the event with events of the other side; whether there were any.
local function meet(node, task, one, other, open_from)
  local met = false
  local from, to = math.max(one.time - node.side.back, open_from), one.time + node.side.ahead
  for _, entry in ipairs(task.state:fetch(other.definition.name, one.key, from, to)) do
    local value, time = decode(other.definition.codec, entry.value:sub(2))
    met = true
    if other.outer and entry.value:sub(1, 1) ~= "j" then
      task.state:put(other.definition.name, one.key, entry.t1, entry.t2, "j" .. entry.value:sub(2))
    end
    local pair = node.side.pair(one.value, value, one.key)
    forward(node.output, task, at(one, one.key, pair, math.max(one.time, time)))
  end
  return met
end

local function process(node, task, one)
  if one.key == nil or one.value == nil then
    task:count(one.key == nil and "no_key" or "no_value")
    return
  end
  local side, other, shared = node.side, node.side.other, node.shared
  local stream_time = task:advance("time:" .. shared.name, one.time)
  if one.time < side.closer.before(stream_time) then
    task:count "late"
  else
    local met = meet(node, task, one, other, other.closer.before(stream_time))
    local number = (task:var("number:" .. shared.name) or 0) + 1
    task:set_var("number:" .. shared.name, number)
    local mark = met and "j" or " "
    task.state:put(side.definition.name, one.key, one.time, number, mark .. encode(side.definition.codec, one.value, one.time))
    closing.note(task, side.closer, one.time)
  end
  for _, one_side in ipairs(shared.sides) do
    if one_side.outer then closing.emit(task, one_side.closer, MOST_AT_ONCE) end
  end
end

-- Two nodes, for the left and the right stream, and the one where pairs come out. kind: "inner", "left" or "outer".
function join.streams(name, window, kind, fn, left, right)
  local output = { kind = "joined", process = forward }
  local function pair_of_right(value, other, key) return fn(other, value, key) end
  local sides = {
    { definition = left, back = window.before, ahead = window.after, outer = kind ~= "inner", pair = fn },
    { definition = right, back = window.after, ahead = window.before, outer = kind == "outer", pair = pair_of_right },
  }
  local shared, nodes = { name = name, sides = sides }, {}
  for i, side in ipairs(sides) do
    side.other = sides[3 - i]
    side.closer = closer_of(name, side, window.grace, output, side.pair)
    side.definition.side = side
    nodes[i] = { kind = "join", stores = { side.definition }, side = side, shared = shared, output = output }
    nodes[i].process = process
  end
  nodes[1].twin, nodes[2].twin = nodes[2], nodes[1]
  return nodes[1], nodes[2], output
end

-- Events older than this are no longer needed.
function join.expired_before(task, node)
  local closer = node.side.closer
  local stream_time = task:var(closer.time)
  if not stream_time then return nil end
  local before = closer.before(stream_time)
  if node.side.outer then before = math.min(before, closing.emitted_before(task, closer)) end
  return before
end

return join
