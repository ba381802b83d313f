-- SPDX-License-Identifier: MIT
-- The state of topologies in this server, for whoever wants to look at it: read from the databases of all workers' tasks.
local Backend = require "perilune.streams.backend"
local Overlay = require "perilune.streams.overlay"
local View = require "perilune.streams.view"
local places = require "perilune.streams.places"

local local_state = {}

local function sub_of(topology, definition)
  for _, sub in ipairs(topology.subs) do
    for _, one in ipairs(sub.stores) do
      if one == definition then return sub end
    end
  end
end

function local_state.view(topology, definition)
  local sub = sub_of(topology, definition)
  return View.new(definition, function()
    local states = {}
    for i, partition in ipairs(places.held(topology, sub)) do
      states[i] = Overlay.new(Backend.open(places.path(topology, sub, partition), sub.stores))
    end
    return states
  end)
end

return local_state
