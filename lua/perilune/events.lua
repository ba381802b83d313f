-- SPDX-License-Identifier: MIT
-- Events for Kafka, which is `ctx.events`, too. An event is on its way to the brokers when a function here returns, and written
-- by as many of them as kafka.acks asks for when it was acknowledged. While the queue of events is full, all of them wait.
local core = require "perilune.events.core"
local errors = require "perilune.errors"
local json = require "perilune.json"
local registry = require "perilune.registry"
local topics = require "perilune.topics"

local events = {}

local OPTIONS = {
  key = true, headers = true, partition = true, timestamp = true, format = true, message = true, schema = true, registry = true,
}

local formats = {
  json = function(value) return json.encode(value) end,
  bytes = function(value)
    if type(value) ~= "string" then error("events:publish: format \"bytes\" is for strings, not a " .. type(value), 5) end
    return value
  end,
  protobuf = function(value, options)
    if type(options.message) ~= "string" then
      error("events:publish: format \"protobuf\" needs the name of the message: message = \"pay.v1.Event\"", 5)
    end
    return require "perilune.proto".encode(options.message, value)
  end,
}

-- { name = value, name = { value, value } } or { { name, value }, … } as { name, value, name, value, … }.
local function flat_headers(headers)
  local flat = {}
  for name, value in pairs(headers) do
    if type(name) == "number" then
      flat[#flat + 1], flat[#flat + 2] = value[1], value[2]
    elseif type(value) == "table" then
      for _, one in ipairs(value) do flat[#flat + 1], flat[#flat + 2] = name, one end
    else
      flat[#flat + 1], flat[#flat + 2] = name, value
    end
  end
  return flat
end

-- What says how the value is written: the options where they do, else kafka.topics of app.lua.
local function written_as(topic, options)
  if options.format or options.message or options.schema or options.registry then return options end
  return registry.defaults(topic) or options
end

-- What the producer is given for a value and options: bytes, key, headers as above, partition, milliseconds. Errors name the
-- caller of its caller's caller. It waits where the value's schema has to be asked for.
function events.prepare(topic, value, options)
  options = options or {}
  for name in pairs(options) do
    if not OPTIONS[name] then error("events:publish: there is no option " .. tostring(name), 4) end
  end
  local as = written_as(topic, options)
  local encode = formats[as.format or (as.message and "protobuf" or "json")]
  if not encode then error("events:publish: format must be \"json\", \"protobuf\" or \"bytes\"", 4) end
  if value ~= nil and as.registry then
    value = registry.encode(topic, value, as)
  elseif value ~= nil and as.schema then
    value = registry.write_json(topic, value, as.schema)
  elseif value ~= nil then
    value = encode(value, as)
  end
  local timestamp = options.timestamp and math.floor(options.timestamp * 1000 + 0.5) -- 1.001 * 1000 is less than 1001
  return value, options.key, options.headers and flat_headers(options.headers), options.partition, timestamp
end

local function send(topic, value, options, alone)
  return ((alone and core.send_alone or core.send)(topic, events.prepare(topic, value, options)))
end

local function wait(topic, delivery)
  local partition, offset, why = core.wait(delivery)
  if partition then return { topic = topic, partition = partition, offset = offset } end
  return nil, errors[offset:lower()](topic .. ": " .. why)
end

-- events:publish(topic, value, options): waits until the event is acknowledged, and returns { topic, partition, offset }. value
-- is written as JSON, as a protobuf message (options.message = "pay.v1.Event") or as it is (options.format = "bytes"); nil is a
-- tombstone. options.key decides the partition, unless options.partition does; options.headers = { name = value };
-- options.timestamp in seconds since 1970.
function events.publish(_, topic, value, options)
  local ack = core.publish(topic, value, options) -- nothing: it is no plain JSON
  if ack then return ack end
  local failure
  ack, failure = wait(topic, send(topic, value, options))
  return ack or error(failure)
end

local Delivery = {}
Delivery.__index = Delivery
Delivery.__name = "perilune.events.sent"

-- Waits until the event is acknowledged, as events:publish does.
function Delivery:wait()
  local ack, failure = wait(self.topic, self.delivery)
  return ack or error(failure)
end

-- events:publish_async(topic, value, options): does not wait for the acknowledgement. It returns an object whose method wait
-- does; an event that nobody waits for is logged when it cannot be delivered.
function events.publish_async(_, topic, value, options)
  return setmetatable({ topic = topic, delivery = send(topic, value, options, true) }, Delivery)
end

-- Acknowledgements; or false, the places of those that were not delivered, the first one's code, and its message.
local function send_all(topic, list, options)
  local sent, acks, failed, first = {}, {}, {}, nil
  for i, event in ipairs(list) do
    local own = {}
    for name, value in pairs(options or {}) do own[name] = value end
    for name, value in pairs(event) do
      if name ~= "value" then own[name] = value end
    end
    sent[i] = send(topic, event.value, own)
  end
  for i, delivery in ipairs(sent) do
    local ack, failure = wait(topic, delivery)
    acks[i] = ack or false
    if failure then
      failed[#failed + 1] = i
      first = first or failure
    end
  end
  if first then return false, failed, first.code, first.message end
  return acks
end

-- events:publish_batch(topic, list, options): a list of { value = …, key = …, headers = …, partition = …, timestamp = … }. Waits
-- for all acknowledgements and returns a list of them; when events could not be delivered, it raises an error whose extensions
-- have their places in the list: { failed = { 3, 4 } }. The others were delivered all the same.
function events.publish_batch(_, topic, list, options)
  local acks, failed, code, message
  if not options then acks, failed, code, message = core.publish_batch(topic, list) end
  if acks == nil then acks, failed, code, message = send_all(topic, list, options) end
  if not code then return acks end
  local extra = { extensions = { failed = failed } }
  message = ("%d of %d events were not delivered: %s"):format(#failed, #list, message)
  if code == "INVALID_ARGUMENT" then error(errors.invalid_argument(message, nil, extra)) end
  error(errors[code:lower()](message, extra))
end

-- Reading without a consumer group: perilune.topics has it.
events.read = topics.read
events.subscribe = topics.subscribe

return events
