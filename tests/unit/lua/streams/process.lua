-- SPDX-License-Identifier: MIT
local streams, support = require "perilune.streams", require "support"
local same, fails, outputs = support.same, support.fails, support.outputs

-- Stores, forwarding, punctuation by both clocks.
local ticks = {}
local d = streams.driver(streams.topology("t", function(b)
  local latest = b:store("latest", { format = "json" })
  b:stream("in"):process {
    name = "keeper",
    stores = { latest },
    process = function(value, key, record, ctx)
      local store = ctx:store "latest"
      local old = store:get(key)
      store:put(key, value)
      ctx:forward({ old = old, new = value }, key, record.timestamp + 1)
      if value == "gone" then store:delete(key) end
    end,
    punctuate = {
      { every = 10, run = function(time, ctx)
        ticks[#ticks + 1] = time
        for key, value in ctx:store("latest"):all() do ctx:forward(value, key) end
      end },
      { every = 60, by = "stream_time", run = function(time, ctx) ctx:forward("minute", "m", time) end },
    },
  }:to "out"
end), { start = 1000 })
d:pipe_input("in", "b", 1)
d:pipe_input("in", "a", 2)
d:pipe_input("in", "b", 3)
d:pipe_input("in", "c", "gone")
same(outputs(d, "out"), {
  { "b", { new = 1 }, 1001 }, { "a", { new = 2 }, 1001 }, { "b", { new = 3, old = 1 }, 1001 }, { "c", { new = "gone" }, 1001 },
})
d:advance_time(9.999)
same(ticks, {})
d:advance_time(0.001)
same(outputs(d, "out"), { { "a", 2, 1010 }, { "b", 3, 1010 } })
d:advance_time(25)
same(ticks, { 1010, 1020, 1030 })
same(#outputs(d, "out"), 4)
d:pipe_input("in", "x", 1, 1079)
d:pipe_input("in", "x", 1, 1081)
d:pipe_input("in", "x", 1, 1085)
d:pipe_input("in", "x", 1, 1300)
local minutes = {}
for _, one in ipairs(outputs(d, "out")) do
  if one[1] == "m" then minutes[#minutes + 1] = one[3] end
end
same(minutes, { 1079, 1081, 1300 })
same(d:store("latest"):all(), { { key = "a", value = 2 }, { key = "b", value = 3 }, { key = "x", value = 1 } })
same(d:store("latest"):range("b", "w"), { { key = "b", value = 3 } })
same(d:store("latest"):range("a", nil, 1), { { key = "a", value = 2 } })

-- A punctuation that fails has no effect, is tried again, and holds up no other.
local broken, seen = true, {}
local f = streams.driver(streams.topology("t", function(b)
  b:store "s"
  b:stream("in"):process { name = "p", stores = { "s" }, punctuate = {
    { every = 10, run = function(time, ctx) ctx:forward(time, "before") end },
    { every = 10, run = function(time, ctx)
      ctx:store("s"):put("k", time)
      ctx:forward(time, "fails")
      if broken then error "broken" end
    end },
    { every = 10, run = function(time, ctx) ctx:forward(time, "behind") end },
  } }:to "out"
end), { on_error = function(why) seen[#seen + 1] = tostring(why) end })
f:advance_time(10)
same({ #seen, f:store("s"):get "k" }, { 1, nil })
same(outputs(f, "out"), { { "before", 10, 10 }, { "behind", 10, 10 } })
broken = false
f:advance_time(1)
same(outputs(f, "out"), { { "fails", 10, 10 } })
f:advance_time(9)
same({ #outputs(f, "out"), #seen, f:store("s"):get "k" }, { 3, 1, 20 })

fails(function()
  streams.topology("t", function(b) b:stream("in"):process { stores = { "none" }, process = print } end)
end, "there is no store none")
-- What says how values are written wins over how they came.
for _, what in ipairs { "reduce", "to_table", "repartition" } do
  local one = streams.driver(streams.topology("t", function(b)
    local s = b:stream("in", { format = "json" })
    if what == "reduce" then
      s:group_by_key():reduce(function(a) return a end, { message = "no.such.Message" })
    elseif what == "to_table" then
      s:to_table { message = "no.such.Message" }
    else
      s:repartition { message = "no.such.Message" }:to "out"
    end
  end))
  fails(function() one:pipe_input("in", "k", { n = 1 }) end, "there are no messages")
end
local keyless = streams.driver(streams.topology("t", function(b)
  b:store "s"
  b:stream("in"):process { stores = { "s" }, process = function(value, key, _, ctx) ctx:store("s"):put(key, value) end }
end))
fails(function() keyless:pipe_input("in", nil, 1) end, "store s: there is no entry without a key")
same(keyless:store("s"):get(nil), nil)

local e = streams.driver(streams.topology("t", function(b)
  b:stream("in"):process { name = "p", process = function(_, _, _, ctx) ctx:store "x" end }
end))
fails(function() e:pipe_input("in", "k", 1) end, "processor p: it has no store x")

-- Many keys: a store is walked in pages, and what is closed comes out in parts.
local many = streams.driver(streams.topology("t", function(b)
  b:store "s"
  local s = b:stream "in"
  s:process { stores = { "s" }, process = function(v, key, _, ctx)
    if v == 0 then
      local n, last = 0, ""
      for one in ctx:store("s"):all() do n, last = n + 1, assert(one > last and one) end
      ctx:forward(n)
    end
    ctx:store("s"):put(key, v)
  end }:to "n"
  s:group_by_key():window(streams.tumbling { size = 10 }):count():suppress():to "final"
end))
for i = 1, 2500 do many:pipe_input("in", ("k%d"):format(i), i, 5) end
many:pipe_input("in", "end", 0, 20)
same(outputs(many, "n"), { { "end", 2500, 20 } })
same(#outputs(many, "final"), 2500)
return "ok"
