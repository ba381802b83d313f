-- SPDX-License-Identifier: MIT
local crypto = require "perilune.crypto"
local outbox = require "perilune.outbox"
local sqlite = require "perilune.sqlite"
local t = require "perilune.test"

local db = sqlite.open()

t.before_each(function()
  if outbox.has_tables(db) then db:exec "DELETE FROM perilune_outbox" end
end)

local function rows() return db:query "SELECT * FROM perilune_outbox ORDER BY seq" end

t.test("an event is part of the transaction that is under way, or one of its own", function()
  t.equal(outbox:stats(), { waiting = 0, parked = 0, oldest = 0 })
  t.error(function()
    db:transaction(function()
      outbox:publish("orders", 1)
      error "no"
    end)
  end, "no")
  t.equal(outbox:stats().waiting, 0)
  db:transaction(function(tx)
    outbox:publish("orders", 1)
    pcall(tx.transaction, tx, function()
      outbox:publish("orders", 2)
      error "only this"
    end)
    local inner = coroutine.wrap(function() outbox:publish("orders", 3) end)
    inner()
  end)
  outbox:publish("orders", 4)
  local values = {}
  for i, row in ipairs(rows()) do values[i] = row.value end
  t.equal(values, { "1", "3", "4" })
  t.equal(outbox:stats().waiting, 3)
end)

t.test("another call's transaction is not ours", function()
  local events = {}
  db:transaction(function(tx)
    tx:exec "CREATE TABLE IF NOT EXISTS other (x)"
    events[1] = outbox:publish("orders", 1)
  end)
  t.equal(#rows(), 1)
  t.equal(rows()[1].id, events[1])
end)

t.test("everything about an event is kept", function()
  outbox:publish("orders", { a = 1 }, { key = 5, partition = 2, timestamp = 1.5, headers = { { "x", "1" }, { "y", "\255" } } })
  outbox:publish("orders", "\0\255", { format = "bytes", key = "\254" })
  outbox:publish("orders", nil, { key = "gone" })
  local first, second, third = table.unpack(rows())
  t.equal({ first.topic, first.key, first.partition, first.timestamp, first.value }, { "orders", "5", 2, 1500, '{"a":1}' })
  t.equal(outbox.decode_headers(first.headers), { "x", "1", "y", "\255" })
  t.equal({ second.key, second.value, second.size }, { "\254", "\0\255", 3 })
  t.equal({ third.value, third.headers, outbox.decode_headers(nil) }, { nil, nil, {} })
  t.match(first.id, "^%x+%-%x+%-7")
  t.ok(first.id ~= second.id)
end)

t.test("mistakes", function()
  t.error(function() outbox:publish("", 1) end, "outbox_test.lua:%d+: outbox:publish: the topic must be a name")
  t.error(function() outbox:publish(nil, 1) end, "the topic must be a name")
  t.error(function() outbox:publish("a", 1, { kee = 1 }) end, "there is no option kee")
  t.error(function() outbox:publish("a", print) end, "INVALID_ARGUMENT")
  t.error(function() outbox:publish("a", ("x"):rep(17 << 20), { format = "bytes" }) end, "INVALID_ARGUMENT")
end)

t.test("parked events", function()
  local id = outbox:publish("orders", 1, { headers = { h = "v" } })
  outbox:publish("orders", 2)
  db:exec("UPDATE perilune_outbox SET parked_at = 1, attempts = 10, error = 'NOT_FOUND: x' WHERE id = ?", id)
  local parked = outbox:parked()
  t.equal({ #parked, parked[1].id, parked[1].error, parked[1].headers }, { 1, id, "NOT_FOUND: x", { "h", "v" } })
  t.equal(outbox:stats().parked, 1)
  t.equal(outbox:retry "unknown", 0)
  t.equal(outbox:retry(id), 1)
  t.equal({ outbox:stats().parked, rows()[1].attempts, rows()[1].error }, { 0, 0, nil })
  db:exec "UPDATE perilune_outbox SET parked_at = 1"
  t.equal(outbox:drop(crypto.uuid4()), false)
  t.equal(outbox:drop(id), true)
  t.equal(outbox:retry(), 1)
end)
