-- SPDX-License-Identifier: MIT
-- Looking at a store from outside of its topology, over all its partitions that are here.
local record = require "perilune.streams.record"
local serde = require "perilune.streams.serde"
local store = require "perilune.streams.store"

local View = {}
View.__index = View
View.__name = "perilune.streams.store"

-- states: gives a list of what has fetch, get and range of an overlay.
function View.new(definition, states)
  return setmetatable({ definition = definition, states = states }, View)
end

local function check(self, kind, method)
  if (self.definition.kind == "key-value") ~= (kind == "key-value") then
    local other = kind == "key-value" and "fetch" or "get"
    local text = "store %s: %s is not for stores of this kind (%s); use %s"
    error(text:format(self.definition.name, method, self.definition.kind, other), 3)
  end
end

-- The value of a key; nil where there is none here.
function View:get(key)
  check(self, "key-value", "get")
  key = serde.key(key)
  if key == nil then return nil end
  for _, state in ipairs(self.states()) do
    local bytes = state:get(self.definition.name, key, 0, 0)
    if bytes then return (store.decode(self.definition.codec, bytes)) end
  end
end

local function window_of(definition, entry)
  if definition.kind == "session" then return record.window(entry.t2, entry.t1) end
  return record.window(entry.t1, entry.t1 + definition.window.size)
end

-- The windows of a key that begin (sessions: that end) between two times in seconds, both included; nil is open:
-- a list of { key, window = { start, stop }, value }.
function View:fetch(key, from, to)
  check(self, "window", "fetch")
  key = serde.key(key)
  if key == nil then return {} end
  from = from and serde.milliseconds(from) or math.mininteger
  to = to and serde.milliseconds(to) or math.maxinteger
  for _, state in ipairs(self.states()) do
    local found = {}
    for i, entry in ipairs(state:fetch(self.definition.name, key, from, to)) do
      local value = store.decode(self.definition.codec, entry.value)
      found[i] = { key = key, window = window_of(self.definition, entry), value = value }
    end
    if found[1] then return found end
  end
  return {}
end

-- Entries in the order of keys, from one key to another (both included; nil is open), at most `limit` (1000):
-- a list of { key, value }, with `window` where the store has windows.
function View:range(from, to, limit)
  local all = {}
  limit = limit or 1000
  from, to = serde.key(from), serde.key(to)
  for _, state in ipairs(self.states()) do
    for _, entry in ipairs(state:range(self.definition.name, from, to, limit)) do
      local value = store.decode(self.definition.codec, entry.value)
      all[#all + 1] = { key = entry.key, value = value, t1 = entry.t1, t2 = entry.t2 }
      if self.definition.kind ~= "key-value" then all[#all].window = window_of(self.definition, entry) end
    end
  end
  table.sort(all, function(a, b)
    if a.key ~= b.key then return a.key < b.key end
    return a.t1 < b.t1 or (a.t1 == b.t1 and a.t2 < b.t2)
  end)
  for i = #all, 1, -1 do
    if i > limit then all[i] = nil else all[i].t1, all[i].t2 = nil, nil end
  end
  return all
end

-- The first `limit` (1000) entries.
function View:all(limit)
  return self:range(nil, nil, limit)
end

return View
