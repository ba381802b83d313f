-- SPDX-License-Identifier: MIT
-- Deduplication of events: the option `deduplicate` of a consumer. Its handler runs inside of a transaction, which begins with a
-- row for the event's id: an event whose row is there was handled, and is skipped; a handler that fails takes its row back.
local errors = require "perilune.errors"
local log = require "perilune.log"
local metrics = require "perilune.metrics"
local sqlite = require "perilune.sqlite"
local time = require "perilune.time"

local inbox = {}

local PRUNE_EVERY, PRUNE_MOST = 50, 200 -- so rows go faster than they come, and no transaction pays for many
local LONGEST_ID = 1024

local OPTIONS = { by = true, within = true, database = true }

local TABLES = [[
  CREATE TABLE IF NOT EXISTS perilune_inbox (
    consumer TEXT NOT NULL,
    topic TEXT NOT NULL,
    id TEXT NOT NULL,
    at REAL NOT NULL,
    UNIQUE (consumer, topic, id));
  CREATE INDEX IF NOT EXISTS perilune_inbox_age ON perilune_inbox (consumer, topic, at)]]
-- An id that is older than the window is as if it were new.
local ENTER = [[
  INSERT INTO perilune_inbox (consumer, topic, id, at) VALUES (:consumer, :topic, :id, :now)
  ON CONFLICT (consumer, topic, id) DO UPDATE SET at = excluded.at WHERE at < :oldest]]
local LEAVE = "DELETE FROM perilune_inbox WHERE consumer = :consumer AND topic = :topic AND id = :id"
local PRUNE = [[
  DELETE FROM perilune_inbox WHERE rowid IN (
    SELECT rowid FROM perilune_inbox WHERE consumer = ? AND topic = ? AND at < ? ORDER BY at LIMIT ?)]]

local function wrong(what) error("deduplicate" .. what, 0) end

-- function(event, msg) → the id, from `by`.
local function reader_of(by)
  if by == nil then by = "id" end
  if type(by) == "function" then return by, "the function `by`" end
  if type(by) == "string" and by ~= "" then
    return function(event) return type(event) == "table" and event[by] or nil end, ("its field %q"):format(by)
  end
  local header = type(by) == "table" and by.header
  if type(header) ~= "string" then
    wrong ".by must be the name of a field of the event, a function(event, msg), or { header = \"perilune-id\" }"
  end
  return function(_, msg) return msg.headers[header] end, ("its header %q"):format(header)
end

local function opener_of(database)
  if database == nil then return sqlite.open end
  if type(database) == "string" then return function() return sqlite.open(database) end end
  if type(database) == "function" then return database end
  if type(database) ~= "userdata" then wrong ".database must be a database of sqlite.open, a path, or a function" end
  return function() return database end
end

local function check(declaration)
  local options = declaration.deduplicate
  if options == true then options = {} end
  if type(options) ~= "table" then wrong " must be a table { by = \"id\", within = 3600 }, or true" end
  for name in pairs(options) do
    if not OPTIONS[name] then wrong(": there is no option " .. tostring(name)) end
  end
  local within = options.within or 3600
  if math.type(within) == nil or within <= 0 or within ~= within then wrong ".within must be a number of seconds" end
  if type(declaration.handler) ~= "function" then wrong ": the consumer has no handler" end
  return options, within
end

-- Consumers of several processes have one table: it is made once for each state, and when it has gone.
local function make_tables(db) db:exec_script(TABLES) end

local Inbox = {}
Inbox.__index = Inbox

function Inbox:database()
  local db = self.open()
  if db ~= self.ready then
    if not db:value "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'perilune_inbox'" then make_tables(db) end
    self.ready = db
  end
  return db
end

-- The row of an event, or nil and an error that no other attempt will mend.
function Inbox:row(event, msg)
  local id = self.read(event, msg)
  local kind = math.type(id) or type(id)
  if kind == "string" and id ~= "" and #id <= LONGEST_ID or kind == "integer" then
    local now = time.now()
    return { consumer = self.consumer, topic = msg.topic, id = tostring(id), now = now, oldest = now - self.within }
  end
  local what = id == nil and "none" or kind == "string" and (id == "" and "empty" or "too long") or "a " .. kind
  return nil, errors.invalid_argument(("the event cannot be deduplicated: %s must be an id, it is %s"):format(self.source, what))
end

local function enter(tx, row) return tx:exec(ENTER, row).changes > 0 end

local function leave(tx, row) tx:exec(LEAVE, { consumer = row.consumer, topic = row.topic, id = row.id }) end

function Inbox:prune(tx, topic)
  self.count = self.count + 1
  if self.count % PRUNE_EVERY == 1 then tx:exec(PRUNE, self.consumer, topic, time.now() - self.within, PRUNE_MOST) end
end

local duplicates = metrics.counter("inbox_duplicates_total", "Events that were skipped, as their ids were there.",
  { "group", "topic" })

local function skipped(row, msg)
  duplicates:add(1, { group = row.consumer, topic = row.topic })
  log.debug("duplicate event skipped", { group = row.consumer, topic = row.topic, id = row.id, partition = msg.partition,
    offset = msg.offset })
end

-- Runs fn(tx) with the transaction in ctx.
local function inside(self, ctx, fn)
  return self:database():transaction(function(tx)
    ctx.tx, ctx.db = tx, tx
    local result = fn(tx)
    ctx.tx, ctx.db = nil, nil
    return result
  end)
end

local function one(self, handler)
  return function(event, msg, ctx)
    local row, why = self:row(event, msg)
    if not row then error(why) end
    return inside(self, ctx, function(tx)
      if not enter(tx, row) then return skipped(row, msg) end
      self:prune(tx, row.topic)
      return handler(event, msg, ctx)
    end)
  end
end

-- What a handler says of the events that it was given ({ [3] = error }), for those that came.
local function tell(tx, failures, given, rows, places)
  if type(failures) ~= "table" then return end
  for i, failure in pairs(failures) do
    local place = places[i]
    if place then
      given[place] = failure
      leave(tx, rows[i])
    end
  end
end

local function several(self, handler)
  return function(events, msgs, ctx)
    return inside(self, ctx, function(tx)
      local fresh, fresh_msgs, rows, places, failures = {}, {}, {}, {}, {}
      for i, msg in ipairs(msgs) do
        local row, why = self:row(events[i], msg)
        if not row then
          failures[i] = why
        elseif enter(tx, row) then
          local n = #places + 1
          fresh[n], fresh_msgs[n], rows[n], places[n] = events[i], msg, row, i
          self:prune(tx, row.topic)
        else
          skipped(row, msg)
        end
      end
      if #places > 0 then tell(tx, handler(fresh, fresh_msgs, ctx), failures, rows, places) end
      return next(failures) and failures or nil
    end)
  end
end

-- inbox.wrap(declaration): the consumer's declaration with a handler that deduplicates, and without the option.
function inbox.wrap(declaration)
  local options, within = check(declaration)
  local read, source = reader_of(options.by)
  local self = setmetatable({
    consumer = declaration.group or "", read = read, source = source, open = opener_of(options.database), within = within,
    count = 0,
  }, Inbox)
  local wrapped = {}
  for name, value in pairs(declaration) do wrapped[name] = value end
  wrapped.deduplicate = nil
  wrapped.handler = (declaration.batch and several or one)(self, declaration.handler)
  return wrapped
end

return inbox
