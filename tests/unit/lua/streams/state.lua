-- SPDX-License-Identifier: MIT
-- State in SQLite: a topology whose tasks commit now and then, and are restored from the changelog, writes what one does that
-- never does so; and what is left of a crash.
local streams, support = require "perilune.streams", require "support"
local Backend, changelog = require "perilune.streams.backend", require "perilune.streams.changelog"
local Task, view = require "perilune.streams.task", require "perilune.streams.view"
local sqlite = require "perilune.sqlite"
local same = support.same

-- A database that is empty: sqlite.open gives one for each path.
local function fresh(sub)
  local backend = Backend.open(":memory:", sub.stores)
  backend.clear()
  return backend
end

local function topology()
  return streams.topology("t", function(b)
    local times = { timestamp = function(e) return e.at end }
    local l, r = b:stream("l", times), b:stream("r", times)
    local function sum(a, e) a.n = a.n + e.n return a end
    local function init() return { n = 0 } end
    local fixed = l:group_by_key():window(streams.hopping { size = 6, advance = 2, grace = 4 })
    fixed:aggregate { init = init, add = sum, store = "fixed" }:suppress():to "fixed"
    local sessions = l:group_by_key():window(streams.session { gap = 3, grace = 4 })
    sessions:aggregate { init = init, add = sum, merge = sum, store = "sessions" }:to "sessions"
    l:outer_join(r, function(a, c) return { a and a.n, c and c.n } end,
      { window = streams.join_window { within = 4, grace = 3 }, name = "j" }):to "joined"
    l:left_join(r:to_table { store = "latest" }, function(a, c) return { a.n, c and c.n } end):to "enriched"
    local function reduce(a, e) return e.n % 5 ~= 0 and { n = a.n + e.n } or nil end
    r:group_by_key():reduce(reduce, { store = "reduced" }):to "reduced"
  end)
end

local function events(chance)
  local list, now = {}, chance(2) == 0 and -20 or 5
  for i = 1, 30 + chance(60) do
    now = now + chance(3) * chance(3)
    list[i] = {
      topic = chance(2) == 0 and "l" or "r",
      key = ("abc"):sub(1 + chance(3)):sub(1, 1),
      value = { at = now - chance(10), n = i },
    }
  end
  return list
end

