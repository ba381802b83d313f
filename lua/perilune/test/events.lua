-- SPDX-License-Identifier: MIT
-- Events in a bundle's tests: no Kafka, no network, and a clock that moves only when it is told to. What anything in the bundle
-- publishes is caught; events are given to the consumers of the bundle as the server would do it.
local core = require "perilune.test.core"
local errors = require "perilune.errors"
local json = require "perilune.json"
local producer = require "perilune.events.core"
local registry = require "perilune.registry"
local serde = require "perilune.streams.serde"
require "perilune.test.registry"

local events = {}

local START = 1750000000 -- what the clock shows at first; any time would do
local clock = { now = START }
events.clock = clock

local caught, waiting, drivers, offsets

-- What is published ---------------------------------------------------------------------------------------------------------
local function headers_of(flat)
  local headers = {}
  for i = 1, #(flat or {}), 2 do headers[flat[i]] = flat[i + 1] end
  return headers
end

local function catch(event)
  caught[#caught + 1] = event
  local n = offsets[event.topic] or 0
  offsets[event.topic] = n + 1
  return { partition = event.partition or 0, offset = n }
end

local function send(topic, value, key, headers, partition, timestamp)
  if type(topic) ~= "string" or topic == "" then error("no name of a topic", 3) end
  return catch {
    topic = topic,
    bytes = value,
    key = key,
    headers = headers_of(headers),
    partition = partition,
    timestamp = timestamp and timestamp / 1000 or clock.now,
  }
end
producer.send, producer.send_alone = send, send
producer.wait = function(sent) return sent.partition, sent.offset end
producer.forget = function() end

-- What transactions have left in the outbox is published, as the server would do it after each commit.
local function relay_outbox() require "perilune.outbox.relay".run() end

local function shown(event, options)
  local copy = {}
  for name, value in pairs(event) do copy[name] = value end
  if options.registry then
    copy.value = event.bytes and registry.decode(event.topic, event.bytes, options)
  elseif options.format or options.message then
    copy.value = serde.of(options).decode(event.bytes)
  elseif event.bytes then
    local ok, value = pcall(json.decode, event.bytes)
    copy.value = event.bytes
    if ok then copy.value = value end
  end
  return copy
end

-- test.published(topic, { format, message, registry }): what was published to a topic (nil: to any) since the test began: a
-- list of { topic, key, value, bytes, headers, partition, timestamp }. The value is read as JSON where it is some, unless told
-- otherwise.
function events.published(topic, options)
  relay_outbox()
  local list = {}
  for _, event in ipairs(caught) do
    if topic == nil or event.topic == topic then list[#list + 1] = shown(event, options or {}) end
  end
  return list
end

-- Consumers of the bundle ----------------------------------------------------------------------------------------------------
local function is_topology(value)
  return type(value) == "table" and value.subs ~= nil and value.sources ~= nil
end

-- What a file of events/ returns is one declaration, or a list of them.
local declared
local function declarations()
  if declared then return declared end
  local consumer, list = require "perilune.consumer", {}
  for _, path in ipairs(core.files "events/") do
    local value = require(path:gsub("%.lua$", ""):gsub("/", "."))
    if type(value) ~= "table" then error(path .. ": it must return a consumer, a topology, or a list of them", 0) end
    if value.handler or is_topology(value) then value = { value } end
    for _, one in ipairs(value) do list[#list + 1] = is_topology(one) and one or consumer(one) end
  end
  declared = list
  return list
end

local function reads(declaration, topic)
  if is_topology(declaration) then return declaration.sources[topic] ~= nil end
  if declaration.topic == topic then return true end
  for _, one in ipairs(declaration.topics or {}) do
    if one == topic then return true end
  end
  return false
end

local function interceptors()
  for _, path in ipairs(core.files "app.lua") do
    if path == "app.lua" then return require "app".interceptors or {} end
  end
  return {}
end

-- Calls fn(ctx) inside of the interceptors, as the server does.
local function intercepted(ctx, fn)
  local chain = interceptors()
  local function step(i)
    local interceptor = chain[i]
    if not interceptor then return fn(ctx) end
    return interceptor(ctx, function() return step(i + 1) end)
  end
  return step(1)
end

-- ctx of an event is like that of the test's own call, but for what belongs to the event.
local function new_ctx(msg)
  local base = core.context()
  local own = { protocol = "event", headers = msg.headers, operation_name = msg.topic, request_id = msg.id, trace_id = msg.id }
  return setmetatable(own, { __index = function(_, name) return base[name] end })
end

-- One try, and what becomes of it ---------------------------------------------------------------------------------------------
local function failure_of(why, traceback)
  if errors.is(why) then return { code = why.code, message = why.message, traceback = traceback } end
  return { code = "INTERNAL", message = tostring(why), traceback = traceback }
end

local function run_handler(declaration, event, msg, ctx)
  if not declaration.batch then return declaration.handler(event, msg, ctx) end
  local failed = declaration.handler({ event }, { msg }, ctx)
  if type(failed) == "table" and failed[1] ~= nil then error(failed[1], 0) end
end

-- Interceptors are told how the handler has ended; that stands, unless one of them raises an error.
local function call_handler(declaration, event, msg)
  local failure, traceback
  local function trace(value)
    traceback = debug.traceback(tostring(value), 2)
    return value
  end
  local ok, why = xpcall(function()
    intercepted(new_ctx(msg), function(ctx)
      local done, handler_why = xpcall(run_handler, trace, declaration, event, msg, ctx)
      failure = not done and failure_of(handler_why, traceback) or nil
      if done then return { errors = 0, code = "OK", message = "" } end
      return { errors = 1, code = failure.code, message = failure.message }
    end)
  end, trace)
  if not ok then return failure_of(why, traceback) end
  return failure
end

local function dead_letter(declaration, msg, failure, attempt)
  local topic = declaration.dead_letter or msg.topic .. "-dlq"
  local headers = {}
  for name, value in pairs(msg.headers) do headers[name] = value end
  headers["kafka_dlt-original-topic"] = msg.topic
  headers["kafka_dlt-original-partition"] = tostring(msg.partition)
  headers["kafka_dlt-original-offset"] = tostring(msg.offset)
  headers["kafka_dlt-original-timestamp"] = ("%d"):format(msg.timestamp * 1000 // 1)
  headers["kafka_dlt-original-consumer-group"] = declaration.group
  headers["kafka_dlt-exception-fqcn"] = failure.code
  headers["kafka_dlt-exception-message"] = failure.message
  headers["kafka_dlt-exception-stacktrace"] = failure.traceback
  headers["perilune-attempt"] = tostring(attempt)
  catch { topic = topic, bytes = msg.value, key = msg.key, headers = headers, timestamp = clock.now }
end

local function message(sent, attempt)
  local msg = { attempt = attempt, id = ("%s/%d/%d"):format(sent.topic, sent.partition, sent.offset), headers = {} }
  for _, name in ipairs { "key", "topic", "partition", "offset", "timestamp", "value" } do msg[name] = sent[name] end
  for name, value in pairs(sent.headers) do msg.headers[name] = value end
  return msg
end

-- As the server decides it, but for jitter: "here", "topic" or "dead_letter", and how long to wait.
local function verdict(declaration, code, result)
  local retry = declaration.retry
  if retry == false then retry = { attempts = 1 } end
  local kind, wait = core.verdict(code, result.here, result.retry_topic, retry or {})
  if kind == "dead_letter" and declaration.dead_letter == false then return "here", retry and retry.max or 30 end
  return kind, wait
end

local function try(declaration, sent, result)
  result.attempts, result.here = result.attempts + 1, result.here + 1
  local msg = message(sent, result.attempts)
  local decoded, event = pcall(serde.of(declaration).decode, sent.value)
  local failure
  if decoded then
    failure = call_handler(declaration, event, msg)
  else
    local why = tostring(errors.is(event) and event.message or event)
    failure = failure_of(errors.invalid_argument("the event cannot be decoded: " .. why))
  end
  result.error, result.retry_in = failure, nil
  if not failure then
    result.status = "processed"
    return
  end
  local kind, wait = "dead_letter", nil
  if decoded or declaration.dead_letter == false then kind, wait = verdict(declaration, failure.code, result) end
  if kind == "dead_letter" then
    result.status = "dead_lettered"
    return dead_letter(declaration, msg, failure, result.attempts)
  end
  if kind == "topic" then result.retry_topic, result.here = result.retry_topic + 1, 0 end
  result.status, result.retry_in = "retried", wait
  waiting[#waiting + 1] = { at = clock.now + wait, declaration = declaration, sent = sent, result = result }
end

-- Topologies ------------------------------------------------------------------------------------------------------------------
local function driver_of(topology)
  local driver = drivers[topology]
  if not driver then
    local options = { start = clock.now, on_error = function(why) topology.test_failure = why end }
    driver = require "perilune.streams".driver(topology, options)
    drivers[topology] = driver
    drivers[#drivers + 1] = driver
  end
  return driver
end

-- What the topology has written is published.
local function flush(driver)
  for _, event in ipairs(driver:take_written()) do
    catch {
      topic = event.topic,
      bytes = event.value,
      key = event.key,
      headers = event.headers or {},
      partition = event.partition,
      timestamp = event.time / 1000,
    }
  end
end

local function feed(topology, sent, result)
  local driver = driver_of(topology)
  topology.test_failure = nil
  driver:pipe_input(sent.topic, sent.key, sent.value, sent.timestamp, { headers = message(sent, 1).headers, raw = true })
  flush(driver)
  result.attempts, result.status = 1, "processed"
  if topology.test_failure then result.status, result.error = "dead_lettered", failure_of(topology.test_failure) end
end

-- What tests call ---------------------------------------------------------------------------------------------------------------
local OPTIONS = { key = true, headers = true, timestamp = true, partition = true, raw = true }

local function encode(declaration, topic, value)
  local own = getmetatable(declaration)
  if own and own.encode then return value ~= nil and own.encode(topic, value) or nil end
  local codec = is_topology(declaration) and declaration.sources[topic].codec or serde.of(declaration)
  return codec.encode(value)
end

-- test.events(topic, value, { key, headers, timestamp, partition, raw }): gives an event to each consumer and topology of the
-- bundle that reads the topic. It is written in the consumer's format (nil: a tombstone; raw: the value is the bytes). For each
-- one result: { status = "processed" | "retried" | "dead_lettered", attempts, error = { code, message, traceback }, retry_in,
-- group }; that of an event that is retried changes when the clock goes on.
function events.events(topic, value, options)
  options = options or {}
  for name in pairs(options) do
    if not OPTIONS[name] then error("test.events: there is no option " .. tostring(name), 2) end
  end
  local results = {}
  local offset = offsets[topic] or 0
  offsets[topic] = offset + 1
  for _, declaration in ipairs(declarations()) do
    if reads(declaration, topic) then
      local sent = {
        topic = topic,
        key = serde.key(options.key),
        value = options.raw and value or encode(declaration, topic, value),
        headers = options.headers or {},
        timestamp = options.timestamp or clock.now,
        partition = options.partition or 0,
        offset = offset,
      }
      local result = { attempts = 0, here = 0, retry_topic = 0, group = declaration.group or declaration.name }
      if is_topology(declaration) then feed(declaration, sent, result) else try(declaration, sent, result) end
      results[#results + 1] = result
    end
  end
  if not results[1] then error(("test.events: no consumer of events/ reads the topic %s"):format(tostring(topic)), 2) end
  return table.unpack(results)
end

local function next_waiting(limit)
  local first
  for i, one in ipairs(waiting) do
    if one.at <= limit and (not first or one.at < waiting[first].at) then first = i end
  end
  return first and table.remove(waiting, first)
end

-- test.clock:advance(seconds): events that wait for a retry are tried again when their time has come, and punctuations of
-- topologies run at theirs.
function clock:advance(seconds)
  if type(seconds) ~= "number" or seconds ~= seconds or seconds < 0 then
    error("test.clock:advance: a number of seconds is expected", 2)
  end
  local target = self.now + seconds
  for one in function() return next_waiting(target) end do
    self.now = math.max(self.now, one.at)
    try(one.declaration, one.sent, one.result)
  end
  self.now = target
  for _, driver in ipairs(drivers) do
    driver:advance_time(math.max(0, target - driver.now / 1000))
    flush(driver)
  end
end

-- test.store(topology, store): the state of a topology of the bundle.
function events.store(name, store)
  for _, declaration in ipairs(declarations()) do
    if is_topology(declaration) and declaration.name == name then return driver_of(declaration):store(store) end
  end
  error(("test.store: there is no topology %s in events/"):format(tostring(name)), 2)
end

-- Before each test: nothing was published, nothing waits, no topology has any state.
local function clear()
  caught, waiting, drivers, offsets, clock.now = {}, {}, {}, {}, START
end
clear()

function events.reset()
  relay_outbox() -- of tests before this one
  clear()
end

return events
