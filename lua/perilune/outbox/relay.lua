-- SPDX-License-Identifier: MIT
-- Sends the events of the outbox to Kafka. The server runs it on one worker, every second and after commits with events; of
-- several servers with one database, the one that has the lock. A row goes when its event is acknowledged: so an event may be
-- sent twice, with the same perilune-id, after a crash, but is never lost. Events leave in the order of their transactions: the
-- producer keeps it over all failures, and who sends rows again begins with the first that is left, so that also of two
-- processes which send the same rows the first copies are in order.
local core = require "perilune.sqlite.core"
local errors = require "perilune.errors"
local events = require "perilune.events.core"
local json = require "perilune.json"
local log = require "perilune.log"
local metrics = require "perilune.metrics"
local outbox = require "perilune.outbox"
local pubsub = require "perilune.pubsub"
local sqlite = require "perilune.sqlite"
local time = require "perilune.time"

local relay = {}

local BATCH, BATCH_BYTES = 500, 4 * 1024 * 1024
local MOST_ROUNDS = 20 -- batches of one run: between two runs a new generation may take over
local MOST_ATTEMPTS = 10
local LONGEST_PAUSE = 30

-- Failures that say nothing of the event: it is tried for ever.
local TRANSIENT = {
  UNAVAILABLE = true, DEADLINE_EXCEEDED = true, CANCELLED = true, RESOURCE_EXHAUSTED = true, ABORTED = true,
  UNAUTHENTICATED = true,
}

local oldest_seconds = metrics.gauge("outbox_oldest_seconds", "How long the oldest event of the outbox has waited.", nil,
  { merge = "max" })
local relayed = metrics.counter("outbox_relayed_total", "Events of the outbox that brokers have acknowledged.", { "topic" })
local failed = metrics.counter("outbox_failed_total", "Events of the outbox that were not delivered, each time.", { "topic" })
local parked = metrics.counter("outbox_parked_total", "Events of the outbox that were parked.", { "topic" })

local paused = {} -- topic → { delay, until }: its events wait, others are sent
local quiet_until, log_at = 0, 0 -- all wait: there are no brokers, or the producer has to be made anew

local function pause(topic)
  local before = paused[topic]
  local delay = before and math.min(LONGEST_PAUSE, 2 * before.delay) or 1
  paused[topic] = { delay = delay, over = time.monotonic() + delay }
end

local function paused_topics()
  local topics, now = json.list(), time.monotonic()
  for topic, p in pairs(paused) do
    if p.over > now then topics[#topics + 1] = topic end
  end
  return json.encode(topics)
end

local WAITING = "FROM perilune_outbox WHERE parked_at IS NULL AND topic NOT IN (SELECT value FROM json_each(?))"

-- The first rows, as many as have room in a batch.
local function next_rows(db)
  local topics = paused_topics()
  local sizes = db:query("SELECT seq, size " .. WAITING .. " ORDER BY seq LIMIT ?", topics, BATCH)
  local bytes, last = 0, nil
  for _, row in ipairs(sizes) do
    bytes = bytes + row.size
    if last and bytes > BATCH_BYTES then break end
    last = row.seq
  end
  return last and db:query("SELECT * " .. WAITING .. " AND seq <= ? ORDER BY seq", topics, last) or {}
end

local function send(row, pass)
  local headers = outbox.decode_headers(row.headers)
  headers[#headers + 1], headers[#headers + 2] = "perilune-id", row.id
  return events.send(row.topic, row.value, row.key, headers, row.partition, row.timestamp, pass)
end

local function forget_all(sent)
  for _, delivery in pairs(sent) do events.forget(delivery) end
end

-- Sends rows; returns a list of { code, why }, false where an event was acknowledged, nil where it was not sent: what comes after
-- a row that may be sent later must not overtake it.
local function send_all(rows, pass)
  local sent <close> = setmetatable({}, { __close = forget_all })
  local results = {}
  for i, row in ipairs(rows) do
    local ok, result = pcall(send, row, pass)
    if ok then
      sent[i] = result
    else
      local code = errors.is(result) and result.code or "INTERNAL"
      results[i] = { code = code, why = errors.is(result) and result.message or tostring(result) }
      if code ~= "INVALID_ARGUMENT" then break end
    end
  end
  for i = 1, #rows do
    if sent[i] then
      local partition, code, why = events.wait(sent[i])
      results[i] = not partition and { code = code, why = why }
    end
  end
  return results
end

local function fail(db, row, failure)
  local attempts = row.attempts + (TRANSIENT[failure.code] and 0 or 1)
  local parks = failure.code == "INVALID_ARGUMENT" or attempts >= MOST_ATTEMPTS
  local fields = { topic = row.topic, id = row.id, seq = row.seq, code = failure.code, error = failure.why, attempts = attempts }
  db:exec("UPDATE perilune_outbox SET attempts = ?, error = ?, parked_at = ? WHERE seq = ?", attempts,
    failure.code .. ": " .. failure.why, parks and time.now() or nil, row.seq)
  failed:add(1, { topic = row.topic })
  if parks then
    parked:add(1, { topic = row.topic })
    log.error("outbox: event parked", fields)
  else
    pause(row.topic)
    log.warn("outbox: event not delivered, it stays", fields)
  end
end

-- Whether all rows have left, one way or the other.
local function settle(db, rows, results)
  local gone, all = json.list(), true
  for i, row in ipairs(rows) do
    if results[i] == false then
      gone[#gone + 1] = row.seq
      paused[row.topic] = nil
      relayed:add(1, { topic = row.topic })
    end
  end
  if #gone > 0 then
    db:exec("DELETE FROM perilune_outbox WHERE seq IN (SELECT value FROM json_each(?))", json.encode(gone))
  end
  local told = {} -- one row of a topic is enough to pause it, and to log it
  for i, row in ipairs(rows) do
    local failure = results[i]
    if failure == nil then
      all = false
    elseif failure and failure.code ~= "FAILED_PRECONDITION" and not (TRANSIENT[failure.code] and told[row.topic]) then
      told[row.topic] = true
      fail(db, row, failure)
    end
  end
  return all
end

local function out_of_service(results)
  for _, failure in pairs(results) do
    if failure and failure.code == "FAILED_PRECONDITION" then return failure end
  end
end

local function be_quiet(failure)
  local now = time.monotonic()
  quiet_until = now + 5
  if now < log_at then return end
  log_at = now + 60
  log.warn("outbox: events wait", { error = failure.why })
end

local passes = 0

local function run(db)
  passes = passes + 1
  local pass = time.now_ms() * 1000 + passes % 1000
  for _ = 1, MOST_ROUNDS do
    local rows = next_rows(db)
    if #rows == 0 then return end
    local results = send_all(rows, pass)
    settle(db, rows, results)
    local failure = out_of_service(results)
    if failure then return be_quiet(failure) end
  end
  pubsub:publish("perilune.outbox", true) -- there may be more
end

-- Whether there is any event that is not parked.
local function measure(db)
  local first = db:value "SELECT timestamp FROM perilune_outbox WHERE parked_at IS NULL ORDER BY seq LIMIT 1"
  oldest_seconds:set(first and math.max(0, time.now() - first / 1000) or 0)
  return first ~= nil
end

-- What the server runs.
function relay.run()
  local path = core.default()
  if not path then return end
  local db = sqlite.open()
  if not outbox.has_tables(db) or not measure(db) or time.monotonic() < quiet_until then return end
  if not db:value("SELECT 1 " .. WAITING .. " LIMIT 1", paused_topics()) then return end
  local lock <close> = core.lock(path .. "-outbox")
  if lock then run(db) end
end

return relay
