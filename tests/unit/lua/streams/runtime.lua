-- SPDX-License-Identifier: MIT
-- The runtime over a broker of tables: owners that die at any point, or go on without knowing that the partition is another's;
-- the state in the end is as if every event had been handled once.
local support = require "support"
local Backend = require "perilune.streams.backend"
local errors, json, sqlite = require "perilune.errors", require "perilune.json", require "perilune.sqlite"

-- A broker: topics are lists, in one partition. `trouble` may raise an error before or after what is published is written.
local topics, trouble = {}, function() end
local function log_of(topic)
  topics[topic] = topics[topic] or {}
  return topics[topic]
end

local function append(topic, value, options)
  trouble "before"
  local log = log_of(topic)
  log[#log + 1] = {
    topic = topic, partition = 0, offset = #log, value = value, key = options.key, headers = options.headers or {}, timestamp = 0,
  }
  trouble "after"
  return { topic = topic, partition = 0, offset = #log - 1 }
end

local events = {}
function events.publish(_, topic, value, options) return append(topic, value, options) end
function events.publish_async(_, topic, value, options)
  local ok, ack = pcall(append, topic, value, options)
  return { wait = function() return ok and ack or error(ack, 0) end }
end
function events.read(_, topic, options)
  local log, at = log_of(topic), (options.from == "beginning" and 0 or options.from) + 1
  local last = #log
  if at > last + 1 then error(errors.out_of_range "it ends before") end
  local reader = { position = function() return { [0] = last } end }
  return setmetatable(reader, { __close = function() end, __call = function()
    repeat at = at + 1 until at - 1 > last or log[at - 1]
    return at - 1 <= last and log[at - 1] or nil
  end })
end

-- The brokers compact the log up to there: of each key its latest record is left.
local function compact(topic, upto)
  local log, latest = log_of(topic), {}
  for i = upto, 1, -1 do
    local key = log[i] and log[i].key
    if key and latest[key] then log[i] = false elseif key then latest[key] = true end
  end
end

local path
package.loaded["perilune.events"] = events
package.loaded["perilune.streams.core"] = { topic = function() return 1 end }
package.loaded["perilune.streams.places"] = { path = function() return path end, hold = function() end, leave = function() end }
local streams = require "perilune.streams"
local runtime = require "perilune.streams.runtime"

local function consumer()
  return runtime.declarations(streams.topology("t", function(b)
    local s = b:stream("in", { timestamp = function(e) return e.at end })
    s:peek(function(e) if e.bad then error "bad" end end):group_by_key():aggregate {
      init = function() return { n = 0, list = {} } end,
      add = function(a, e) return { n = a.n + e.n, list = { e.n, a.list[1], a.list[2] } } end,
      store = "sum",
    }:to "out"
    s:group_by_key():window(streams.tumbling { size = 50, grace = 20 }):count { store = "windows" }:suppress():to "final"
  end))[1]
end

-- An owner: reads on from the offset that the group has committed.
local committed = 0
local function owner(file)
  local one = { consumer = consumer(), at = committed, file = file }
  path = file
  one.consumer.on_assigned { { topic = "in", partition = 0 } }
  return one
end

local function step(one, n)
  local log, batch = log_of "in", {}
  path = one.file
  for i = one.at + 1, math.min(#log, one.at + n) do
    local msg = {}
    for name, value in pairs(log[i]) do msg[name] = value end
    batch[#batch + 1] = msg
  end
  if not batch[1] then return false end
  local failed = one.consumer.handler(batch, batch, {})
  for i in pairs(failed or {}) do assert(json.decode(batch[i].value).bad) end
  one.at = one.at + #batch
  return true
end

local function wipe(file)
  local db = sqlite.open(file)
  for _, name in ipairs { "plain", "timed", "positions", "marks" } do db:exec("DELETE FROM " .. name) end
end

-- Every good event once, in order; and how many of them there are in each window.
local function reference()
  local sums, windows = {}, {}
  for _, event in ipairs(log_of "in") do
    local e = json.decode(event.value)
    if not e.bad then
      local one = sums[event.key] or { n = 0, list = {} }
      sums[event.key] = { n = one.n + e.n, list = { e.n, one.list[1], one.list[2] } }
      local window = ("%s %d"):format(event.key, e.at // 50 * 50000)
      windows[window] = (windows[window] or 0) + 1
    end
  end
  return sums, windows
end

local function final_results()
  local found = {}
  for _, event in ipairs(log_of "final") do
    local headers = {}
    for name, value in pairs(event.headers) do
      if type(name) == "number" then headers[value[1]] = value[2] else headers[name] = value end
    end
    local window = ("%s %s"):format(event.key, headers["perilune-window-start"])
    local n = json.decode(event.value)
    if found[window] and found[window] ~= n then error("two final results of " .. window) end
    found[window] = n
  end
  return found
end

local files = { require "folder" .. "/a.db", require "folder" .. "/b.db" }

-- Who has the partition, and who believes so, handle a few events each; brokers fail, owners die, disks are lost.
local function disturb(chance, total)
  local now, zombie, failing
  local compactable, length = 0, 0 -- the changelog's length two steps of its owner ago: what has come since is too young
  trouble = function(when)
    if failing and chance(failing) == 0 then error(errors.unavailable("the broker, " .. when)) end
  end
  while committed < total do
    failing = chance(3) == 0 and 2 + chance(20) or nil
    if compactable > 0 and chance(4) == 0 then compact("t-changelog-1", 1 + chance(compactable)) end
    if not now or chance(12) == 0 then
      zombie = chance(2) == 0 and now or nil
      local file = files[1 + chance(2)]
      if zombie then
        file = zombie.file == files[1] and files[2] or files[1]
      elseif chance(3) == 0 then
        wipe(file)
      end
      local ok, one = pcall(owner, file)
      now = ok and one or nil
    end
    if zombie and chance(2) == 0 and not pcall(step, zombie, 1 + chance(6)) then zombie = nil end
    if now and pcall(step, now, 1 + chance(9)) then
      if chance(4) > 0 then committed = now.at end
      compactable, length = length, #log_of "t-changelog-1"
    elseif chance(3) == 0 then
      now = nil
    end
  end
  trouble = function() end
end

local function run(number)
  local chance = support.chance(number + 77)
  topics, committed = {}, 0
  local total = 40 + chance(80)
  for i = 1, total do
    append("in", json.encode { n = i, at = i, bad = chance(15) == 0 or nil }, { key = ("abc"):sub(1 + chance(3)):sub(1, 1) })
  end
  for _, file in ipairs(files) do wipe(file) end
  disturb(chance, total)
  append("in", json.encode { n = 0, at = 100000 }, { key = "end" }) -- closes all windows
  local last = owner(files[1 + chance(2)])
  while step(last, 5) do end
  local sums, windows = reference()
  windows["end 100000000"] = nil
  local state = {}
  for _, row in ipairs(sqlite.open(last.file):query "SELECT key, value FROM plain WHERE store = 'sum'") do
    state[row.key] = json.decode(row.value:sub(9))
  end
  support.same(state, sums, "case " .. number)
  support.same(final_results(), windows, "windows of case " .. number)
end

-- Each event makes many entries, and none comes for their keys any more: they go as fast as they come.
local function many_windows()
  topics, path = {}, files[1]
  wipe(path)
  local one = runtime.declarations(streams.topology("many", function(b)
    local s = b:stream("in", { timestamp = function(e) return e.at end })
    s:group_by_key():window(streams.hopping { size = 200, advance = 5 }):count { store = "windows" }
  end))[1]
  one.on_assigned { { topic = "in", partition = 0 } }
  for i = 0, 1150, 50 do
    local batch = {}
    for k = 1, 50 do
      local offset = i + k
      batch[k] = { topic = "in", partition = 0, offset = offset, key = "k" .. offset, headers = {}, timestamp = 0 }
      batch[k].value = json.encode { at = offset }
    end
    one.handler(batch, batch, {})
  end
  local rows = sqlite.open(path):value "SELECT count(*) FROM timed"
  if rows > 10000 then error(("%d entries"):format(rows)) end
end

for _, file in ipairs(files) do Backend.open(file, {}) end
-- luacheck: globals PART PARTS
for number = PART, 80, PARTS do run(number) end
if PART == 1 then many_windows() end
return "ok"
