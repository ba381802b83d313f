-- SPDX-License-Identifier: MIT
-- Nodes without state. Each constructor gives a node's fields; `fn` is the script's, called as fn(value, key, record).
local errors = require "perilune.errors"
local record = require "perilune.streams.record"
local serde = require "perilune.streams.serde"

local forward, with = record.forward, record.with

local stateless = { TIME = "perilune-time" }

function stateless.filter(fn, wanted)
  return {
    kind = "filter",
    process = function(node, task, one)
      if (not fn(one.value, one.key, one)) ~= wanted then forward(node, task, one) end
    end,
  }
end

-- A table without the entries that fn does not want: those are deleted behind it.
function stateless.filter_table(fn, wanted)
  return {
    kind = "filter",
    process = function(node, task, one)
      local keep = one.value ~= nil and (not fn(one.value, one.key, one)) ~= wanted
      forward(node, task, keep and one or with(one, one.key, nil))
    end,
  }
end

local function mapped(one, ...)
  local value, key = ...
  if select("#", ...) < 2 then key = one.key else key = serde.key(key) end
  return with(one, key, value)
end

-- fn returns a value, or a value and a key.
function stateless.map(fn)
  return {
    kind = "map",
    process = function(node, task, one)
      forward(node, task, mapped(one, fn(one.value, one.key, one)))
    end,
  }
end

function stateless.map_values(fn)
  return {
    kind = "map_values",
    process = function(node, task, one)
      forward(node, task, with(one, one.key, (fn(one.value, one.key, one))))
    end,
  }
end

-- The same for a table, where nothing is made of a deletion.
function stateless.map_table(fn)
  return {
    kind = "map_values",
    process = function(node, task, one)
      local value = one.value
      if value ~= nil then value = fn(value, one.key, one) end
      forward(node, task, with(one, one.key, value))
    end,
  }
end

function stateless.select_key(fn)
  return {
    kind = "select_key",
    process = function(node, task, one)
      forward(node, task, with(one, serde.key((fn(one.value, one.key, one))), one.value))
    end,
  }
end

local function list_of(name, list)
  if type(list) ~= "table" then
    error(errors.internal(("%s: a list is expected, got a %s"):format(name, type(list))))
  end
  return list
end

-- fn returns a list of { key = …, value = … }; without key: that of the record.
function stateless.flat_map(fn)
  return {
    kind = "flat_map",
    process = function(node, task, one)
      for _, pair in ipairs(list_of("flat_map", fn(one.value, one.key, one))) do
        local key = one.key
        if pair.key ~= nil then key = serde.key(pair.key) end
        forward(node, task, with(one, key, pair.value))
      end
    end,
  }
end

-- fn returns a list of values.
function stateless.flat_map_values(fn)
  return {
    kind = "flat_map_values",
    process = function(node, task, one)
      for _, value in ipairs(list_of("flat_map_values", fn(one.value, one.key, one))) do
        forward(node, task, with(one, one.key, value))
      end
    end,
  }
end

function stateless.peek(fn)
  return {
    kind = "peek",
    process = function(node, task, one)
      fn(one.value, one.key, one)
      forward(node, task, one)
    end,
  }
end

-- Hands a record to the first branch whose predicate wants it, or to the one behind all of them. The branches are its children.
function stateless.branch(predicates)
  return {
    kind = "branch",
    process = function(node, task, one)
      local chosen = #predicates + 1
      for i, predicate in ipairs(predicates) do
        if predicate(one.value, one.key, one) then
          chosen = i
          break
        end
      end
      local child = node.children[chosen]
      child.process(child, task, one)
    end,
  }
end

-- Records of several streams, or a place to hang others on.
function stateless.pass(kind)
  return { kind = kind, process = forward }
end

-- Those of the event, and the window. Kafka has no times before 1970: within a topology a header has them.
local function headers_of(one, internal)
  local early = internal and one.time < 0
  if not one.window and not early then return one.headers end
  local headers = {}
  for name, value in pairs(one.headers or {}) do headers[name] = value end
  if early then headers[stateless.TIME] = tostring(one.time) end
  if one.window then
    headers["perilune-window-start"] = tostring(one.window.start_ms)
    headers["perilune-window-end"] = tostring(one.window.stop_ms)
  end
  return headers
end

-- To a topic; internal: one of the topology's own, where the record comes back.
function stateless.sink(topic, options)
  local codec = serde.of(options)
  return {
    kind = "sink",
    topic = topic,
    codec = codec,
    process = function(_, task, one)
      local key = one.key
      if options.key then key = serde.key(options.key(one.value, one.key, one)) end
      if options.internal and key == nil then
        task:count "no_key"
        return
      end
      local headers = options.headers and options.headers(one.value, one.key, one)
      task:emit {
        topic = type(topic) == "function" and topic(one.value, one.key, one) or topic,
        key = key,
        value = codec.encode(one.value),
        headers = headers or headers_of(one, options.internal),
        time = one.time,
        partition = options.partition and options.partition(one.value, one.key, one) or nil,
      }
    end,
  }
end

return stateless
