-- SPDX-License-Identifier: MIT
local account = require "lib_account"
local crypto = require "perilune.crypto"
local outbox = require "perilune.outbox"
local sourcing = require "perilune.sourcing"
local sqlite = require "perilune.sqlite"
local t = require "perilune.test"
local time = require "perilune.time"

local db = sqlite.open()
local fails = false
local balances = {
  name = "balances",
  tables = [[
    CREATE TABLE {balances} (account TEXT PRIMARY KEY, balance INTEGER NOT NULL, seen INTEGER NOT NULL DEFAULT 1);
    CREATE INDEX {balances}_by ON {balances} (balance)]],
  project = {
    Opened = function(tables, _, record)
      tables:exec("INSERT INTO {balances} (account, balance) VALUES (?, 0)", record.aggregate_id)
    end,
    Deposited = function(tables, event, record)
      if fails and event.amount == 13 then error "unlucky" end
      tables:exec("UPDATE {balances} SET balance = balance + ?, seen = seen + 1 WHERE account = ?", event.amount,
        record.aggregate_id)
    end,
  },
}

local function projection(changes)
  local options = {}
  for name, value in pairs(balances) do options[name] = value end
  for name, value in pairs(changes or {}) do options[name] = value end
  return sourcing.projection(options)
end

local store = sourcing.store { aggregates = { account }, projections = { projection() } }

local function fresh() return crypto.uuid7() end

local function open(id) return store:execute("account", id, { type = "Open", owner = "ann" }) end

local function deposit(id, amount, options)
  return store:execute("account", id, { type = "Deposit", amount = amount }, options)
end

local function balance_of(id) return db:value("SELECT balance FROM balances WHERE account = ?", id) end

-- Aggregates alone ----------------------------------------------------------------------------------------------------

t.test("given, when, then", function()
  sourcing.given(account):when{ type = "Open", owner = "ann" }:expect{ { type = "Opened", owner = "ann" } }
  sourcing.given(account, { { type = "Opened" }, { type = "Deposited", amount = 5 } })
    :when{ type = "Withdraw", amount = 3, fee = 1 }
    :expect{ { type = "Withdrawn", amount = 3 }, { type = "Withdrawn", amount = 1 } }
    :expect_state{ open = true, balance = 1 }
  sourcing.given(account, { { type = "Opened" } }):when{ type = "Open" }:expect_nothing()
  sourcing.given(account, { { type = "Opened" } }):when{ type = "Deposit", amount = 5 }:when{ type = "Deposit", amount = 2 }
    :expect{ { type = "Deposited", amount = 5 }, { type = "Deposited", amount = 2 } }:expect_reply{ balance = 7 }
  sourcing.given(account):when{ type = "Deposit", amount = 5 }:expect_error "FAILED_PRECONDITION"
  local e = sourcing.given(account):when{ type = "Deposit", amount = 0 }:expect_error "INVALID_ARGUMENT"
  t.equal(e.details, { amount = "must be above 0" })
  sourcing.given(account):when{ type = "Fly" }:expect_error "INVALID_ARGUMENT"
  sourcing.given(account):when{ type = "Nonsense" }:expect_error "has returned Exploded, which has no apply"
end)

t.test("what a test expects and does not get", function()
  t.error(function() sourcing.given(account):when{ type = "Open" }:expect{} end, "events of account")
  t.error(function() sourcing.given(account):when{ type = "Deposit", amount = 1 }:expect{} end, "FAILED_PRECONDITION")
  t.error(function() sourcing.given(account):when{ type = "Open" }:expect_error "x" end, "expected an error, got none")
  t.error(function() sourcing.given(account):when{ type = "Fly" }:when{ type = "Open" } end, "was refused before")
end)

t.test("upcasters lead from version to version, to other types, or to nothing", function()
  t.equal(account:upcast({ type = "Deposited", euros = 1.5 }, 1), { type = "Deposited", amount = 150 })
  t.equal(account:upcast({ type = "Deposited", amount = 5 }, 2), { type = "Deposited", amount = 5 })
  t.equal(account:upcast({ type = "Credited", amount = 7 }, 1), { type = "Deposited", amount = 7 })
  t.equal(account:upcast({ type = "Noted" }, 1), nil)
  t.equal(account:version_of "Deposited", 2)
  t.equal(account:version_of "Opened", 1)
end)

