-- SPDX-License-Identifier: MIT
-- A topology is cut at the topics in it (its own ones, for repartitioning, too) into *sub-topologies*: each is a group of nodes
-- that share records or state. A task is one partition of a sub-topology.
local Builder = require "perilune.streams.builder"

local topology = {}
local known = {}

-- Which nodes belong together: a forest with the smallest node of a group at its root.
local function find(parent, i)
  while parent[i] ~= i do
    parent[i] = parent[parent[i]]
    i = parent[i]
  end
  return i
end

local function unite(parent, a, b)
  a, b = find(parent, a), find(parent, b)
  parent[math.max(a, b)] = math.min(a, b)
end

local function groups_of(nodes)
  local parent, holder = {}, {}
  for i in ipairs(nodes) do parent[i] = i end
  for i, node in ipairs(nodes) do
    for _, child in ipairs(node.children) do unite(parent, i, child.id) end
    for _, related in ipairs { node.twin or node, node.output or node, node.final or node, node.needs or node } do
      unite(parent, i, related.id)
    end
    for _, definition in ipairs(node.stores or {}) do
      if holder[definition] then unite(parent, i, holder[definition]) end
      holder[definition] = i
    end
  end
  return parent
end

local function add_to(sub, node, done)
  if node.kind == "source" then
    sub.sources[node.topic] = node
    sub.topics[#sub.topics + 1] = node.topic
  elseif node.kind == "process" then
    sub.processors[#sub.processors + 1] = node
  end
  local closer = (node.final and node.final.used and node.final.closer) or (node.side and node.side.outer and node.side.closer)
  if closer then sub.closers[#sub.closers + 1] = closer end
  if node.final or node.side then sub.expiring[#sub.expiring + 1] = node end
  for _, definition in ipairs(node.stores or {}) do
    if not done[definition] then sub.stores[#sub.stores + 1] = definition end
    done[definition] = true
  end
end

-- Sub-topologies in the order of their first nodes.
local function cut(name, nodes)
  local parent, subs, by_root, done = groups_of(nodes), {}, {}, {}
  for i, node in ipairs(nodes) do
    local root = find(parent, i)
    local sub = by_root[root]
    if not sub then
      sub = { topology = name, topics = {}, sources = {}, stores = {}, processors = {}, closers = {}, expiring = {} }
      by_root[root], sub.number = sub, #subs + 1
      subs[sub.number] = sub
    end
    node.sub = sub
    add_to(sub, node, done)
  end
  for _, sub in ipairs(subs) do
    if #sub.stores > 0 or #sub.processors > 0 then sub.changelog = ("%s-changelog-%d"):format(name, sub.number) end
  end
  return subs
end

-- topology.build(name, function(b) … end): { name, subs, sinks, sources }
function topology.build(name, fn)
  if type(name) ~= "string" or not name:find "^[%w._-]+$" then
    error("streams.topology: its name may have letters, digits, '.', '_' and '-'", 3)
  end
  if type(fn) ~= "function" then error("streams.topology: a name and a function(b) are expected", 3) end
  local builder = Builder.new(name)
  fn(builder)
  if not next(builder.sources) then error(("topology %s reads no topic: b:stream and b:table do"):format(name), 3) end
  local made = { name = name, subs = cut(name, builder.nodes), sinks = builder.sinks, sources = builder.sources }
  made.stores = builder.stores
  known[name] = made
  return made
end

-- One that was built in this state.
function topology.find(name)
  return known[name]
end

return topology
