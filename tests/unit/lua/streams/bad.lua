-- SPDX-License-Identifier: MIT
local streams, support, errors = require "perilune.streams", require "support", require "perilune.errors"
local same, fails, outputs = support.same, support.fails, support.outputs

local function topology(fn) return streams.topology("t", fn) end

-- What is wrong is said where it is written.
fails(function() streams.topology("a/b", function() end) end, "may have letters")
fails(function() topology(function() end) end, "reads no topic")
fails(function() topology(function(b) b:stream("in", { timestmp = 1 }) end) end, "stream: there is no option timestmp")
fails(function() topology(function(b) b:stream "in" b:stream "in" end) end, "in is read twice")
fails(function() topology(function(b) b:stream("in"):filter(5) end) end, "filter: a function is expected, not a number")
fails(function() topology(function(b) b:stream("in", { format = "xml" }) end) end, "format must be")
fails(function() topology(function(b) b:stream("in", { format = "protobuf" }) end) end, "needs the name of the message")
fails(function() topology(function(b) b:stream("in"):group_by_key():window {} end) end, "tumbling, hopping or session")
fails(function() topology(function(b) b:stream("in"):join(b:stream "x", print) end) end, "needs { window")
fails(function() topology(function(b) b:stream("in"):outer_join(b:table "x", print) end) end, "joined by join and left_join")
fails(function() topology(function(b) b:stream("in"):group_by_key():count():suppress() end) end, "suppress follows")
fails(function()
  topology(function(b) b:stream("in"):group_by_key():aggregate { init = {}, add = print } end)
end, "is a function")
fails(function() topology(function(b)
  b:stream("in"):group_by_key():window(streams.session { gap = 1 }):aggregate { init = 0, add = print }
end) end, "merge %(of sessions%)")
fails(function() topology(function(b)
  local g = b:stream("in"):group_by_key()
  g:count { store = "s" } g:count { store = "s" }
end) end, "two stores with the name s")
fails(function() streams.tumbling { grace = 1 } end, "tumbling: size must be a number of seconds, at least 0.001, not nil")
fails(function() streams.tumbling { size = 1, graze = 1 } end, "there is no option graze")
fails(function() streams.hopping { size = 1, advance = 2 } end, "advance must not be greater")
fails(function() streams.hopping { size = 100, advance = 0.001 } end, "more than 10,000 windows")
fails(function() streams.session { gap = 0 } end, "gap must be")
fails(function() streams.join_window { within = -1 } end, "within must be")

-- An event that fails has no effect at all: no output, no state, no stream time.
local late = {}
local t = topology(function(b)
  local s = b:stream("in", { timestamp = function(e) return e.at end })
  s:to "copy"
  s:group_by_key():window(streams.tumbling { size = 10 }):count { store = "n" }:to_stream():peek(function(n)
    if n == 2 then error(errors.invalid_argument "two") end
  end):to "out"
end)
local d = streams.driver(t, { on_error = function(why, topic, msg) late[#late + 1] = { why.code or why, topic, msg.offset } end })
d:pipe_input("in", "a", { at = 1 })
d:pipe_input("in", "a", { at = 100 }, nil, {})
d:pipe_input("in", "a", { at = 105 })
same(late, { { "INVALID_ARGUMENT", "in", 2 } })
same(outputs(d, "copy"), { { "a", { at = 1 }, 1 }, { "a", { at = 100 }, 100 } })
same(outputs(d, "out"), { { "a", 1, 1 }, { "a", 1, 100 } })
same(d:store("n"):fetch("a")[2].value, 1)
d:pipe_input("in", "b", { at = 109 })
same(outputs(d, "out"), { { "b", 1, 109 } })

-- Final results that an event was to hand out come with the next one, if the failure is one that passes; else they are left out.
local fuse = errors.unavailable "not yet"
local f = streams.driver(topology(function(b)
  b:stream("in"):group_by_key():window(streams.tumbling { size = 10 }):count():suppress():to_stream():peek(function()
    if fuse then error(fuse) end
  end):to "final"
end), { on_error = function() end })
for _, at in ipairs { 1, 10 } do f:pipe_input("in", "a", 0, at) end
same(outputs(f, "final"), {})
fuse = false
f:pipe_input("in", "a", 0, 12)
same(outputs(f, "final"), { { "a", 1, 1 } })
fuse = "never"
f:pipe_input("in", "a", 0, 20)
fuse = false
f:pipe_input("in", "a", 0, 30)
same(outputs(f, "final"), { { "a", 1, 20 } })
same(f:counts(), { failed_results = 1 })

-- An event that fails behind the results that it has handed out takes them back: they come with the next one.
local fail_now = true
local g = streams.driver(topology(function(b)
  local s = b:stream "in"
  s:group_by_key():window(streams.tumbling { size = 10 }):count():suppress():to "final"
  s:foreach(function() if fail_now then error "behind" end end)
end), { on_error = function() end })
fail_now = false
g:pipe_input("in", "a", 0, 1)
fail_now = true
g:pipe_input("in", "a", 0, 10)
same(outputs(g, "final"), {})
fail_now = false
g:pipe_input("in", "a", 0, 10)
same(outputs(g, "final"), { { "a", 1, 1 } })

-- Bytes that are no JSON, a key that is none.
late = {}
d:pipe_input("in", "a", "{", 1, { raw = true })
same(late[1][1], "INVALID_ARGUMENT")
local e = streams.driver(topology(function(b) b:stream("in"):select_key(function() return {} end):to "out" end))
fails(function() e:pipe_input("in", "a", 1) end, "a key must be a string")
fails(function() e:pipe_input("nowhere", "a", 1) end, "does not read topic nowhere")
fails(function() e:store "x" end, "no store x")
fails(function() d:store("n"):get "a" end, "use fetch")
return "ok"
