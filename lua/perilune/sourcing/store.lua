-- SPDX-License-Identifier: MIT
-- A store of events in SQLite. A command is decided on what was read without a lock; the transaction that appends its events
-- looks whether that still holds. When it does not, the command is decided again, in the end inside of the transaction: so it
-- cannot fail for others' commands, however many there are.
local background = require "perilune.sourcing.background"
local core = require "perilune.sqlite.core"
local crypto = require "perilune.crypto"
local errors = require "perilune.errors"
local json = require "perilune.json"
local log = require "perilune.log"
local outbox = require "perilune.outbox"
local sqlite = require "perilune.sqlite"
local time = require "perilune.time"

local Store = {}
Store.__index = Store
Store.__name = "perilune.sourcing.store"

local OPTIMISTIC = 3 -- attempts without a lock
local PAGE = 500
local PRUNE_EVERY, PRUNE_MOST = 50, 200
local OPTIONS = { aggregates = true, projections = true, database = true, keep_keys = true }
local EXECUTE_OPTIONS = {
  expected_version = true, idempotency_key = true, correlation_id = true, causation_id = true, user = true, metadata = true,
  ctx = true,
}

local TABLES = [[
  CREATE TABLE IF NOT EXISTS perilune_events (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    aggregate TEXT NOT NULL,
    stream TEXT NOT NULL,
    version INTEGER NOT NULL,
    type TEXT NOT NULL,
    schema INTEGER NOT NULL,
    id TEXT NOT NULL,
    time REAL NOT NULL,
    correlation TEXT,
    causation TEXT,
    user TEXT,
    metadata TEXT,
    data TEXT NOT NULL,
    UNIQUE (aggregate, stream, version));
  CREATE TABLE IF NOT EXISTS perilune_snapshots (
    aggregate TEXT NOT NULL,
    stream TEXT NOT NULL,
    version INTEGER NOT NULL,
    schema INTEGER NOT NULL,
    state TEXT NOT NULL,
    PRIMARY KEY (aggregate, stream));
  CREATE TABLE IF NOT EXISTS perilune_commands (
    aggregate TEXT NOT NULL,
    stream TEXT NOT NULL,
    key TEXT NOT NULL,
    at REAL NOT NULL,
    fingerprint TEXT NOT NULL,
    result TEXT NOT NULL,
    PRIMARY KEY (aggregate, stream, key));
  CREATE INDEX IF NOT EXISTS perilune_commands_age ON perilune_commands (at);
  CREATE TABLE IF NOT EXISTS perilune_projections (
    name TEXT NOT NULL,
    generation INTEGER NOT NULL,
    version INTEGER NOT NULL,
    position INTEGER NOT NULL DEFAULT 0,
    live INTEGER NOT NULL,
    rebuild INTEGER NOT NULL DEFAULT 0,
    error TEXT,
    failed_at REAL,
    PRIMARY KEY (name, generation))]]

-- Opening --------------------------------------------------------------------------------------------------------------------

local function by_name(what, list)
  local map = {}
  for i, item in ipairs(list or {}) do
    if type(item) ~= "table" or type(item.name) ~= "string" then
      error(("sourcing.store: %s[%d] is none"):format(what, i), 3)
    end
    if map[item.name] then error(("sourcing.store: there are two %s with the name %s"):format(what, item.name), 3) end
    map[item.name] = item
  end
  return map
end

-- sourcing.store{ aggregates = {…}, projections = {…}, database = … }
local function store(options)
  if type(options) ~= "table" then error("sourcing.store: a table { aggregates = { … } } is expected", 2) end
  for option in pairs(options) do
    if not OPTIONS[option] then error("sourcing.store: there is no option " .. tostring(option), 2) end
  end
  local self = setmetatable({
    aggregates = by_name("aggregates", options.aggregates), projections = by_name("projections", options.projections),
    order = options.projections or {}, given = options.database, keep_keys = options.keep_keys or 7 * 24 * 3600, keys = 0,
  }, Store)
  background.add(self)
  return self
end

-- Events that are published have to be in the database that has the outbox.
local function check_outbox(self, db)
  if core.default() and sqlite.open() == db then return end
  for _, aggregate in pairs(self.aggregates) do
    if aggregate.publish then
      error(("sourcing.store: %s publishes its events, so the store has to be in the default database"):format(aggregate.name), 0)
    end
  end
end

-- What is read with: the transaction that is under way, or the database.
local function reader(db) return core.running(db) or db end

