-- SPDX-License-Identifier: MIT
local errors = require "perilune.errors"
local inbox = require "perilune.inbox"
local sqlite = require "perilune.sqlite"
local t = require "perilune.test"

local db = sqlite.open()
db:exec_script "CREATE TABLE IF NOT EXISTS done (id TEXT)"

local function message(offset, headers)
  return { topic = "payments", partition = 0, offset = offset, headers = headers or {}, key = "k", attempt = 1 }
end

local function done()
  local ids = {}
  for i, row in ipairs(db:query "SELECT id FROM done ORDER BY rowid") do ids[i] = row.id end
  return ids
end

local function rows() return db:value "SELECT count(*) FROM perilune_inbox" end

local function consumer(deduplicate, more)
  local declaration = { topic = "payments", group = "g", deduplicate = deduplicate }
  declaration.handler = function(event, _, ctx)
    ctx.db:exec("INSERT INTO done VALUES (?)", event.id or event)
    if event.fail then error "no" end
  end
  for name, value in pairs(more or {}) do declaration[name] = value end
  return inbox.wrap(declaration)
end

t.before_each(function()
  db:exec "DELETE FROM done"
  if db:value "SELECT 1 FROM sqlite_master WHERE name = 'perilune_inbox'" then db:exec "DELETE FROM perilune_inbox" end
end)

t.test("an id is handled once", function()
  local c = consumer(true)
  t.equal(c.deduplicate, nil)
  local ctx = {}
  c.handler({ id = "a" }, message(1), ctx)
  t.equal(ctx.tx, nil)
  c.handler({ id = "a" }, message(2), {})
  c.handler({ id = 7 }, message(3), {})
  c.handler({ id = 7 }, message(4), {})
  t.equal(done(), { "a", "7" })
end)

t.test("a handler that fails takes its row back", function()
  local c = consumer(true)
  t.error(function() c.handler({ id = "a", fail = true }, message(1), {}) end, "no")
  t.equal(done(), {})
  t.equal(rows(), 0)
  c.handler({ id = "a" }, message(1), {})
  t.equal(done(), { "a" })
end)

t.test("groups and topics have ids of their own", function()
  local one, other = consumer(true), consumer(true, { group = "other" })
  local elsewhere = message(1)
  elsewhere.topic = "refunds"
  one.handler({ id = "a" }, message(1), {})
  other.handler({ id = "a" }, message(1), {})
  one.handler({ id = "a" }, elsewhere, {})
  t.equal(done(), { "a", "a", "a" })
end)

t.test("ids by field, function and header", function()
  local by_field = consumer { by = "number" }
  by_field.handler({ id = 1, number = 5 }, message(1), {})
  by_field.handler({ id = 2, number = 5 }, message(2), {})
  local by_function = consumer({ by = function(event, msg) return event.id .. msg.key end }, { group = "f" })
  by_function.handler({ id = "x" }, message(1), {})
  by_function.handler({ id = "x" }, message(2), {})
  local by_header = consumer({ by = { header = "perilune-id" } }, { group = "h" })
  by_header.handler("raw", message(1, { ["perilune-id"] = "u" }), {})
  by_header.handler("raw", message(2, { ["perilune-id"] = "u" }), {})
  t.equal(done(), { "1", "x", "raw" })
end)

t.test("an event without an id is not tried again", function()
  for _, event in ipairs { {}, { id = "" }, { id = {} }, { id = 1.5 }, { id = ("x"):rep(2000) }, { id = true } } do
    local e = t.error(function() consumer(true).handler(event, message(1), {}) end, "INVALID_ARGUMENT")
    t.match(e.message, "^the event cannot be deduplicated: its field \"id\" must be an id")
  end
  t.error(function() consumer { by = { header = "h" } }.handler({ id = 1 }, message(1), {}) end, "INVALID_ARGUMENT")
  t.equal(done(), {})
end)

t.test("after the window an id is new, and old rows go in small steps", function()
  local c = consumer { within = 100 }
  c.handler({ id = "a" }, message(1), {})
  db:exec "UPDATE perilune_inbox SET at = at - 101"
  c.handler({ id = "a" }, message(2), {})
  c.handler({ id = "a" }, message(3), {})
  t.equal(done(), { "a", "a" })
  db:transaction(function(tx)
    for i = 1, 500 do tx:exec("INSERT INTO perilune_inbox VALUES ('g', 'payments', ?, 1)", "old" .. i) end
  end)
  for i = 1, 49 do c.handler({ id = i }, message(i), {}) end
  t.equal(db:value "SELECT count(*) FROM perilune_inbox WHERE at = 1", 300)
  for i = 50, 100 do c.handler({ id = i }, message(i), {}) end
  t.equal(db:value "SELECT count(*) FROM perilune_inbox WHERE at = 1", 100)
end)

t.test("a batch: what is new in it, what fails in it", function()
  local seen
  local c = consumer(true, {
    batch = { size = 10 },
    handler = function(events, msgs, ctx)
      seen = {}
      for i, event in ipairs(events) do
        seen[i] = event.id .. "@" .. msgs[i].offset
        ctx.tx:exec("INSERT INTO done VALUES (?)", event.id)
      end
      return #events > 2 and { [3] = errors.unavailable "later" } or nil
    end,
  })
  c.handler({ { id = "a" } }, { message(1) }, {})
  local failures = c.handler({ { id = "a" }, { id = "b" }, {}, { id = "b" }, { id = "c" }, { id = "d" } },
    { message(1), message(2), message(3), message(4), message(5), message(6) }, {})
  t.equal(seen, { "b@2", "c@5", "d@6" })
  t.equal(failures[3].code, "INVALID_ARGUMENT")
  t.equal(failures[6].code, "UNAVAILABLE")
  t.equal(db:value "SELECT group_concat(id) FROM (SELECT id FROM perilune_inbox ORDER BY id)", "a,b,c")
  seen = nil
  t.equal(c.handler({ { id = "a" }, { id = "c" } }, { message(7), message(8) }, {}), nil)
  t.equal(seen, nil)
end)

t.test("another database", function()
  local memory = sqlite.open ":memory:"
  memory:exec_script "CREATE TABLE done (id TEXT)"
  local c = consumer { database = ":memory:" }
  c.handler({ id = "a" }, message(1), {})
  c.handler({ id = "a" }, message(2), {})
  t.equal(memory:value "SELECT count(*) FROM done", 1)
  t.equal(memory:value "SELECT count(*) FROM perilune_inbox", 1)
end)

t.test("mistakes are found when it is declared", function()
  local wrong = {
    { 5, "^deduplicate must be a table" }, { { by = 5 }, "^deduplicate.by must be" }, { { by = {} }, "^deduplicate.by must be" },
    { { within = 0 }, "^deduplicate.within must be" }, { { within = "1" }, "^deduplicate.within must be" },
    { { bye = "id" }, "^deduplicate: there is no option bye" }, { { database = 5 }, "^deduplicate.database must be" },
  }
  for _, case in ipairs(wrong) do
    t.error(function() consumer(case[1]) end, case[2])
  end
  t.error(function() consumer(true, { handler = 5 }) end, "has no handler")
end)
