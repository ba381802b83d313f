-- SPDX-License-Identifier: MIT
local streams, support = require "perilune.streams", require "support"
local same, outputs = support.same, support.outputs

-- filter, map, flat_map, peek, select_key
do
  local seen = {}
  local d = streams.driver(streams.topology("t", function(b)
    local s = b:stream("in", { timestamp = function(e) return e.at end })
    s:filter(function(e) return e.n > 1 end):map(function(e, key) return e.n * 10, key .. "!" end):to "mapped"
    s:filter_not(function(e) return e.n > 1 end):map_values(function(e) return { v = e.n } end):to "rest"
    s:flat_map(function(e) return { { value = e.n }, { key = 7, value = -e.n } } end):to "flat"
    s:flat_map_values(function(e) return { e.n, e.n } end):to "values"
    s:select_key(function(e) return e.n end):peek(function(_, key, r) seen[#seen + 1] = { key, r.timestamp, r.offset } end)
    s:map(function(e) return e.n end):to "same-key"
    s:foreach(function() seen.each = (seen.each or 0) + 1 end)
  end))
  d:pipe_input("in", "a", { n = 1, at = 1.5 })
  d:pipe_input("in", "b", { n = 2, at = 3 })
  same(outputs(d, "mapped"), { { "b!", 20, 3 } })
  same(outputs(d, "rest"), { { "a", { v = 1 }, 1.5 } })
  same(outputs(d, "flat"), { { "a", 1, 1.5 }, { "7", -1, 1.5 }, { "b", 2, 3 }, { "7", -2, 3 } })
  same(outputs(d, "values"), { { "a", 1, 1.5 }, { "a", 1, 1.5 }, { "b", 2, 3 }, { "b", 2, 3 } })
  same(outputs(d, "same-key"), { { "a", 1, 1.5 }, { "b", 2, 3 } })
  same(seen, { { "1", 1.5, 0 }, { "2", 3, 1 }, each = 2 })
  same(d:read_output "mapped", nil)
end

-- branch, merge, a topic chosen by the value, headers, keys, partitions
do
  local d = streams.driver(streams.topology("t", function(b)
    local s = b:stream("in")
    local big, small, rest = s:branch(function(e) return e.n >= 100 end, function(e) return e.n < 10 end)
    big:to("big", {
      key = function(e) return e.n end,
      headers = function() return { x = "y" } end,
      partition = function() return 3 end,
    })
    small:merge(rest, b:stream "other"):to(function(e) return e.n == 50 and "fifty" or "merged" end)
  end))
  for i, n in ipairs { 100, 1, 50, 11 } do d:pipe_input("in", "k", { n = n }, i, { headers = { h = "1" } }) end
  d:pipe_input("other", nil, { n = 12 }, 9)
  local big = d:read_output "big"
  same(big, { key = "100", value = { n = 100 }, headers = { x = "y" }, timestamp = 1, partition = 3 })
  same(outputs(d, "fifty"), { { "k", '{"n":50}', 3 } })
  local merged = d:read_output "merged"
  same({ merged.key, merged.headers }, { "k", { h = "1" } })
  same(#d:read_all "merged", 2)
end

-- A topic that the topology reads and writes goes on at once.
do
  local d = streams.driver(streams.topology("t", function(b)
    b:stream("in"):map_values(function(v) return v + 1 end):to "middle"
    b:stream("middle"):map_values(function(v) return v * 2 end):to "out"
  end))
  d:pipe_input("in", "k", 4, 1)
  same(outputs(d, "out"), { { "k", 10, 1 } })
  same(outputs(d, "middle"), { { "k", 5, 1 } })
end

-- Formats, tombstones, and events without a time.
do
  local d = streams.driver(streams.topology("t", function(b)
    b:stream("in", { format = "bytes" }):filter(function(v) return v ~= "no" end):to("out", { format = "bytes" })
    local names = b:table("names", { store = "names" }):map_values(function(v) return v.name end)
    names:filter(function(n) return n ~= "x" end):to "upper"
    b:stream("timed", { timestamp = function(e) return e.at end }):to "timed-out"
  end), { start = 100 })
  d:pipe_input("in", "k", "\0\255")
  d:pipe_input("in", "k", "no")
  d:pipe_input("in", "k", nil, 5)
  same(outputs(d, "out"), { { "k", "\0\255", 100 }, { "k", nil, 5 } })
  d:pipe_input("names", 1, { name = "Ada" })
  d:pipe_input("names", 1, { name = "x" })
  d:pipe_input("names", 1, nil)
  d:pipe_input("names", nil, { name = "nobody" })
  same(outputs(d, "upper"), { { "1", "Ada", 100 }, { "1", nil, 100 }, { "1", nil, 100 } })
  same(d:store("names"):get(1), nil)
  for _, at in ipairs { "soon", true, 2 ^ 60 } do d:pipe_input("timed", "k", { at = at }) end
  d:pipe_input("timed", "k", {})
  d:pipe_input("timed", "k", { at = -1.25 })
  same(outputs(d, "timed-out"), { { "k", { at = -1.25 }, -1.25 } })
  same(d:counts(), { no_key = 1, no_timestamp = 4 })
end
return "ok"