t.test("mistakes in declarations", function()
  local function bad(pattern, changes)
    local options = { name = "x", apply = {}, decide = {} }
    for name, value in pairs(changes) do options[name] = value end
    t.error(function() sourcing.aggregate(options) end, pattern)
  end
  bad("there is no option colour", { colour = 1 })
  bad("apply must be", { apply = 1 })
  bad("decide must be", { decide = 1 })
  bad("initial must be", { initial = {} })
  bad("snapshot must be", { snapshot = { every = 0 } })
  bad("publish must be", { publish = 5 })
  bad("upcast.A must have a function for each version", { upcast = { A = { [2] = print } } })
  t.error(function() sourcing.aggregate {} end, "with a name")
  t.error(function() sourcing.projection { name = "p" } end, "project must be")
  local plain = { name = "p", project = {}, tables = "CREATE TABLE p (x)" }
  t.error(function() sourcing.projection(plain) end, "must be written {name}")
  t.error(function() sourcing.store { aggregates = { account, account } } end, "two aggregates with the name account")
  t.error(function() sourcing.store { aggregate = account } end, "no option aggregate")
end)

-- The store -----------------------------------------------------------------------------------------------------------

t.test("commands append events, which make the state", function()
  local id = fresh()
  t.equal(open(id).version, 1)
  local result = deposit(id, 5, { user = "ann", correlation_id = "c", causation_id = "d", metadata = { from = "web" } })
  t.equal({ result.version, result.events, result.reply }, { 2, { { type = "Deposited", amount = 5 } }, { balance = 5 } })
  local state, version = store:load("account", id)
  t.equal({ state, version }, { { open = true, owner = "ann", balance = 5 }, 2 })
  t.equal(open(id).events, {})
  local records = store:events("account", id, { after = 1 })
  local r = records[1]
  t.equal({ #records, r.type, r.version, r.event }, { 1, "Deposited", 2, result.events[1] })
  t.equal({ r.aggregate, r.aggregate_id }, { "account", id })
  t.equal({ r.user, r.correlation_id, r.causation_id, r.metadata }, { "ann", "c", "d", { from = "web" } })
  t.match(r.id, "^%x+%-%x+%-7")
  t.ok(math.abs(r.time - time.now()) < 60)
  t.equal(store:all { after = r.position - 1, limit = 1 }[1].id, r.id)
  t.error(function() store:execute("account", id, { type = "Withdraw", amount = 6 }) end, "FAILED_PRECONDITION")
  t.error(function() store:execute("account", "", { type = "Open" }) end, "INVALID_ARGUMENT")
  t.error(function() store:execute("nothing", id, {}) end, "no aggregate nothing")
  t.error(function() deposit(id, 1, { versoin = 1 }) end, "no option versoin")
end)

t.test("metadata comes from ctx", function()
  local id = fresh()
  store:execute("account", id, { type = "Open" }, { ctx = { user = { id = 7 }, request_id = "r" } })
  local record = store:events("account", id)[1]
  t.equal({ record.user, record.correlation_id }, { "7", "r" })
end)

t.test("an expected version", function()
  local id = fresh()
  store:execute("account", id, { type = "Open" }, { expected_version = 0 })
  deposit(id, 1, { expected_version = 1 })
  local e = t.error(function() deposit(id, 1, { expected_version = 1 }) end, "ABORTED")
  t.equal(e.message, "account " .. id .. " is at version 2, not 1")
  t.equal(select(2, store:load("account", id)), 2)
  t.error(function() deposit(id, 1, { expected_version = -1 }) end, "INVALID_ARGUMENT")
  t.equal(store:append("account", id, { type = "Deposited", amount = 2 }, { expected_version = 2 }).version, 3)
  local late = { { type = "Deposited", amount = 2 } }
  t.error(function() store:append("account", id, late, { expected_version = 2 }) end, "ABORTED")
end)

t.test("a command is decided again when others were faster, in the end where nobody can be", function()
  local id, decided, rivals = fresh(), 0, nil
  local race
  race = sourcing.store { aggregates = { sourcing.aggregate {
    name = "race", initial = function() return { n = 0 } end,
    apply = { Won = function(state) state.n = state.n + 1 end },
    decide = {
      Run = function(state)
        decided = decided + 1
        if decided <= rivals then race:append("race", id, { type = "Won", by = "rival" }) end
        return { type = "Won", by = "me", n = state.n }
      end,
    },
  } } }
  rivals = 2
  local result = race:execute("race", id, { type = "Run" })
  t.equal({ decided, result.version, result.events[1].n }, { 3, 3, 2 })
  decided, rivals = 0, 1
  t.error(function() race:execute("race", id, { type = "Run" }, { expected_version = 3 }) end, "ABORTED")
  decided, rivals = 0, 3
  t.equal({ race:execute("race", id, { type = "Run" }).version, decided }, { 8, 4 })
  local versions = {}
  for i, record in ipairs(race:events("race", id)) do versions[i] = record.version end
  t.equal(versions, { 1, 2, 3, 4, 5, 6, 7, 8 })
  local all, last = race:all { after = race:events("race", id)[1].position - 1 }, 0
  t.ok(#all >= 8)
  for _, record in ipairs(all) do
    t.ok(record.position > last)
    last = record.position
  end
end)

t.test("an idempotency key gives the first result", function()
  local id = fresh()
  open(id)
  local first = deposit(id, 5, { idempotency_key = "k" })
  deposit(id, 1)
  local again = deposit(id, 5, { idempotency_key = "k" })
  t.equal({ again.duplicate, again.version, again.reply, again.events }, { true, first.version, first.reply, first.events })
  t.equal(store:load("account", id).balance, 6)
  t.error(function() deposit(id, 6, { idempotency_key = "k" }) end, "used for another command")
  local other = fresh()
  open(other)
  t.equal(deposit(other, 5, { idempotency_key = "k" }).duplicate, nil)
  t.error(function() deposit(id, 5, { idempotency_key = "" }) end, "INVALID_ARGUMENT")
  local withdraw = { type = "Withdraw", amount = 99 }
  t.error(function() store:execute("account", id, withdraw, { idempotency_key = "w" }) end, "not enough")
  deposit(id, 100)
  t.equal(store:execute("account", id, withdraw, { idempotency_key = "w" }).duplicate, nil)
end)

t.test("snapshots give the same state with less to read", function()
  local id = fresh()
  open(id)
  for i = 1, 25 do deposit(id, i) end
  t.equal(db:value("SELECT version FROM perilune_snapshots WHERE stream = ?", id), 20)
  local state, version = store:load("account", id)
  t.equal({ state.balance, version }, { 325, 26 })
  db:exec("UPDATE perilune_events SET data = '{\"amount\":1000}' WHERE stream = ? AND version = 5", id)
  t.equal(store:load("account", id).balance, 325)
  db:exec("UPDATE perilune_snapshots SET schema = 0 WHERE stream = ?", id)
  t.equal(store:load("account", id).balance, 325 - 4 + 1000)
end)

t.test("old events are read as new ones", function()
  local id = fresh()
  local insert = [[INSERT INTO perilune_events (aggregate, stream, version, type, schema, id, time, data)
    VALUES ('account', ?, ?, ?, 1, 'x', 0, ?)]]
  open(id)
  db:exec(insert, id, 2, "Deposited", '{"euros":2.5}')
  db:exec(insert, id, 3, "Credited", '{"amount":1}')
  db:exec(insert, id, 4, "Noted", '{"text":"?"}')
  local state, version = store:load("account", id)
  t.equal({ state.balance, version }, { 251, 4 })
  deposit(id, 1)
  t.equal(db:value("SELECT schema FROM perilune_events WHERE stream = ? AND version = 5", id), 2)
  t.equal(store:catch_up(), true)
  t.equal(balance_of(id), 252)
end)

t.test("events are published in the same transaction", function()
  local id = fresh()
  db:exec "DELETE FROM perilune_outbox"
  open(id)
  t.error(function()
    db:transaction(function()
      deposit(id, 5)
      error "no"
    end)
  end, "no")
  t.equal(select(2, store:load("account", id)), 1)
  local rows = db:query "SELECT * FROM perilune_outbox"
  t.equal({ #rows, rows[1].topic, rows[1].key }, { 1, "account-events", id })
  t.equal(outbox.decode_headers(rows[1].headers), { "type", "Opened" })
  local value = require "perilune.json".decode(rows[1].value)
  t.equal({ value.type, value.version, value.aggregate, value.aggregate_id }, { "Opened", 1, "account", id })
  t.equal(value.data, { owner = "ann" })
  t.equal(value.id, store:events("account", id)[1].id)
end)

t.test("a store elsewhere has no outbox", function()
  local elsewhere = sourcing.store { aggregates = { account }, database = ":memory:" }
  t.error(function() elsewhere:execute("account", "1", { type = "Open" }) end, "has to be in the default database")
  local quiet = sourcing.aggregate {
    name = "quiet", apply = { A = function() end }, decide = { A = function() return { type = "A" } end },
  }
  local memory = sourcing.store { aggregates = { quiet }, database = ":memory:" }
  t.equal(memory:execute("quiet", 1, { type = "A" }).version, 1)
  t.equal(select(2, memory:load("quiet", "1")), 1)
  t.equal(select(2, store:load("account", "1")), 0)
end)

t.test("commands inside of a transaction see what it has done", function()
  local id = fresh()
  db:transaction(function()
    open(id)
    t.equal(store:load("account", id).open, true)
    deposit(id, 3)
    t.equal(deposit(id, 4).version, 3)
  end)
  t.equal(store:load("account", id).balance, 7)
end)

-- Projections ---------------------------------------------------------------------------------------------------------

t.test("a projection follows, and is rebuilt while the old one answers", function()
  local id = fresh()
  open(id)
  deposit(id, 5)
  t.equal(store:catch_up(), true)
  t.equal(balance_of(id), 5)
  local before = store:status()[1]
  t.equal({ before.behind, before.rebuilding }, { 0, nil })
  db:exec(("UPDATE balances__%d SET balance = 777 WHERE account = ?"):format(before.generation), id)
  store:rebuild "balances"
  t.equal(balance_of(id), 777)
  deposit(id, 1)
  t.equal(store:catch_up(), true)
  t.equal(balance_of(id), 6)
  local after = store:status()[1]
  t.equal({ after.generation, after.behind }, { before.generation + 1, 0 })
  t.equal(db:value "SELECT count(*) FROM sqlite_master WHERE name GLOB 'balances__[0-9]*' AND type = 'table'", 1)
  t.error(function() store:rebuild "unknown" end, "no projection unknown")
end)

t.test("a failing projection waits at its event, and goes on", function()
  local id = fresh()
  open(id)
  deposit(id, 1)
  deposit(id, 13)
  deposit(id, 2)
  fails = true
  t.equal(store:catch_up(), false)
  fails = false
  t.equal(balance_of(id), 1)
  local status = store:status()[1]
  t.match(status.error, "^at position %d+: .*unlucky")
  t.equal(status.behind, 2)
  store.projections.balances.not_before = 0
  t.equal(store:catch_up(), true)
  t.equal({ balance_of(id), store:status()[1].error }, { 16, nil })
end)

t.test("a newer version of the code builds its own tables; older code leaves them alone", function()
  local id = fresh()
  open(id)
  deposit(id, 5)
  store:catch_up()
  local newer = sourcing.store {
    aggregates = { account },
    projections = { projection {
      version = 2,
      tables = "CREATE TABLE {balances} (account TEXT PRIMARY KEY, balance INTEGER NOT NULL, seen INTEGER, more TEXT)",
    } },
  }
  newer:open()
  t.equal(balance_of(id), 5)
  t.equal(newer:catch_up(), true)
  t.equal(balance_of(id), 5)
  t.equal(db:value("SELECT more FROM balances WHERE account = ?", id), nil)
  t.equal(newer:status()[1].version, 2)
  deposit(id, 1)
  t.equal(store:catch_up(), false)
  t.equal(balance_of(id), 5)
  newer:catch_up()
  t.equal(balance_of(id), 6)
end)

t.test("the first command may be one of a transaction", function()
  local counts = { name = "first_counts", tables = "CREATE TABLE {first_counts} (n)", project = {
    Opened = function(tables) tables:exec "INSERT INTO {first_counts} VALUES (1)" end,
  } }
  local name = "first-" .. fresh() .. ".db"
  local own = sqlite.open(name)
  local plain = sourcing.aggregate { name = "plain", apply = { Opened = function(s) s.open = true end }, decide = {
    Open = function() return { type = "Opened" } end,
  } }
  local function make()
    return sourcing.store { aggregates = { plain }, projections = { sourcing.projection(counts) }, database = own }
  end
  local one = make()
  t.error(function()
    own:transaction(function()
      one:execute("plain", 1, { type = "Open" })
      error "taken back"
    end)
  end, "taken back")
  t.equal(one:load("plain", 1), {}) -- the tables went, too
  own:transaction(function() one:execute("plain", 1, { type = "Open" }) end)
  t.equal({ one:load("plain", 1), one:catch_up() }, { { open = true }, true })
  t.equal({ make():load("plain", 1), own:value "SELECT count(*) FROM first_counts" }, { { open = true }, 1 })
end)

t.test("what is appended are events", function()
  t.error(function() store:append("account", fresh(), "Opened") end, "append was given something else than events, at 1")
  t.error(function() store:append("account", fresh(), { { kind = "Opened" } }) end, "something else than events, at 1")
  t.error(function() store:append("account", fresh(), { type = "Exploded" }) end, "append was given Exploded, which has no apply")
  t.equal(store:append("account", fresh(), nil).version, 0)
end)

t.test("an inline projection follows commands of many events whole", function()
  local many = sourcing.aggregate { name = "many", apply = { Counted = function() end }, decide = {
    Count = function(_, command)
      local events = {}
      for i = 1, command.n do events[i] = { type = "Counted" } end
      return events
    end,
  } }
  local own = sqlite.open("many-" .. fresh() .. ".db")
  local one = sourcing.store { aggregates = { many }, database = own, projections = { sourcing.projection {
    name = "counted", inline = true, tables = "CREATE TABLE {counted} (n)",
    project = { Counted = function(tables) tables:exec "INSERT INTO {counted} VALUES (1)" end },
  } } }
  one:execute("many", 1, { type = "Count", n = 250 })
  t.equal(own:value "SELECT count(*) FROM counted", 250)
end)

t.test("older code leaves alone what newer code builds, until it is asked for a rebuild of its own", function()
  local own = sqlite.open("builds-" .. fresh() .. ".db")
  local plain = sourcing.aggregate { name = "plain", apply = { Opened = function() end }, decide = {
    Open = function() return { type = "Opened" } end,
  } }
  local function code(version)
    return sourcing.store { aggregates = { plain }, database = own, projections = { sourcing.projection {
      name = "opened", version = version, tables = "CREATE TABLE {opened} (n)",
      project = { Opened = function(tables) tables:exec "INSERT INTO {opened} VALUES (1)" end },
    } } }
  end
  local older, newer = code(1), code(2)
  for i = 1, 60 do older:execute("plain", i, { type = "Open" }) end
  older:catch_up()
  newer.projections.opened.careful = 1000 -- one by one: it is not done after a turn
  newer:project()
  older:execute("plain", 61, { type = "Open" })
  older:project()
  local status = older:status()[1]
  t.equal({ status.behind, status.rebuilding }, { 0, { version = 2, position = 20 } })
  newer:project()
  t.equal(older:status()[1].rebuilding, { version = 2, position = 40 })
  older:rebuild "opened" -- the newer code was taken back
  t.equal(older:catch_up(), true)
  local after = older:status()[1]
  t.equal({ after.version, after.rebuilding, own:value "SELECT count(*) FROM opened" }, { 1, nil, 61 })
end)

t.test("an inline projection is part of the command", function()
  local inline = sourcing.store {
    aggregates = { account },
    projections = { sourcing.projection {
      name = "owners", inline = true,
      tables = "CREATE TABLE {owners} (account TEXT PRIMARY KEY, owner TEXT CHECK (owner <> 'bob'))",
      project = { Opened = function(tables, event, record)
        tables:exec("INSERT INTO {owners} VALUES (?, ?)", record.aggregate_id, event.owner)
      end },
    } },
  }
  inline:catch_up()
  local id, other = fresh(), fresh()
  inline:execute("account", id, { type = "Open", owner = "ann" })
  t.equal(db:value("SELECT owner FROM owners WHERE account = ?", id), "ann")
  store:execute("account", fresh(), { type = "Open", owner = "eve" }) -- which it has not followed
  local third = fresh()
  inline:execute("account", third, { type = "Open", owner = "ann" })
  t.equal(db:value("SELECT owner FROM owners WHERE account = ?", third), nil)
  t.equal(inline:catch_up(), true)
  t.equal(db:value("SELECT owner FROM owners WHERE account = ?", third), "ann")
  t.equal(db:value "SELECT count(*) FROM owners WHERE owner = 'eve'", 1)
  t.error(function() inline:execute("account", other, { type = "Open", owner = "bob" }) end, "FAILED_PRECONDITION")
  t.equal(select(2, inline:load("account", other)), 0)
end)