-- The database, with all tables in it. Those that are made in a transaction that is under way may go with it.
function Store:open()
  if self.db then return self.db end
  local db = self.given or sqlite.open()
  if type(db) == "string" then db = sqlite.open(db) end
  check_outbox(self, db)
  local on = reader(db)
  if on:value "SELECT count(*) FROM sqlite_master WHERE name IN ('perilune_events', 'perilune_projections')" < 2 then
    on:exec_script(TABLES)
  end
  for _, projection in ipairs(self.order) do projection:set_up(on) end
  if on == db then self.db = db end
  return db
end

local function in_transaction(db, fn)
  local tx = core.running(db)
  if tx then return tx:transaction(fn) end
  return db:transaction(fn)
end

local function aggregate_of(self, name)
  return self.aggregates[name] or error(("the store has no aggregate %s"):format(tostring(name)), 3)
end

local function check_stream(stream)
  if math.type(stream) == "integer" then return tostring(stream) end
  if type(stream) == "string" and stream ~= "" then return stream end
  error(errors.invalid_argument("the id of an aggregate must be a string or an integer"))
end

-- Reading --------------------------------------------------------------------------------------------------------------------

local function decode_metadata(text)
  if text then return json.decode(text) end
end

-- event is nil when an upcaster has dropped it.
function Store:record(row)
  local aggregate = self.aggregates[row.aggregate]
  local event = json.decode(row.data)
  event.type = row.type
  if aggregate then event = aggregate:upcast(event, row.schema) end
  return {
    position = row.position, aggregate = row.aggregate, aggregate_id = row.stream, version = row.version,
    type = event and event.type or row.type, id = row.id, time = row.time, correlation_id = row.correlation,
    causation_id = row.causation, user = row.user, metadata = decode_metadata(row.metadata), event = event,
  }
end

function Store:records(on, where, ...)
  local records = on:query("SELECT * FROM perilune_events WHERE " .. where, ...)
  for i, row in ipairs(records) do records[i] = self:record(row) end
  return records
end

-- The aggregate's state and version, and of which version its snapshot is.
local function fold(self, on, aggregate, stream)
  local state, version, snapshot = aggregate:new(), 0, 0
  if aggregate.snapshot then
    local row = on:first("SELECT version, state FROM perilune_snapshots WHERE aggregate = ? AND stream = ? AND schema = ?",
      aggregate.name, stream, aggregate.snapshot.version)
    if row then state, version, snapshot = json.decode(row.state), row.version, row.version end
  end
  repeat
    local records = self:records(on, "aggregate = ? AND stream = ? AND version > ? ORDER BY version LIMIT ?", aggregate.name,
      stream, version, PAGE)
    for _, record in ipairs(records) do
      if record.event then state = aggregate:apply(state, record.event) end
      version = record.version
    end
  until #records < PAGE
  return state, version, snapshot
end

-- store:load(name, id): the aggregate's state and its version, which is 0 when it has no events.
function Store:load(name, stream)
  local state, version = fold(self, reader(self:open()), aggregate_of(self, name), check_stream(stream))
  return state, version
end

local function bound(options, name, standard)
  local value = options and options[name]
  if value == nil then return standard end
  if math.type(value) ~= "integer" or value < 0 then error(("%s must be an integer from 0 on"):format(name), 3) end
  return value
end

-- store:events(name, id, { after = version, limit = 1000 }): a list of records.
function Store:events(name, stream, options)
  return self:records(reader(self:open()), "aggregate = ? AND stream = ? AND version > ? ORDER BY version LIMIT ?",
    aggregate_of(self, name).name, check_stream(stream), bound(options, "after", 0), bound(options, "limit", 1000))
end

-- store:all{ after = position, limit = 1000 }: a list of records of all aggregates, in the order in which they were appended.
function Store:all(options)
  return self:records(reader(self:open()), "position > ? ORDER BY position LIMIT ?", bound(options, "after", 0),
    bound(options, "limit", 1000))
end

-- Appending ------------------------------------------------------------------------------------------------------------------

local function user_of(user)
  if type(user) == "table" then user = user.id or user.sub or user.name end
  return user ~= nil and tostring(user) or nil
end

