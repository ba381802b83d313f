-- SPDX-License-Identifier: MIT
-- The writes of a task since its last commit, over what its backend holds. A state is a set of stores; an entry of one has a key
-- (bytes), two numbers t1 and t2 (0 in key-value stores, times and counters in others) and a value (bytes).
-- Entries with the same key are in the order of t1, t2; stores with times can be walked in the order of t1, key, t2, too.
--
-- A backend has these functions, each of which may wait (none of them sees writes that were not applied):
--   get(store, key, t1, t2) → value or nil           fetch(store, key, from_t1, to_t1) → list of { t1, t2, value }
--   range(store, from_key, to_key, limit) → list of { key, t1, t2, value } in the order of keys; both ends included, nil: open
--   by_time(store, after, before, limit) → list of { key, t1, t2, value } behind the position `after` with t1 < before
--   apply(changes, positions, marks): all of it, or nothing
local Overlay = {}
Overlay.__index = Overlay

local EMPTY = {}

-- What holds nothing: everything stays in the overlay.
local nothing = {
  get = function() end,
  fetch = function() return EMPTY end,
  range = function() return EMPTY end,
  by_time = function() return EMPTY end,
  apply = function() error "a state without a backend is not committed" end,
}

function Overlay.new(backend)
  return setmetatable({ backend = backend or nothing, stores = {}, count = 0, bytes = 0, journal = nil }, Overlay)
end

local function store_of(self, name)
  local store = self.stores[name]
  if not store then
    store = { keys = {}, times = {}, at = {} }
    self.stores[name] = store
  end
  return store
end

-- The place of t1, t2 in a list of entries with one key; whether it is there.
local function place(list, t1, t2)
  local low, high = 1, #list + 1
  while low < high do
    local middle = (low + high) // 2
    local e = list[middle]
    if e.t1 < t1 or (e.t1 == t1 and e.t2 < t2) then low = middle + 1 else high = middle end
  end
  local e = list[low]
  return low, e ~= nil and e.t1 == t1 and e.t2 == t2
end

-- The first place in a sorted list of numbers that is not below t.
local function first_at(times, t)
  local low, high = 1, #times + 1
  while low < high do
    local middle = (low + high) // 2
    if times[middle] < t then low = middle + 1 else high = middle end
  end
  return low
end

