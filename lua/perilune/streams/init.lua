-- SPDX-License-Identifier: MIT
-- Stream processing: topologies in the words of Kafka Streams, as consumers of a bundle.
--
--   builder.lua     the words; windows.lua: kinds of windows
--   topology.lua    cuts the graph into sub-topologies, each of which is a consumer
--   stateless, aggregate, join, process, closing: nodes
--   task.lua        one partition of a sub-topology at work, without I/O and clock
--   overlay.lua     its state since the last commit, over a backend
--   driver.lua      runs a topology in tests
local Driver = require "perilune.streams.driver"
local topology = require "perilune.streams.topology"
local windows = require "perilune.streams.windows"

local streams = {
  tumbling = windows.tumbling,
  hopping = windows.hopping,
  session = windows.session,
  join_window = windows.join,
}

-- streams.topology(name, function(b) … end)
function streams.topology(name, fn)
  return topology.build(name, fn)
end

-- streams.store(topology, store): the state of a topology of this bundle, as far as its partitions are in this server: an object
-- with get(key), fetch(key, from, to), range(from, to, limit) and all(limit). What the last commit has left; reading may wait.
function streams.store(name, store)
  local made = topology.find(name)
  local definition = made and made.stores[store]
  if not definition then error(("there is no store %s in a topology %s"):format(tostring(store), tostring(name)), 2) end
  return require "perilune.streams.local_state".view(made, definition)
end

-- Runs a topology with a clock of its own and without Kafka: pipe_input, advance_time, read_output, store, counts.
function streams.driver(made, options)
  return Driver.new(made, options)
end

return streams