-- Runs the events through a task; commit(task, at) is called after each.
local function run(task, list, commit)
  local json = require "perilune.json"
  local out = {}
  local function collect()
    for _, e in ipairs(task.out) do out[#out + 1] = ("%s %s %s %d"):format(e.topic, e.key, e.value, e.time) end
    task.out = {}
  end
  for i, e in ipairs(list) do
    assert(task:process(e.topic, { key = e.key, value = json.encode(e.value), timestamp = 0, offset = i - 1 }))
    collect()
    task = commit and commit(task, i) or task
  end
  return out, task
end

local function restore_all(backend, log)
  local restorer, from = changelog.restorer(backend, #log)
  for i = from + 1, #log do
    if restorer:take(log[i]) then
      backend.clear()
      return restore_all(backend, log)
    end
  end
  return restorer:finish()
end

-- luacheck: globals PART PARTS
for number = PART, 80, PARTS do
  local chance = support.chance(number + 900)
  local list, t = events(chance), topology()
  local sub = t.subs[1]
  same(#t.subs, 1)
  local expected, plain = run(Task.new(sub, 0), list)
  local log, batch, backend = {}, nil, fresh(sub)
  local function write(record)
    record.offset = #log
    log[#log + 1] = record
  end
  local actual, task = run(Task.new(sub, 0, backend), list, function(task, at)
    local what = chance(9)
    if what > 3 then return end
    task:expire(1 + chance(5))
    local changes, id, positions = task:changes(), ("b%d"):format(at), { l = at, r = at }
    for _, change in ipairs(changes) do write(changelog.entry(change, id)) end
    write(changelog.marker(id, batch, nil, positions))
    if what > 0 then -- else the local commit is lost, and comes back from the changelog
      backend.apply(changes, positions, { batch = id, offset = #log })
    end
    batch = id
    task:committed()
    if what > 1 then return end
    -- A rebalance: what another has begun and not finished counts for nothing.
    write(changelog.entry({ store = "latest", key = "a", t1 = 0, t2 = 0, value = "garbage!!" }, "torn"))
    if chance(2) == 0 then write(changelog.marker("torn", "never", nil, { l = 1, r = 1 })) end
    if chance(3) == 0 then backend.clear() end
    restore_all(backend, log)
    same(backend.positions(), positions)
    return Task.new(sub, 0, backend)
  end)
  same(actual, expected, "case " .. number)
  for _, name in ipairs { "fixed", "sessions", "latest", "reduced" } do
    if name == "latest" or name == "reduced" then
      local function states(one) return function() return { one.state } end end
      same(view.new(t.stores[name], states(task)):all(), view.new(t.stores[name], states(plain)):all(), name)
    end
  end
end

-- What nobody needs any more is deleted, here and (by tombstones) in the changelog.
do
  local t = topology()
  local sub = t.subs[1]
  local backend, live = fresh(sub), {}
  local task = Task.new(sub, 0, backend)
  for i = 1, 400 do
    assert(task:process("l", { key = "k" .. i, value = ('{"at":%d,"n":1}'):format(i * 3), timestamp = 0, offset = i }))
    if i % 20 == 0 then
      task:expire(1000)
      local changes = task:changes()
      for _, change in ipairs(changes) do
        local record = changelog.entry(change, "b")
        live[record.key] = record.value
      end
      backend.apply(changes, {}, {})
      task:committed()
    end
  end
  local rows = sqlite.open(":memory:"):value "SELECT count(*) FROM timed"
  local in_log = 0
  for _ in pairs(live) do in_log = in_log + 1 end
  if rows > 250 or in_log > 300 then error(("%d rows, %d keys in the changelog"):format(rows, in_log)) end
end

-- Restoring: from nothing, from another log, over a gap, after a restore that was not finished.
do
  local definition = { name = "s", kind = "key-value" }
  local backend = Backend.open(":memory:", { definition })
  backend.clear()
  local function entry(offset, key, value, batch)
    local record = changelog.entry({ store = "s", key = key, t1 = 0, t2 = 0, value = value }, batch)
    record.offset = offset
    return record
  end
  local function marker(offset, id, previous, number)
    local record = changelog.marker(id, previous, number, { ["in"] = offset })
    record.offset = offset
    return record
  end
  local function restore(log, log_end)
    local restorer, from = changelog.restorer(backend, log_end or #log)
    for _, record in ipairs(log) do
      if record.offset >= from and restorer:take(record) then return "gap" end
    end
    return restorer:finish()
  end
  local function has(key) return backend.get("s", key, 0, 0) end
  same(restore {}, 0)
  same(restore { entry(0, "a", "1", "x") }, 0) -- never finished
  same(has "a", nil)
  local log = { entry(0, "a", "1", "x"), entry(1, "b", "1", "x"), marker(2, "x"), entry(3, "a", false, "y"), marker(4, "y", "x") }
  same(restore(log), 3)
  same({ has "a", has "b", backend.mark "offset", backend.positions() }, { nil, "1", 5, { ["in"] = 4 } })
  same(restore(log), 0)
  log[#log + 1] = entry(5, "b", "2", "z")
  same(restore(log), 0)
  same(has "b", "1")
  log[#log + 1] = entry(6, "b", "3", "w")
  log[#log + 1] = marker(7, "w", "y")
  same({ restore(log), has "b" }, { 1, "3" })
  same(restore({ entry(20, "c", "1", "q"), marker(21, "q", "p") }, 22), "gap")
  same({ restore({ entry(0, "c", "1", "q"), marker(1, "q", "p") }, 2), has "b", has "c" }, { 1, nil, "1" }) -- of another log
  backend.apply({ { store = "s", key = "half", t1 = 0, t2 = 0, value = "1" } }, {}, { restoring = 1 })
  same({ restore { entry(0, "c", "1", "q"), marker(1, "q", "p") }, has "half" }, { 1, nil })
  -- The first marker that compaction has left: one that did not count, or one behind which there is one that does not.
  local start = { entry(7, "a", "z", "z"), marker(8, "z", "gone", 3) }
  backend.clear()
  restore({ start[1], start[2], entry(9, "a", "1", "d"), marker(10, "d", "c", 4) }, 11)
  same({ has "a", backend.mark "batch", backend.positions() }, { "1", "d", { ["in"] = 10 } })
  backend.clear()
  restore({ marker(8, "c", "b", 3), entry(9, "a", "z", "z"), marker(10, "z", "b", 3), marker(11, "d", "c", 4) }, 12)
  same({ has "a", backend.mark "batch", backend.mark "number" }, { nil, "d", 5 })
  -- Entries that do not count, and are the latest of their place.
  local function strays(...)
    backend.clear()
    local _, list = restore({ ... }, 20)
    local keys = {}
    for i, stray in ipairs(list) do keys[i] = stray.key end
    table.sort(keys)
    return keys
  end
  local torn = { entry(0, "a", "1", "x"), marker(1, "x"), entry(2, "a", "2", "torn"), entry(3, "b", "2", "torn") }
  same(strays(table.unpack(torn)), { "a", "b" })
  same(strays(torn[1], torn[2], torn[3], torn[4], entry(4, "a", "1", "y"), marker(5, "y", "x")), { "b" })
  same(strays(torn[1], torn[2], torn[3], marker(4, "torn", "w"), entry(5, "a", "3", "y")), { "a" })
  same(strays(torn[1], torn[2], torn[3], entry(4, "a", "3", "y"), entry(5, "b", "3", "y"), marker(6, "y", "x")), {})
  -- Values and keys are bytes.
  backend.apply({ { store = "s", key = "\0\255'", t1 = 0, t2 = 0, value = "\0\1" } }, {}, {})
  same({ has "\0\255'", backend.range("s", "\0", "\1", 5)[1].key, backend.range("s", "d", nil, 5) }, { "\0\1", "\0\255'", {} })
end
return "ok"
