-- SPDX-License-Identifier: MIT
-- The changelog of a task: one partition of a compacted topic. A commit is a batch of entries and, behind them, a marker:
--
--   entry    key: store, NUL, t1, t2 (8 bytes each), key of the entry; value: the entry's, or none; header b: the batch
--   marker   key: NUL; value: JSON { id = batch, previous = batch before it, number = of that + 1,
--            positions = { topic = next offset }, failed }
--
-- Only batches with a marker count: what a writer that died has left unfinished is passed over, and so is what one has written
-- that did not know yet that the partition is another's (its marker has another previous batch). Compaction keeps of each key the
-- latest record, so of the markers a last part: the entries in front of the first one that is left are all taken. Therefore an
-- entry that does not count may not stay the latest of its key: who finds one (`strays`) writes what does count behind it. The
-- first marker that is left may be one that did not count. The next one that does has a greater number: who does not know that
-- the partition is another's counts on from a batch before that one's first.
local json = require "perilune.json"

local changelog = {}

local MARKER = "\0"
local pack, unpack = string.pack, string.unpack

function changelog.entry(change, batch)
  return {
    key = pack("zi8i8", change.store, change.t1, change.t2) .. change.key,
    value = change.value or nil,
    headers = { b = batch },
  }
end

-- number: of the batch before it, or nil; failed: a text that goes along.
function changelog.marker(batch, previous, number, positions, failed)
  local value = {
    id = batch, previous = previous, number = (number or 0) + 1, positions = positions, failed = failed or "{}",
  }
  return { key = MARKER, value = json.encode(value), headers = { b = batch } }
end

local function read_entry(msg)
  local store, t1, t2, at = unpack("zi8i8", msg.key)
  return { store = store, t1 = t1, t2 = t2, key = msg.key:sub(at), value = msg.value or false, offset = msg.offset }
end

local function place_of(change) return pack("zi8i8", change.store, change.t1, change.t2) .. change.key end

-- Reading it back ------------------------------------------------------------------------------------------------------------
local Restorer = {}
Restorer.__index = Restorer

local MOST = 2000 -- changes that are kept before they are applied

-- Where to read from: backend.mark "offset" is behind the marker of batch backend.mark "batch". A restore that was not finished
-- begins anew. An offset that is behind the end (of the changelog) is of another log.
function changelog.restorer(backend, log_end)
  local batch, offset = backend.mark "batch", backend.mark "offset"
  if backend.mark "restoring" == 1 or (offset and offset > log_end) then
    backend.clear()
    batch, offset = nil, nil
  end
  local self = setmetatable({ backend = backend, batches = {}, ready = {}, at = {}, strays = {}, restored = 0 }, Restorer)
  self.last, self.seen, self.local_state, self.offset, self.positions = batch, batch ~= nil, batch ~= nil, offset, {}
  return self, offset or 0
end

-- Later changes of a place replace earlier ones.
local function add(self, change)
  local place = place_of(change)
  local i, stray = self.at[place], self.strays[place]
  if stray and stray.offset < change.offset then self.strays[place] = nil end
  if not i then
    i = #self.ready + 1
    self.at[place] = i
  end
  self.ready[i] = change
  self.restored = self.restored + 1
end

local function apply(self)
  local marks = { restoring = 1 }
  if self.seen then
    marks = { batch = self.last, number = self.number, offset = self.offset, failed = self.failed, restoring = 0 }
  end
  self.backend.apply(self.ready, self.positions, marks)
  self.ready, self.at = {}, {}
end

-- Entries of a batch that does not count.
local function pass_over(self, list)
  for _, change in ipairs(list or {}) do
    local place = place_of(change)
    local at = self.at[place]
    if not at or self.ready[at].offset < change.offset then self.strays[place] = change end
  end
end

local function take_marker(self, msg)
  local marker = json.decode(msg.value)
  local number = marker.number or 0
  local is_next = not self.seen or marker.previous == self.last
  if self.is_first and not is_next and number > self.number then is_next = true end
  if not is_next then
    pass_over(self, self.batches[marker.id])
    self.batches[marker.id] = nil
    return self.local_state
  end
  for id, list in pairs(self.batches) do
    if id ~= marker.id then pass_over(self, list) end
  end
  for _, change in ipairs(self.batches[marker.id] or {}) do add(self, change) end
  self.batches, self.local_state = {}, false
  self.is_first, self.number = not self.seen, number
  self.seen, self.last, self.positions, self.offset = true, marker.id, marker.positions, msg.offset + 1
  self.failed = marker.failed
  if #self.ready >= MOST then apply(self) end
end

-- One record of the changelog, in the order of offsets. True: the state that is here does not go with the changelog, as markers
-- between both were compacted away; clear the backend, and begin anew.
function Restorer:take(msg)
  if msg.key == MARKER then return take_marker(self, msg) end
  local change, batch = read_entry(msg), msg.headers and msg.headers.b or ""
  if not self.seen then
    add(self, change)
    if #self.ready >= MOST then apply(self) end
    return
  end
  local list = self.batches[batch]
  if not list then
    list = {}
    self.batches[batch] = list
  end
  list[#list + 1] = change
end

-- The end of the changelog. How many changes there were, and the places whose latest entry does not count: a list of
-- { store, key, t1, t2 }.
function Restorer:finish()
  for _, list in pairs(self.batches) do pass_over(self, list) end
  local strays = {}
  for _, change in pairs(self.strays) do strays[#strays + 1] = change end
  if self.seen then
    apply(self)
    return self.restored, strays
  end
  self.backend.clear() -- no batch was ever finished
  return 0, strays
end

return changelog
