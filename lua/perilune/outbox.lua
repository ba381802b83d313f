-- SPDX-License-Identifier: MIT
-- The transactional outbox, which is `ctx.outbox`, too: an event is a row of the default database, written in the transaction
-- that is under way, so that it is there if and only if the rest of that transaction is. perilune.outbox.relay sends it.
local core = require "perilune.sqlite.core"
local crypto = require "perilune.crypto"
local errors = require "perilune.errors"
local events = require "perilune.events"
local json = require "perilune.json"
local sqlite = require "perilune.sqlite"
local time = require "perilune.time"

local outbox = {}

local MOST_BYTES = 16 * 1024 * 1024

-- The columns before `key` are those that are read without the event itself.
local TABLES = [[
  CREATE TABLE IF NOT EXISTS perilune_outbox (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL,
    topic TEXT NOT NULL,
    size INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    parked_at REAL,
    error TEXT,
    timestamp INTEGER NOT NULL,
    partition INTEGER,
    key BLOB,
    headers TEXT,
    value BLOB);
  CREATE INDEX IF NOT EXISTS perilune_outbox_waiting ON perilune_outbox (seq) WHERE parked_at IS NULL;
  CREATE INDEX IF NOT EXISTS perilune_outbox_parked ON perilune_outbox (seq) WHERE parked_at IS NOT NULL]]
local INSERT = [[
  INSERT INTO perilune_outbox (id, topic, size, timestamp, partition, key, headers, value)
  VALUES (:id, :topic, :size, :timestamp, :partition, :key, :headers, :value)]]

-- Tables that were made in a transaction may go with it, so only what others see counts.
local there = false
local function has_tables(db)
  there = there or db:value("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'perilune_outbox'") ~= nil
  return there
end
outbox.has_tables = has_tables

-- { name, value, … } as JSON; a value that is no text as { base64 = … }.
local function encode_headers(flat)
  if not flat then return nil end
  local list = {}
  for i, part in ipairs(flat) do
    part = tostring(part)
    list[i] = utf8.len(part) and part or { base64 = crypto.base64_encode(part) }
  end
  return json.encode(json.list(list))
end

-- The converse.
function outbox.decode_headers(text)
  local flat = text and json.decode(text) or {}
  for i, part in ipairs(flat) do
    if type(part) == "table" then flat[i] = crypto.base64_decode(part.base64) end
  end
  return flat
end

local function make_row(topic, value, options)
  if type(topic) ~= "string" or topic == "" or topic:find("\0", 1, true) then
    error("outbox:publish: the topic must be a name", 3)
  end
  local bytes, key, headers, partition, timestamp = events.prepare(topic, value, options)
  key = key and tostring(key)
  local size = #(bytes or "") + #(key or "")
  if size > MOST_BYTES then
    error(errors.invalid_argument(("%s: an event of %d bytes is too large for the outbox (%d)"):format(topic, size, MOST_BYTES)))
  end
  return {
    id = crypto.uuid7(), topic = topic, size = size, partition = partition, key = key, headers = encode_headers(headers),
    timestamp = timestamp or time.now_ms(),
    value = bytes and (utf8.len(bytes) and bytes or sqlite.blob(bytes)),
  }
end

local function insert(tx, row, known)
  if not known then tx:exec_script(TABLES) end
  tx:exec(INSERT, row)
  core.relay(tx)
  return row.id
end

-- outbox:publish(topic, value, options): with the options of events:publish. Inside of db:transaction of the default database the
-- event is part of that transaction; elsewhere it is one of its own. Returns the id that consumers get as the header perilune-id.
function outbox.publish(_, topic, value, options)
  local row = make_row(topic, value, options)
  local db = sqlite.open()
  local known, tx = has_tables(db), core.running(db)
  if tx then return insert(tx, row, known) end
  return db:transaction(function(own) return insert(own, row, known) end)
end

-- outbox:stats(): how many events wait and how many are parked, and for how long the oldest has waited, in seconds.
function outbox.stats()
  local db = sqlite.open()
  if not has_tables(db) then return { waiting = 0, parked = 0, oldest = 0 } end
  local waiting = db:first "SELECT count(*) AS n, min(seq) AS seq FROM perilune_outbox WHERE parked_at IS NULL"
  local first = waiting.seq and db:value("SELECT timestamp FROM perilune_outbox WHERE seq = ?", waiting.seq)
  return {
    waiting = waiting.n,
    parked = db:value "SELECT count(*) FROM perilune_outbox WHERE parked_at IS NOT NULL",
    oldest = first and math.max(0, time.now() - first / 1000) or 0,
  }
end

-- outbox:parked(limit): the events that the brokers refused: { id, topic, key, value, error, attempts, parked_at, … }.
function outbox.parked(_, limit)
  local db = sqlite.open()
  if not has_tables(db) then return json.list() end
  local rows = db:query("SELECT * FROM perilune_outbox WHERE parked_at IS NOT NULL ORDER BY seq LIMIT ?", limit or 100)
  for _, row in ipairs(rows) do row.headers = outbox.decode_headers(row.headers) end
  return json.list(rows)
end

-- outbox:retry(id): a parked event is sent again, all of them without an id; returns how many.
function outbox.retry(_, id)
  local db = sqlite.open()
  if not has_tables(db) then return 0 end
  return db:transaction(function(tx)
    core.relay(tx)
    return tx:exec([[UPDATE perilune_outbox SET parked_at = NULL, attempts = 0, error = NULL
      WHERE parked_at IS NOT NULL AND (?1 IS NULL OR id = ?1)]], id).changes
  end)
end

-- outbox:drop(id): a parked event is forgotten; returns whether it was there.
function outbox.drop(_, id)
  local db = sqlite.open()
  return has_tables(db) and db:exec("DELETE FROM perilune_outbox WHERE parked_at IS NOT NULL AND id = ?", id).changes > 0
end

return outbox
