-- SPDX-License-Identifier: MIT
-- The relay of the outbox, with a producer and a clock that the test has.
local core = require "perilune.sqlite.core"
local errors = require "perilune.errors"
local outbox = require "perilune.outbox"
local producer = require "perilune.events.core"
local relay = require "perilune.outbox.relay"
local sqlite = require "perilune.sqlite"
local t = require "perilune.test"
local time = require "perilune.time"

local db = sqlite.open()
local now = 1000
local sent, forgotten, answers, refuse = {}, 0, {}, {}

time.monotonic = function() return now end

-- A delivery is the event; answers says what becomes of those of a topic, refuse what is said at once.
producer.send = function(topic, value, key, headers, partition, timestamp, pass)
  if refuse[topic] then error(refuse[topic]) end
  local event = {
    topic = topic, value = value, key = key, headers = headers, partition = partition, timestamp = timestamp, pass = pass,
  }
  sent[#sent + 1] = event
  return event
end
producer.wait = function(event)
  local failure = answers[event.topic]
  if failure then return nil, failure, "because" end
  return 0, 1
end
producer.forget = function() forgotten = forgotten + 1 end

t.before_each(function()
  if outbox.has_tables(db) then db:exec "DELETE FROM perilune_outbox" end
  now = now + 100
  sent, forgotten, answers, refuse = {}, 0, {}, {}
end)

local function values()
  local list = {}
  for i, event in ipairs(sent) do list[i] = event.value end
  return list
end

local function left() return db:value "SELECT count(*) FROM perilune_outbox" end

t.test("what was acknowledged goes, in order", function()
  relay.run() -- without a table
  local id = outbox:publish("a", 1, { key = "k", partition = 2, timestamp = 1.5, headers = { h = "v" } })
  outbox:publish("b", 2)
  outbox:publish("a", 3)
  relay.run()
  t.equal(values(), { "1", "2", "3" })
  t.equal(sent[1].headers, { "h", "v", "perilune-id", id })
  t.equal({ sent[1].key, sent[1].partition, sent[1].timestamp }, { "k", 2, 1500 })
  t.ok(sent[1].pass > 0 and sent[1].pass == sent[3].pass)
  t.equal({ left(), forgotten }, { 0, 3 })
  outbox:publish("a", 4)
  relay.run()
  t.ok(sent[4].pass ~= sent[1].pass)
end)

t.test("a topic that fails waits, others go on; it is tried for ever when the brokers are away", function()
  outbox:publish("a", 1)
  outbox:publish("b", 2)
  outbox:publish("a", 3)
  answers.a = "UNAVAILABLE"
  relay.run()
  t.equal({ values(), left() }, { { "1", "2", "3" }, 2 })
  outbox:publish("b", 4)
  relay.run()
  t.equal(values(), { "1", "2", "3", "4" })
  for _ = 1, 30 do
    now = now + 31
    relay.run()
  end
  t.equal({ #sent, left(), outbox:stats().parked }, { 64, 2, 0 })
  t.match(db:value "SELECT error FROM perilune_outbox LIMIT 1", "^UNAVAILABLE: because")
  answers.a = nil
  now = now + 31
  relay.run()
  t.equal({ left(), sent[65].value, sent[66].value }, { 0, "1", "3" })
end)

t.test("pauses grow from one second to thirty", function()
  outbox:publish("grow", 1)
  answers.grow = "UNAVAILABLE"
  local begun, at = now, {}
  while now < begun + 100 do
    local before = #sent
    relay.run()
    if #sent > before then at[#at + 1] = now - begun end
    now = now + 1
  end
  t.equal(at, { 0, 1, 3, 7, 15, 31, 61, 91 })
end)

t.test("what the brokers refuse for good is parked at once, the rest after ten times", function()
  local large = outbox:publish("c", 1)
  outbox:publish("c", 2)
  refuse.c = errors.invalid_argument "too large"
  relay.run()
  t.equal({ #sent, outbox:stats().parked }, { 0, 2 })
  t.equal(outbox:parked()[1].id, large)
  outbox:retry()
  refuse.c = nil
  answers.c = "NOT_FOUND"
  for _ = 1, 9 do
    relay.run()
    now = now + 31
  end
  t.equal({ outbox:stats().waiting, outbox:stats().parked }, { 2, 0 })
  relay.run()
  t.equal({ #sent, outbox:stats().parked }, { 20, 2 })
  now = now + 31
  relay.run()
  t.equal(#sent, 20)
end)

t.test("nothing overtakes an event that could not be sent", function()
  outbox:publish("d", 1)
  outbox:publish("e", 2)
  outbox:publish("d", 3)
  refuse.e = errors.unavailable "not now"
  relay.run()
  t.equal({ values(), left() }, { { "1", "3" }, 1 }) -- the third in the next round, without the topic that waits
  refuse.e = nil
  now = now + 31
  relay.run()
  t.equal({ values(), left() }, { { "1", "3", "2" }, 0 })
end)

t.test("an event of the same topic does not overtake one that could not be sent", function()
  outbox:publish("f", 1)
  outbox:publish("f", 2)
  local send = producer.send
  producer.send = function(topic, value, ...)
    if value == "1" and #sent == 0 then
      producer.send = send
      error(errors.resource_exhausted "not now")
    end
    return send(topic, value, ...)
  end
  relay.run()
  t.equal(values(), {})
  now = now + 31
  relay.run()
  t.equal({ values(), left() }, { { "1", "2" }, 0 })
end)

t.test("without brokers it is quiet for a while", function()
  outbox:publish("a", 1)
  refuse.a = errors.failed_precondition "there are no brokers"
  relay.run()
  refuse.a = nil
  now = now + 4
  relay.run()
  t.equal({ #sent, left() }, { 0, 1 })
  now = now + 1
  relay.run()
  t.equal({ #sent, left() }, { 1, 0 })
end)

t.test("batches are bounded in events and bytes", function()
  db:transaction(function()
    for i = 1, 1200 do outbox:publish("many", i) end
  end)
  relay.run()
  t.equal({ #sent, left(), sent[1200].value }, { 1200, 0, "1200" })
  local most, waiting = 0, 0
  local send, wait = producer.send, producer.wait
  producer.send = function(...)
    waiting = waiting + 1
    most = math.max(most, waiting)
    return send(...)
  end
  producer.wait = function(event)
    waiting = waiting - 1
    return wait(event)
  end
  for _ = 1, 3 do outbox:publish("large", ("x"):rep(3 << 20), { format = "bytes" }) end
  relay.run()
  producer.send, producer.wait = send, wait
  t.equal({ most, left() }, { 1, 0 })
end)

t.test("somebody else relays", function()
  outbox:publish("a", 1)
  do
    local lock <close> = core.lock(core.default() .. "-outbox")
    t.ok(lock)
    relay.run()
    t.equal(#sent, 0)
  end
  relay.run()
  t.equal(#sent, 1)
end)
