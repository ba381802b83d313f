-- SPDX-License-Identifier: MIT
-- Stores as nodes use them, over the bytes of an overlay. Each value has a time of its own: the latest of the events in it.
local errors = require "perilune.errors"
local serde = require "perilune.streams.serde"

local pack, unpack = string.pack, string.unpack

local store = {}

function store.encode(codec, value, time)
  return pack(">i8", time) .. codec.encode(value)
end

function store.decode(codec, bytes)
  if bytes == nil then return nil end
  local time = unpack(">i8", bytes)
  return codec.decode(bytes:sub(9)), time
end

-- A definition is { name, kind = "key-value" | "window" | "session" | "join", codec, window }:
--   key-value   t1 = t2 = 0
--   window      t1 = start of the window
--   session     t1 = time of its last event, t2 = of its first one
--   join        t1 = time of the event, t2 = a number
local KeyValue = {}
KeyValue.__index = KeyValue

-- What process functions of scripts use: a store of keys and values.
function store.key_value(task, definition)
  return setmetatable({ task = task, definition = definition }, KeyValue)
end

local function key_of(self, key)
  key = serde.key(key)
  if key ~= nil then return key end
  error(errors.invalid_argument(("store %s: there is no entry without a key"):format(self.definition.name)))
end

function KeyValue:get(key)
  return (store.decode(self.definition.codec, self.task.state:get(self.definition.name, key_of(self, key), 0, 0)))
end

function KeyValue:put(key, value)
  local bytes = value ~= nil and store.encode(self.definition.codec, value, self.task.now or 0) or nil
  self.task.state:put(self.definition.name, key_of(self, key), 0, 0, bytes)
end

function KeyValue:delete(key)
  self:put(key, nil)
end

local PAGE = 500

-- for key, value in store:range(from, to): both ends are included; nil is open.
function KeyValue:range(from, to)
  local page, at = nil, 0
  from, to = serde.key(from), serde.key(to)
  return function()
    at = at + 1
    if not page or (at > #page and #page == PAGE) then
      if page then from = page[#page].key .. "\0" end
      page, at = self.task.state:range(self.definition.name, from, to, PAGE), 1
    end
    local entry = page[at]
    if entry then return entry.key, (store.decode(self.definition.codec, entry.value)) end
  end
end

function KeyValue:all()
  return self:range()
end

return store
