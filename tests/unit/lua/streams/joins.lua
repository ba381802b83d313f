-- SPDX-License-Identifier: MIT
local streams, support = require "perilune.streams", require "support"
local same, outputs, show = support.same, support.outputs, support.show

local function driver(fn)
  return streams.driver(streams.topology("t", fn))
end

local function pair(a, b) return { a and a.n or "-", b and b.n or "-" } end

-- A stream with a table: what the table has at that moment; by another key through a topic of its own.
do
  local d = driver(function(b)
    local users = b:table("users", { store = "users" })
    local payments = b:stream "payments"
    payments:join(users, function(p, u) return p.n .. u.name end):to "inner"
    payments:left_join(users, function(p, u, key) return p.n .. (u and u.name or "?") .. (key or "") end):to "left"
    payments:select_key(function(p) return p.by end):join(users, function(p, u) return p.n .. u.name end, { name = "by" }):to "by"
    payments:join(users:filter(function(u) return u.name ~= "Bob" end):map_values(function(u) return u.name:upper() end),
      function(p, name) return p.n .. name end):to "mapped"
  end)
  d:pipe_input("payments", "a", { n = 1 })
  d:pipe_input("users", "a", { name = "Ada" })
  d:pipe_input("payments", "a", { n = 2 })
  d:pipe_input("users", "a", { name = "Bob" })
  d:pipe_input("payments", "x", { n = 3, by = "a" })
  d:pipe_input("payments", "a", { n = 4 })
  d:pipe_input("users", "a", nil)
  d:pipe_input("payments", "a", { n = 5 })
  d:pipe_input("payments", nil, { n = 6 })
  same(outputs(d, "inner"), { { "a", "2Ada", 0 }, { "a", "4Bob", 0 } })
  same(outputs(d, "left"), { { "a", "1?a", 0 }, { "a", "2Adaa", 0 }, { "x", "3?x", 0 }, { "a", "4Boba", 0 }, { "a", "5?a", 0 } })
  same(outputs(d, "by"), { { "a", "3Bob", 0 } })
  same(outputs(d, "mapped"), { { "a", "2ADA", 0 } })
  local subs = d.topology.subs
  same({ #subs, subs[1].topics, subs[1].changelog, subs[2] }, { 1, { "users", "payments", "t-by-repartition" }, "t-changelog-1" })
end

-- An aggregate is a table, too.
do
  local d = driver(function(b)
    local s = b:stream "in"
    s:join(s:group_by_key():count { store = "n" }, function(v, n) return v + n end):to "out"
    s:filter(function(v) return v > 10 end):to_table { store = "big" }:to "big"
  end)
  for _, v in ipairs { 10, 20 } do d:pipe_input("in", "k", v) end
  same(outputs(d, "out"), { { "k", 11, 0 }, { "k", 22, 0 } }) -- the count stands before the join
  same(outputs(d, "big"), { { "k", 20, 0 } })
end

-- Two streams: both ends of the window count.
do
  local d = driver(function(b)
    b:stream("l"):join(b:stream "r", pair, { window = streams.join_window { before = 5, after = 10, grace = 3 } }):to "out"
  end)
  d:pipe_input("l", "k", { n = 1 }, 100)
  for i, at in ipairs { 94.999, 95, 110, 110.001 } do d:pipe_input("r", "k", { n = i + 10 }, at) end
  d:pipe_input("r", "other", { n = 20 }, 100)
  same(outputs(d, "out"), { { "k", { 1, 12 }, 100 }, { "k", { 1, 13 }, 110 } })
  d:pipe_input("r", "z", { n = 21 }, 113)
  d:pipe_input("r", "k", { n = 22 }, 109) -- 1 may still be met
  d:pipe_input("r", "z", { n = 23 }, 113.001)
  d:pipe_input("r", "k", { n = 24 }, 109) -- and now no more
  d:pipe_input("l", "k", { n = 25 }, 100)
  same(outputs(d, "out"), { { "k", { 1, 22 }, 109 } })
  same(d:counts(), { late = 2 }) -- 20 and 25
end

-- left and outer: what has met nothing comes when it is closed, once.
do
  local d = driver(function(b)
    local l, r = b:stream "l", b:stream "r"
    local window = streams.join_window { within = 5, grace = 1 }
    l:left_join(r, pair, { window = window, name = "one" }):to "left"
    l:outer_join(r, pair, { window = window, name = "two" }):to "outer"
  end)
  d:pipe_input("l", "k", { n = 1 }, 0)
  d:pipe_input("r", "k", { n = 2 }, 20)
  d:pipe_input("l", "k", { n = 3 }, 25)
  d:pipe_input("r", "q", { n = 4 }, 25)
  d:pipe_input("l", "z", { n = 5 }, 100)
  same(outputs(d, "left"), { { "k", { 1, "-" }, 0 }, { "k", { 3, 2 }, 25 } })
  same(outputs(d, "outer"), { { "k", { 1, "-" }, 0 }, { "k", { 3, 2 }, 25 }, { "q", { "-", 4 }, 25 } })
end

-- Random events within grace, beside a plain computation. ----------------------------------------------------------------------
local function events(chance, grace)
  local list, youngest, now = {}, nil, chance(2) == 0 and -40 or 0
  for i = 1, 10 + chance(40) do
    now = now + chance(4) * chance(4)
    local at = now - chance(grace + 1)
    if youngest then at = math.max(at, youngest - grace) end
    youngest = math.max(youngest or at, at)
    list[i] = { side = chance(2) == 0 and "l" or "r", key = ("ab"):sub(1 + chance(2)):sub(1, 1), at = at, n = i }
  end
  return list, youngest
end

local function count(set, text)
  set[text] = (set[text] or 0) + 1
end

local function reference(list, youngest, w, kind)
  local found = {}
  for _, e in ipairs(list) do
    local met = false
    for _, f in ipairs(list) do
      local l, r = e.side == "l" and e or f, e.side == "l" and f or e
      if e.side ~= f.side and e.key == f.key and l.at - w.before <= r.at and r.at <= l.at + w.after then
        met = true
        if e.side == "l" then count(found, ("%d-%d at %d"):format(l.n, r.n, math.max(l.at, r.at))) end
      end
    end
    local ahead = e.side == "l" and w.after or w.before
    local outer = kind == "outer" or (kind == "left" and e.side == "l")
    if not met and outer and e.at + ahead + w.grace < youngest then
      count(found, e.side == "l" and ("%d-- at %d"):format(e.n, e.at) or ("--%d at %d"):format(e.n, e.at))
    end
  end
  return found
end

local methods = { inner = "join", left = "left_join", outer = "outer_join" }
-- luacheck: globals PART PARTS
for number = PART, 600, PARTS do
  local chance = support.chance(number)
  local w = { before = chance(10), after = chance(10), grace = chance(12) }
  local list, youngest = events(chance, w.grace)
  local kind = ({ "inner", "left", "outer" })[1 + number % 3]
  local d = driver(function(b)
    local times = { timestamp = function(e) return e.at end }
    local l, r = b:stream("l", times), b:stream("r", times)
    l[methods[kind]](l, r, function(x, y) return ("%s-%s"):format(x and x.n or "-", y and y.n or "-") end,
      { window = streams.join_window(w), name = "j" }):to "out"
  end)
  local found = {}
  for i, e in ipairs(list) do
    d:pipe_input(e.side, e.key, e)
    if i % 7 == 0 then d.tasks[1]:expire(1 + number % 4) end
  end
  for _, e in ipairs(d:read_all "out") do count(found, ("%s at %d"):format(e.value, math.floor(e.timestamp))) end
  same(found, reference(list, youngest, w, kind), ("case %d, %s %s: %s"):format(number, kind, show(w), show(list)))
  same(d:counts(), {})
end
return "ok"
