-- SPDX-License-Identifier: MIT
-- Counts, reductions and aggregates, without windows and in windows; by example, and beside a plain computation.
local streams, support = require "perilune.streams", require "support"
local same, outputs, show = support.same, support.outputs, support.show

local function grouped(b)
  return b:stream("in", { timestamp = function(e) return e.at end }):group_by(function(e) return e.user end)
end

local function driver(fn, options)
  return streams.driver(streams.topology("t", fn), options)
end

-- { { key, start, stop, value }, … } of results with windows.
local function results(d, topic)
  local all = {}
  for i, event in ipairs(d:read_all(topic)) do
    local from, to = event.headers["perilune-window-start"], event.headers["perilune-window-end"]
    all[i] = { event.key, from / 1000, to / 1000, event.value }
  end
  return all
end

-- Without windows; what has no key or value is left out.
do
  local d = driver(function(b)
    local g = grouped(b)
    g:count { store = "n" }:to "n"
    local most = g:reduce(function(a, e) return a.v > e.v and a or e end, { store = "most" })
    most:to_stream():map_values(function(e) return e.v end):to "most"
    g:aggregate {
      store = "sum",
      init = function() return { sum = 0 } end,
      add = function(a, e, key) a.sum, a.key = a.sum + e.v, key return a.sum < 100 and a or nil end,
    }:to "sum"
  end)
  d:pipe_input("in", nil, { user = "a", v = 5, at = 10 })
  d:pipe_input("in", nil, { user = "a", v = 3, at = 2 })
  d:pipe_input("in", nil, { v = 3, at = 2 })
  d:pipe_input("in", nil, { user = "a", v = 92, at = 4 })
  same(outputs(d, "n"), { { "a", 1, 10 }, { "a", 2, 10 }, { "a", 3, 10 } })
  same(outputs(d, "most"), { { "a", 5, 10 }, { "a", 5, 10 }, { "a", 92, 10 } })
  same(outputs(d, "sum"), { { "a", { key = "a", sum = 5 }, 10 }, { "a", { key = "a", sum = 8 }, 10 }, { "a", nil, 10 } })
  same({ d:store("n"):get "a", d:store("sum"):get "a", d:counts() }, { 3, nil, { no_key = 1 } })
  same(d:store("n"):all(), { { key = "a", value = 3 } })
  same(#d:read_all "t-n-repartition", 3) -- one for all three
end

-- Tumbling windows with grace: late by one too much.
do
  local d = driver(function(b)
    local t = grouped(b):window(streams.tumbling { size = 10, grace = 5 }):count { store = "n" }
    t:to "n"
    t:suppress():to "final"
  end)
  for _, at in ipairs { 0, 9.999, 10, 14.999, 5, 15, 6, -0.001, 25, 12, 24, 40 } do
    d:pipe_input("in", nil, { user = "a", at = at })
  end
  same(results(d, "n"), {
    { "a", 0, 10, 1 }, { "a", 0, 10, 2 }, { "a", 10, 20, 1 }, { "a", 10, 20, 2 }, { "a", 0, 10, 3 }, { "a", 10, 20, 3 },
    { "a", 20, 30, 1 }, { "a", 20, 30, 2 }, { "a", 40, 50, 1 },
  })
  same(results(d, "final"), { { "a", 0, 10, 3 }, { "a", 10, 20, 3 }, { "a", 20, 30, 2 } })
  same(d:counts(), { late = 3 })
  same(d:store("n"):fetch("a", 0, 10), {
    { key = "a", window = { start = 0, stop = 10, start_ms = 0, stop_ms = 10000 }, value = 3 },
    { key = "a", window = { start = 10, stop = 20, start_ms = 10000, stop_ms = 20000 }, value = 3 },
  })
end

-- Hopping windows overlap; the older one first.
do
  local d = driver(function(b) grouped(b):window(streams.hopping { size = 10, advance = 5 }):count():to "n" end)
  d:pipe_input("in", nil, { user = "a", at = 7 })
  d:pipe_input("in", nil, { user = "a", at = -3 })
  d:pipe_input("in", nil, { user = "a", at = 1 })
  same(results(d, "n"), { { "a", 0, 10, 1 }, { "a", 5, 15, 1 }, { "a", 0, 10, 2 } })
  same(d:counts(), { late = 2 })
end

-- Sessions grow and merge; those that are merged are deleted.
do
  local d = driver(function(b)
    local t = grouped(b):window(streams.session { gap = 5, grace = 10 }):count { store = "s" }
    t:to "s"
    t:suppress():to "final"
  end)
  for _, at in ipairs { 0, 10, 5, 16, 3, 31, 32, 10 } do d:pipe_input("in", nil, { user = "a", at = at }) end
  same(results(d, "s"), {
    { "a", 0, 0, 1 }, { "a", 10, 10, 1 },
    { "a", 0, 0 }, { "a", 10, 10 }, { "a", 0, 10, 3 },
    { "a", 16, 16, 1 }, { "a", 0, 10, 4 }, { "a", 31, 31, 1 }, { "a", 31, 31 }, { "a", 31, 32, 2 },
  })
  same(results(d, "final"), { { "a", 0, 10, 4 }, { "a", 16, 16, 1 } })
  same(d:counts(), { late = 1 })
end

-- Random events in any order within grace: the last result of each window, and the final ones, beside a plain computation. -----
local function events(chance, grace)
  local list, now, n = {}, chance(2) == 0 and -50 or chance(30), 0
  for i = 1, 10 + chance(40) do
    now = now + chance(4) * chance(6)
    list[i] = { user = ("abc"):sub(1 + chance(3)):sub(1, 1), at = now - chance(grace + 1), n = i, v = chance(100) }
    n = math.max(n, now)
  end
  -- An event may be older than the youngest before it by grace at most.
  local youngest = math.mininteger
  for _, e in ipairs(list) do
    if youngest ~= math.mininteger then e.at = math.max(e.at, youngest - grace) end
    youngest = math.max(youngest, e.at)
  end
  return list, youngest
end

local function fixed_reference(list, size, advance)
  local found = {}
  for _, e in ipairs(list) do
    local start = e.at // advance * advance
    while start + size > e.at do
      local name = ("%s %d %d"):format(e.user, start, start + size)
      found[name] = found[name] or { n = 0, sum = 0, set = {} }
      local one = found[name]
      one.n, one.sum, one.stop, one.set[#one.set + 1] = one.n + 1, one.sum + e.v, start + size, e.n
      start = start - advance
    end
  end
  return found
end

local function session_reference(list, gap)
  local sorted, found, open = table.move(list, 1, #list, 1, {}), {}, {}
  table.sort(sorted, function(a, b) return a.at < b.at or (a.at == b.at and a.n < b.n) end)
  for _, e in ipairs(sorted) do
    local one = open[e.user]
    if not one or e.at - one.stop > gap then
      one = { n = 0, sum = 0, set = {}, start = e.at }
      open[e.user], found[#found + 1] = one, one
      one.user = e.user
    end
    one.n, one.sum, one.stop, one.set[#one.set + 1] = one.n + 1, one.sum + e.v, e.at, e.n
  end
  local named = {}
  for _, one in ipairs(found) do named[("%s %d %d"):format(one.user, one.start, one.stop)] = one end
  return named
end

local function plain(found)
  local all = {}
  for name, one in pairs(found) do
    table.sort(one.set)
    all[name] = { n = one.n, sum = one.sum, set = one.set }
  end
  return all
end

local function latest(list, once)
  local found = {}
  for _, one in ipairs(list) do
    local name = ("%s %d %d"):format(one[1], one[2], one[3])
    if once and found[name] then error("a final result came twice: " .. name) end
    found[name] = one[4]
    if one[4] then table.sort(one[4].set) end
  end
  return found
end

local function case(number, window, reference, grace, closed)
  local list, youngest = events(support.chance(number), grace)
  local d = driver(function(b)
    local t = grouped(b):window(window):aggregate {
      init = function() return { n = 0, sum = 0, set = {} } end,
      add = function(a, e) a.n, a.sum, a.set[#a.set + 1] = a.n + 1, a.sum + e.v, e.n return a end,
      merge = function(a, b2)
        table.move(b2.set, 1, #b2.set, #a.set + 1, a.set)
        return { n = a.n + b2.n, sum = a.sum + b2.sum, set = a.set }
      end,
      store = "s",
    }
    t:to "all"
    t:suppress():to "final"
  end)
  for _, e in ipairs(list) do
    d:pipe_input("in", nil, e)
    if number % 3 == 0 then d.tasks[2]:expire(1 + number % 5) end -- what is gone may not matter
  end
  local expected = reference(list)
  local what = ("case %d of %s: %s"):format(number, window.kind, show(list))
  same(latest(results(d, "all")), plain(expected), what)
  local final = {}
  for name, one in pairs(expected) do
    if closed(one.stop, youngest) then final[name] = one end
  end
  same(latest(results(d, "final"), true), plain(final), what .. " final")
  same(d:counts(), {}, what)
end

-- luacheck: globals PART PARTS
for number = PART, 350, PARTS do
  local chance = support.chance(number + 5000)
  local size, grace = 1 + chance(12), chance(15)
  local advance = 1 + chance(size)
  case(number, streams.tumbling { size = size, grace = grace }, function(list)
    return fixed_reference(list, size, size)
  end, grace, function(stop, now) return stop + grace <= now end)
  case(number, streams.hopping { size = size, advance = advance, grace = grace },
    function(list) return fixed_reference(list, size, advance) end, grace, function(stop, now) return stop + grace <= now end)
  case(number, streams.session { gap = size, grace = grace }, function(list)
    return session_reference(list, size)
  end, grace, function(stop, now) return stop + size + grace < now end)
end
return "ok"
