-- SPDX-License-Identifier: MIT
-- A projection: tables that follow the events of a store, with the position up to which they do in the same transaction.
--
-- Its tables are written {name}. Each rebuild makes a new generation of them (name__2), which is filled from the first event on
-- while the one before stays; the view `name` is the generation that is live, and changes when the new one has caught up.
local errors = require "perilune.errors"
local log = require "perilune.log"
local metrics = require "perilune.metrics"
local time = require "perilune.time"

local Projection = {}
Projection.__index = Projection
Projection.__name = "perilune.sourcing.projection"

local OPTIONS = { name = true, version = true, tables = true, project = true, inline = true }

local BATCH, ROUNDS = 100, 20
local LONGEST_PAUSE = 30

local behind = metrics.gauge("projection_behind", "Positions that a projection has not followed yet.", { "projection" },
  { merge = "max" })
local failures = metrics.counter("projection_failures_total", "How often a projection has failed.", { "projection" })

local function wrong(name, what) error(("sourcing.projection %s: %s"):format(tostring(name), what), 3) end

local function projection(options)
  if type(options) ~= "table" or type(options.name) ~= "string" or options.name == "" then
    error("sourcing.projection: a table with a name is expected", 2)
  end
  local name = options.name
  for option in pairs(options) do
    if not OPTIONS[option] then wrong(name, "there is no option " .. tostring(option)) end
  end
  if type(options.project) ~= "table" then wrong(name, "project must be { EventType = function(db, event, record) … end }") end
  if options.version ~= nil and math.type(options.version) ~= "integer" then wrong(name, "version must be an integer") end
  local names, seen = {}, {}
  for table_ in (options.tables or ""):gmatch "{([%a_][%w_]*)}" do
    if not seen[table_] then names[#names + 1], seen[table_] = table_, true end
  end
  if options.tables and #names == 0 then wrong(name, "its tables must be written {name}: CREATE TABLE {balances} (…)") end
  return setmetatable({
    name = name, version = options.version or 1, tables = options.tables, names = names, handlers = options.project,
    inline = options.inline or false, pause = 0, not_before = 0, careful = 0,
  }, Projection)
end

-- Tables -----------------------------------------------------------------------------------------------------------------------

local function physical(name, generation) return ("%s__%d"):format(name, generation) end

function Projection:resolve(sql, generation)
  return (sql:gsub("{([%a_][%w_]*)}", function(name) return physical(name, generation) end))
end

-- What handlers get: a transaction that knows the tables' names.
local Tables = {}
Tables.__index = Tables
for _, method in ipairs { "query", "first", "value", "exec" } do
  Tables[method] = function(self, sql, ...)
    return self.tx[method](self.tx, self.projection:resolve(sql, self.generation), ...)
  end
end

local function tables_of(self, tx, generation)
  return setmetatable({ tx = tx, projection = self, generation = generation }, Tables)
end

local function make_generation(self, tx, generation, live)
  if self.tables then tx:exec_script(self:resolve(self.tables, generation)) end
  tx:exec("INSERT INTO perilune_projections (name, generation, version, live) VALUES (?, ?, ?, ?)", self.name, generation,
    self.version, live)
end

local function drop_generation(self, tx, generation)
  for _, name in ipairs(self.names) do tx:exec("DROP TABLE IF EXISTS " .. physical(name, generation)) end
  tx:exec("DELETE FROM perilune_projections WHERE name = ? AND generation = ?", self.name, generation)
end

local function show(self, tx, generation)
  for _, name in ipairs(self.names) do
    tx:exec("DROP VIEW IF EXISTS " .. name)
    tx:exec(("CREATE VIEW %s AS SELECT * FROM %s"):format(name, physical(name, generation)))
  end
end

local function row_of(self, on, live)
  return on:first("SELECT * FROM perilune_projections WHERE name = ? AND live = ?", self.name, live)
end

-- Makes the first generation.
function Projection:set_up(db)
  if row_of(self, db, 1) then return end
  db:transaction(function(tx)
    if row_of(self, tx, 1) then return end
    make_generation(self, tx, 1, 1)
    show(self, tx, 1)
  end)
end

-- Following events ----------------------------------------------------------------------------------------------------------

-- Hands it the next events; returns whether it has got as many as it may.
local function advance(self, store, tx, row, most)
  local records = store:records(tx, "position > ? ORDER BY position LIMIT ?", row.position, most)
  local tables = tables_of(self, tx, row.generation)
  for _, record in ipairs(records) do
    local handler = record.event and self.handlers[record.type]
    self.at = record
    if handler then handler(tables, record.event, record) end
  end
  self.at = nil
  local last = records[#records]
  if last then
    tx:exec("UPDATE perilune_projections SET position = ?, error = NULL, failed_at = NULL WHERE name = ? AND generation = ?",
      last.position, self.name, row.generation)
  end
  return #records == most
end

local function last_position(on) return on:value "SELECT max(position) FROM perilune_events" or 0 end

local function left_to_newer_code(self, row)
  if self.warned then return end
  self.warned = true
  log.warn("projection is left to newer code", { projection = self.name, version = self.version, newer = row.version })
end

-- A generation to be built, if there is to be one: when the code is of a newer version than the live one, or somebody has asked.
local function begin_build(self, tx, live)
  local building = row_of(self, tx, 0)
  if building and building.version > self.version then
    left_to_newer_code(self, building)
    return nil
  end
  if building and building.version < self.version then
    drop_generation(self, tx, building.generation)
    building = nil
  end
  if building or (live.version == self.version and live.rebuild == 0) then return building end
  local newest = live.generation + 1
  make_generation(self, tx, newest, 0)
  log.info("projection is rebuilt", { projection = self.name, version = self.version, generation = newest })
  return row_of(self, tx, 0)
end

local function go_live(self, tx, live, building)
  show(self, tx, building.generation)
  drop_generation(self, tx, live.generation)
  tx:exec("UPDATE perilune_projections SET live = 1 WHERE name = ? AND generation = ?", self.name, building.generation)
  log.info("projection was rebuilt", { projection = self.name, version = self.version, generation = building.generation })
end

local function step(self, store, tx, most)
  local live = row_of(self, tx, 1)
  if live.version > self.version then
    left_to_newer_code(self, live)
    return false
  end
  local building = begin_build(self, tx, live)
  local more = live.version == self.version and advance(self, store, tx, live, most)
  if not building then return more end
  if advance(self, store, tx, building, most) then return true end
  go_live(self, tx, live, building)
  return false
end

-- The database, not the projection: the next turn will do.
local function is_locked(self, failure) return not self.at and errors.is(failure, "unavailable") end

local function failed(self, db, failure)
  local at = self.at
  self.at = nil
  self.pause = math.min(LONGEST_PAUSE, math.max(1, 2 * self.pause))
  self.not_before = time.monotonic() + self.pause
  failures:add(1, { projection = self.name })
  local text = type(failure) == "table" and failure.message or tostring(failure)
  log.error("projection failed: it waits at this event", {
    projection = self.name, position = at and at.position, type = at and at.type, event = at and at.id, error = text,
  })
  pcall(db.exec, db, "UPDATE perilune_projections SET error = ?, failed_at = ? WHERE name = ?",
    ("at position %d: %s"):format(at and at.position or -1, text), time.now(), self.name)
end

-- Some steps; returns whether there are more to be done.
local function run(self, store, db)
  for _ = 1, ROUNDS do
    local most = self.careful > 0 and 1 or BATCH
    self.at = nil -- an inline projection may have failed in a command
    local ok, more = pcall(db.transaction, db, function(tx) return step(self, store, tx, most) end)
    if ok then
      self.careful = math.max(0, self.careful - 1)
      self.pause = 0
      if not more then return false end
    elseif is_locked(self, more) then
      return false
    elseif most > 1 then
      self.careful = BATCH -- one by one, up to the event that fails
    else
      failed(self, db, more)
      return false
    end
  end
  return true
end

function Projection:run(store, db)
  local more = time.monotonic() >= self.not_before and run(self, store, db)
  local live = row_of(self, db, 1)
  behind:set(live and last_position(db) - live.position or 0, { projection = self.name })
  return more
end

-- Inside of the transaction that has appended events behind `before`: follows them there, unless it is behind.
function Projection:follow(store, tx, before)
  local live = row_of(self, tx, 1)
  if not live or live.version ~= self.version or live.position ~= before then return end
  while advance(self, store, tx, live, BATCH) do live = row_of(self, tx, 1) end
end

-- Forgets what newer code has begun to build: that code was taken back.
function Projection:drop_newer(tx)
  local building = row_of(self, tx, 0)
  if building and building.version > self.version then drop_generation(self, tx, building.generation) end
end

-- Whether all events that there are have been followed.
function Projection:is_current(on)
  local live, end_ = row_of(self, on, 1), last_position(on)
  return live ~= nil and live.position >= end_ and live.version >= self.version and live.rebuild == 0
end

function Projection:status(on)
  local live, building = row_of(self, on, 1), row_of(self, on, 0)
  local end_ = last_position(on)
  return {
    name = self.name, version = live and live.version, generation = live and live.generation, position = live and live.position,
    behind = end_ - (live and live.position or 0), error = live and live.error,
    rebuilding = building and { version = building.version, position = building.position } or nil,
  }
end

return projection