local function check_options(options)
  options = options or {}
  for option in pairs(options) do
    if not EXECUTE_OPTIONS[option] then error("store: there is no option " .. tostring(option), 3) end
  end
  local expected, key = options.expected_version, options.idempotency_key
  if expected ~= nil and (math.type(expected) ~= "integer" or expected < 0) then
    error(errors.invalid_argument "expected_version must be an integer from 0 on")
  end
  if key ~= nil and (type(key) ~= "string" or key == "" or #key > 1024) then
    error(errors.invalid_argument "the idempotency key must be a string of at most 1024 bytes")
  end
  local ctx = options.ctx
  return {
    expected = expected, key = key, metadata = options.metadata and json.encode(options.metadata),
    causation = options.causation_id, user = user_of(options.user or ctx and ctx.user),
    correlation = options.correlation_id or ctx and ctx.request_id,
  }
end

local INSERT = [[
  INSERT INTO perilune_events (aggregate, stream, version, type, schema, id, time, correlation, causation, user, metadata, data)
  VALUES (:aggregate, :stream, :version, :type, :schema, :id, :time, :correlation, :causation, :user, :metadata, :data)]]

local function encode_event(event)
  local data = {}
  for name, value in pairs(event) do
    if name ~= "type" then data[name] = value end
  end
  return json.encode(data)
end

local function envelope(event, record)
  return {
    id = record.id, type = record.type, aggregate = record.aggregate, aggregate_id = record.aggregate_id,
    version = record.version, time = record.time, data = json.decode(encode_event(event)),
  }
end

local function publish(aggregate, event, record)
  local to = aggregate.publish
  local value = (to.value or envelope)(event, record)
  if value == nil then return end
  local options = { key = record.aggregate_id, headers = { type = record.type } }
  for name, option in pairs(to.options and to.options(event, record) or {}) do options[name] = option end
  outbox:publish(to.topic, value, options)
end

local function insert(tx, aggregate, stream, version, event, options)
  local row = {
    aggregate = aggregate.name, stream = stream, version = version, type = event.type, schema = aggregate:version_of(event.type),
    id = crypto.uuid7(), time = time.now(), correlation = options.correlation, causation = options.causation,
    user = options.user, metadata = options.metadata, data = encode_event(event),
  }
  local position = tx:exec(INSERT, row).last_id
  if aggregate.publish then
    publish(aggregate, event, {
      position = position, aggregate = row.aggregate, aggregate_id = stream, version = version, type = row.type, id = row.id,
      time = row.time, correlation_id = row.correlation, causation_id = row.causation, user = row.user, event = event,
    })
  end
  return position
end

local function save_snapshot(tx, aggregate, stream, version, state, last)
  local snapshot = aggregate.snapshot
  if not snapshot or version - last < snapshot.every then return end
  tx:exec([[INSERT INTO perilune_snapshots (aggregate, stream, version, schema, state) VALUES (?1, ?2, ?3, ?4, ?5)
    ON CONFLICT (aggregate, stream) DO UPDATE SET version = ?3, schema = ?4, state = ?5]], aggregate.name, stream, version,
    snapshot.version, json.encode(state))
end

-- Keys of commands ------------------------------------------------------------------------------------------------------------

-- The result of the first execution, or nil.
local function earlier(on, aggregate, stream, options, fingerprint)
  local row = options.key and on:first(
    "SELECT fingerprint, result FROM perilune_commands WHERE aggregate = ? AND stream = ? AND key = ?", aggregate.name, stream,
    options.key)
  if not row then return nil end
  if row.fingerprint ~= fingerprint then
    error(errors.failed_precondition(("the idempotency key %q was used for another command"):format(options.key)))
  end
  local result = json.decode(row.result)
  result.duplicate = true
  return result
end

local function remember(self, tx, aggregate, stream, options, fingerprint, result)
  if not options.key then return end
  tx:exec("INSERT INTO perilune_commands VALUES (?, ?, ?, ?, ?, ?)", aggregate.name, stream, options.key, time.now(), fingerprint,
    json.encode(result))
  self.keys = self.keys + 1
  if self.keys % PRUNE_EVERY == 1 then
    tx:exec([[DELETE FROM perilune_commands WHERE rowid IN (
      SELECT rowid FROM perilune_commands WHERE at < ? ORDER BY at LIMIT ?)]], time.now() - self.keep_keys, PRUNE_MOST)
  end
end

-- Executing ------------------------------------------------------------------------------------------------------------------

local function last_of(tx, aggregate, stream)
  return tx:value("SELECT max(version) FROM perilune_events WHERE aggregate = ? AND stream = ?", aggregate.name, stream) or 0
end

local function check_expected(aggregate, stream, options, version)
  if options.expected and options.expected ~= version then
    error(errors.aborted(("%s %s is at version %d, not %d"):format(aggregate.name, stream, version, options.expected),
      { extensions = { version = version, expectedVersion = options.expected } }))
  end
end

-- Appends what was decided on; nil: meanwhile there are other events.
local function append(self, tx, run, decided)
  local aggregate, stream, options = run.aggregate, run.stream, run.options
  if last_of(tx, aggregate, stream) ~= decided.version then return nil end
  local before = tx:value "SELECT max(position) FROM perilune_events" or 0
  local version, state, position = decided.version, decided.state, nil
  for _, event in ipairs(decided.events) do
    version = version + 1
    position = insert(tx, aggregate, stream, version, event, options)
    state = aggregate:apply(state, event)
  end
  local result = { version = version, position = position, events = json.list(decided.events), reply = decided.reply }
  remember(self, tx, aggregate, stream, options, run.fingerprint, result)
  if #decided.events == 0 then return result end
  save_snapshot(tx, aggregate, stream, version, state, decided.snapshot)
  for _, projection in ipairs(self.order) do
    if projection.inline then projection:follow(self, tx, before) end
  end
  if #self.order > 0 then core.project(tx) end
  return result
end

local function decide(self, on, run)
  local state, version, snapshot = fold(self, on, run.aggregate, run.stream)
  check_expected(run.aggregate, run.stream, run.options, version)
  local events, reply = run.make(state, version)
  return { state = state, version = version, snapshot = snapshot, events = events, reply = reply }
end

local function optimistic(self, db, run)
  local known = earlier(db, run.aggregate, run.stream, run.options, run.fingerprint)
  if known then return known end
  local decided = decide(self, db, run)
  if #decided.events == 0 and not run.options.key then
    return { version = decided.version, events = json.list(), reply = decided.reply }
  end
  return db:transaction(function(tx)
    return earlier(tx, run.aggregate, run.stream, run.options, run.fingerprint) or append(self, tx, run, decided)
  end)
end

local function execute(self, run)
  local db = self:open()
  for attempt = 1, core.running(db) and 0 or OPTIMISTIC do
    local result = optimistic(self, db, run)
    if result then return result end
    log.debug("command is decided again", { aggregate = run.aggregate.name, id = run.stream, attempt = attempt })
  end
  return in_transaction(db, function(tx)
    return earlier(tx, run.aggregate, run.stream, run.options, run.fingerprint) or append(self, tx, run, decide(self, tx, run))
  end)
end

-- store:execute(name, id, command, options): decides the command and appends its events. Returns { version, position, events,
-- reply }; with options.idempotency_key, what the first execution returned, and duplicate = true.
function Store:execute(name, stream, command, options)
  local aggregate = aggregate_of(self, name)
  local checked = check_options(options)
  return execute(self, {
    aggregate = aggregate, stream = check_stream(stream), options = checked,
    fingerprint = checked.key and crypto.sha256(json.encode(command, { sorted = true })),
    make = function(state) return aggregate:decide(state, command) end,
  })
end

-- store:append(name, id, events, options): appends events without a decision, as when they come from elsewhere.
function Store:append(name, stream, events, options)
  local aggregate = aggregate_of(self, name)
  local checked = check_options(options)
  events = aggregate:as_events(events, "append was given")
  return execute(self, {
    aggregate = aggregate, stream = check_stream(stream), options = checked,
    fingerprint = checked.key and crypto.sha256(json.encode(events, { sorted = true })),
    make = function() return events end,
  })
end

-- Projections ----------------------------------------------------------------------------------------------------------------

-- What the server does in the background: some steps of each projection. Returns whether there is more to be done.
function Store:project()
  if not self.db and not self.given and not core.default() then return false end
  local db, more = self:open(), false
  for _, projection in ipairs(self.order) do more = projection:run(self, db) or more end
  return more
end

-- store:catch_up(): projections have followed all events that there are when it returns; false when one of them fails.
function Store:catch_up()
  local db = self:open()
  while self:project() do log.debug "projections catch up" end
  for _, projection in ipairs(self.order) do
    if not projection:is_current(db) then return false end
  end
  return true
end

local function projection_of(self, name)
  return self.projections[name] or error(("the store has no projection %s"):format(tostring(name)), 3)
end

-- store:rebuild(name): the projection is made anew from the first event on, in the background; until then the old one answers.
function Store:rebuild(name)
  local projection, db = projection_of(self, name), self:open()
  in_transaction(db, function(tx)
    projection:drop_newer(tx)
    tx:exec("UPDATE perilune_projections SET rebuild = 1 WHERE name = ? AND live = 1", projection.name)
    core.project(tx)
  end)
end

-- store:status(): of each projection { name, version, generation, position, behind, error, rebuilding }.
function Store:status()
  local on, list = reader(self:open()), json.list()
  for i, projection in ipairs(self.order) do list[i] = projection:status(on) end
  return list
end

return store