local function note_time(store, entry)
  local at = store.at[entry.t1]
  if not at then
    at = {}
    store.at[entry.t1] = at
    table.insert(store.times, first_at(store.times, entry.t1), entry.t1)
  end
  at[#at + 1] = entry
end

-- value: nil deletes.
function Overlay:put(name, key, t1, t2, value)
  local store = store_of(self, name)
  local list = store.keys[key]
  if not list then
    list = {}
    store.keys[key] = list
  end
  local i, there = place(list, t1, t2)
  local entry = list[i]
  if not there then
    entry = { key = key, t1 = t1, t2 = t2, value = nil }
    table.insert(list, i, entry)
    note_time(store, entry)
    self.count = self.count + 1
    self.bytes = self.bytes + #key + 200
  end
  if self.journal then
    self.journal[#self.journal + 1] = entry
    self.journal[#self.journal + 1] = entry.value == nil and EMPTY or entry.value
  end
  self.bytes = self.bytes + (value and #value or 0) - (entry.value and #entry.value or 0)
  entry.value = value or false -- nil: nothing is known here; false: deleted
end

function Overlay:get(name, key, t1, t2)
  local store = self.stores[name]
  local list = store and store.keys[key]
  if list then
    local i, there = place(list, t1, t2)
    local value = there and list[i].value
    if there and value ~= nil then return value or nil end
  end
  return self.backend.get(name, key, t1, t2)
end

-- Merges two sorted lists; an entry of `over` hides one of `under` in the same place. before(a, b): a stands before b.
local function merge(under, over, before, limit)
  local merged, i, k = {}, 1, 1
  while #merged < limit do
    local u, o = under[i], over[k]
    if not u and not o then break end
    if o and (not u or not before(u, o)) then
      if u and not before(o, u) then i = i + 1 end
      if o.value then merged[#merged + 1] = o end
      k = k + 1
    else
      merged[#merged + 1] = u
      i = i + 1
    end
  end
  return merged
end

local function before_in_key(a, b)
  return a.t1 < b.t1 or (a.t1 == b.t1 and a.t2 < b.t2)
end

local function before_by_key(a, b)
  if a.key ~= b.key then return a.key < b.key end
  return before_in_key(a, b)
end

local function before_by_time(a, b)
  if a.t1 ~= b.t1 then return a.t1 < b.t1 end
  if a.key ~= b.key then return a.key < b.key end
  return a.t2 < b.t2
end

-- Entries of the key with from <= t1 <= to.
function Overlay:fetch(name, key, from, to)
  local store, over = self.stores[name], {}
  local list = store and store.keys[key] or EMPTY
  for i = place(list, from, math.mininteger), #list do
    local e = list[i]
    if e.t1 > to then break end
    if e.value ~= nil then over[#over + 1] = e end
  end
  local under = self.backend.fetch(name, key, from, to)
  if #under == 0 and #over == 0 then return EMPTY end
  return merge(under, over, before_in_key, math.huge)
end

-- Entries in the order of keys, at most limit of them.
function Overlay:range(name, from, to, limit)
  local store, over, hidden = self.stores[name], {}, 0
  for key, list in pairs(store and store.keys or EMPTY) do
    if (not from or key >= from) and (not to or key <= to) then
      for _, e in ipairs(list) do
        if e.value ~= nil then over[#over + 1] = e end
        if e.value == false then hidden = hidden + 1 end
      end
    end
  end
  table.sort(over, before_by_key)
  return merge(self.backend.range(name, from, to, limit + hidden), over, before_by_key, limit)
end

-- last: nil, or the last position that is wanted.
local function over_by_time(store, after, last, before)
  local over = {}
  for i = after and first_at(store.times, after.t1) or 1, #store.times do
    local t1 = store.times[i]
    if t1 >= before or (last and t1 > last.t1) then break end
    local part = {}
    for _, e in ipairs(store.at[t1]) do
      local inside = (not after or before_by_time(after, e)) and not (last and before_by_time(last, e))
      if inside and e.value ~= nil then part[#part + 1] = e end
    end
    table.sort(part, before_by_time)
    table.move(part, 1, #part, #over + 1, over)
  end
  return over
end

-- Entries behind the position `after` (an entry; nil: from the beginning) with t1 < before, in the order of t1, key, t2: a list,
-- of about limit, and the position to go on from; nil where there is nothing more.
function Overlay:by_time(name, after, before, limit)
  local under = self.backend.by_time(name, after, before, limit)
  local store, last = self.stores[name], #under >= limit and under[#under] or nil
  local over = store and over_by_time(store, after, last, before) or EMPTY
  return merge(under, over, before_by_time, math.huge), last
end

-- The smallest t1 of an entry that is at least `from`; nil where there is none.
function Overlay:first_time(name, from)
  local store, first = self.stores[name], nil
  for i = store and first_at(store.times, from) or 1, store and #store.times or 0 do
    for _, e in ipairs(store.at[store.times[i]]) do
      if e.value then first = store.times[i] end
    end
    if first then break end
  end
  local under = self.backend.by_time(name, { t1 = from, key = "", t2 = math.mininteger }, math.maxinteger, 1)[1]
  if under and (not first or under.t1 < first) then return under.t1 end
  return first
end

-- Undoing: what was written since begin is as if it had not been.
function Overlay:begin()
  self.journal = {}
end

function Overlay:keep()
  self.journal = nil
end

function Overlay:undo()
  local journal = self.journal or EMPTY
  for i = #journal - 1, 1, -2 do
    local entry, old = journal[i], journal[i + 1]
    if old == EMPTY then old = nil end
    self.bytes = self.bytes + (old and #old or 0) - (entry.value and #entry.value or 0)
    entry.value = old
  end
  self.journal = nil
end

-- All writes, as a list of { store, key, t1, t2, value or false }.
function Overlay:changes()
  local names, changes = {}, {}
  for name in pairs(self.stores) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do
    local first = #changes + 1
    for _, list in pairs(self.stores[name].keys) do
      for _, e in ipairs(list) do
        if e.value ~= nil then changes[#changes + 1] = { store = name, key = e.key, t1 = e.t1, t2 = e.t2, value = e.value } end
      end
    end
    local part = table.move(changes, first, #changes, 1, {})
    table.sort(part, before_by_key)
    table.move(part, 1, #part, first, changes)
  end
  return changes
end

function Overlay:clear()
  self.stores, self.count, self.bytes, self.journal = {}, 0, 0, nil
end

return Overlay
