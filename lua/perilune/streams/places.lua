-- SPDX-License-Identifier: MIT
-- Where the state of tasks is: a database for each, in a folder of the bundle, or below PERILUNE_STATE_DIR. Which of them are
-- alive in this server stands in a dictionary that all workers share; files of partitions that went elsewhere stay behind.
local core = require "perilune.streams.core"
local shared = require "perilune.shared"

local places = {}

local function dictionary() return shared.dict "perilune.streams" end

local function key_of(topology, sub) return ("%s %d"):format(topology.name, sub.number) end

function places.path(topology, sub, partition)
  local state = os.getenv "PERILUNE_STATE_DIR"
  local root = state and state ~= "" and state .. "/streams" or ".perilune/streams"
  local folder = core.folder(("%s/%s-%d"):format(root, topology.name, sub.number))
  if not folder then
    error("topology " .. topology.name .. ": the bundle has no folder for its state; set PERILUNE_STATE_DIR", 0)
  end
  return ("%s/%d.db"):format(folder, partition)
end

-- The list is changed by compare and set of nobody but its workers, so it is one entry for each partition.
function places.hold(topology, sub, partition)
  local dict, key = dictionary(), key_of(topology, sub)
  dict:set(("%s %d"):format(key, partition), true)
  if (dict:get(key) or 0) <= partition then dict:set(key, partition + 1) end
end

function places.leave(topology, sub, partition)
  dictionary():delete(("%s %d"):format(key_of(topology, sub), partition))
end

-- The partitions whose state is in this server.
function places.held(topology, sub)
  local dict, key, list = dictionary(), key_of(topology, sub), {}
  for partition = 0, (dict:get(key) or 0) - 1 do
    if dict:get(("%s %d"):format(key, partition)) then list[#list + 1] = partition end
  end
  return list
end

return places
