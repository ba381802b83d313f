-- SPDX-License-Identifier: MIT
-- What flows through a topology: a key, a value and a time, and where they come from. Functions of scripts get it as third
-- argument; for them, times are seconds.
local record = {}

-- A record like `from` with another key and value.
function record.with(from, key, value)
  return {
    key = key,
    value = value,
    time = from.time,
    timestamp = from.timestamp,
    window = from.window,
    headers = from.headers,
    topic = from.topic,
    partition = from.partition,
    offset = from.offset,
  }
end

-- The same at another time (milliseconds), in a window (or none).
function record.at(from, key, value, time, window)
  local one = record.with(from, key, value)
  one.time, one.timestamp, one.window = time, time / 1000, window
  return one
end

function record.window(start, stop)
  return { start = start / 1000, stop = stop / 1000, start_ms = start, stop_ms = stop }
end

-- Nodes of a topology: process(node, task, record) handles a record; what comes of it is forwarded to the nodes behind.
function record.forward(node, task, one)
  local children = node.children
  for i = 1, #children do
    local child = children[i]
    child.process(child, task, one)
  end
end

return record
