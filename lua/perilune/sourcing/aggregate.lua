-- SPDX-License-Identifier: MIT
-- An aggregate: what its events do to its state, and what its commands make of that state. No I/O, no clock: so it can be tested
-- with tables alone (perilune.sourcing.given).
local errors = require "perilune.errors"

local Aggregate = {}
Aggregate.__index = Aggregate
Aggregate.__name = "perilune.sourcing.aggregate"

local OPTIONS = {
  name = true, initial = true, apply = true, decide = true, validate = true, upcast = true, snapshot = true, publish = true,
}

local function wrong(name, what) error(("sourcing.aggregate %s: %s"):format(tostring(name), what), 3) end

local function is_function_or_table(value) return type(value) == "function" or type(value) == "table" end

-- { every = events, version = n }
local function read_snapshot(name, snapshot)
  if snapshot == nil or snapshot == false then return nil end
  if math.type(snapshot) == "integer" then snapshot = { every = snapshot } end
  if type(snapshot) ~= "table" or math.type(snapshot.every) ~= "integer" or snapshot.every < 1 then
    wrong(name, "snapshot must be { every = 100, version = 1 }, or a number of events")
  end
  return { every = snapshot.every, version = snapshot.version or 1 }
end

-- { topic = …, value = function(event, record), options = function(event, record) }
local function read_publish(name, publish)
  if publish == nil or publish == false then return nil end
  if type(publish) == "string" then publish = { topic = publish } end
  if type(publish) ~= "table" or type(publish.topic) ~= "string" then
    wrong(name, "publish must be the name of a topic, or { topic = …, value = function(event, record) … end }")
  end
  return publish
end

-- The newest version of each type is the one behind its last upcaster.
local function newest_versions(name, upcast)
  local newest = {}
  for type_, steps in pairs(upcast or {}) do
    if type(steps) ~= "table" then wrong(name, "upcast." .. tostring(type_) .. " must be { [1] = function(event) … end }") end
    newest[type_] = #steps + 1
    for version, step in pairs(steps) do
      if math.type(version) ~= "integer" or version < 1 or version > #steps or type(step) ~= "function" then
        wrong(name, ("upcast.%s must have a function for each version from 1 on"):format(type_))
      end
    end
  end
  return newest
end

local function aggregate(options)
  if type(options) ~= "table" or type(options.name) ~= "string" or options.name == "" then
    error("sourcing.aggregate: a table with a name is expected", 2)
  end
  local name = options.name
  for option in pairs(options) do
    if not OPTIONS[option] then wrong(name, "there is no option " .. tostring(option)) end
  end
  if not is_function_or_table(options.apply) then wrong(name, "apply must be a function(state, event), or one for each type") end
  if not is_function_or_table(options.decide) then
    wrong(name, "decide must be a function(state, command), or one for each type of command")
  end
  if options.initial ~= nil and type(options.initial) ~= "function" then wrong(name, "initial must be a function") end
  return setmetatable({
    name = name, initial = options.initial, applying = options.apply, deciding = options.decide,
    validating = options.validate or {}, upcasters = options.upcast or {}, newest = newest_versions(name, options.upcast),
    snapshot = read_snapshot(name, options.snapshot), publish = read_publish(name, options.publish),
  }, Aggregate)
end

-- The state of an aggregate without events.
function Aggregate:new()
  if self.initial then return self.initial() end
  return {}
end

-- The version that events of a type are written in.
function Aggregate:version_of(type_) return self.newest[type_] or 1 end

-- The event as the newest version has it; nil when an upcaster has dropped it.
function Aggregate:upcast(event, version)
  local left = 1000
  while event and version < self:version_of(event.type) do
    local before = event.type
    local own
    event, own = self.upcasters[before][version](event)
    version = own or (event and event.type ~= before and 1) or version + 1
    left = left - 1
    if left == 0 then error(("aggregate %s: the upcasters of %s never come to an end"):format(self.name, before), 0) end
  end
  return event
end

-- The state with the event: apply may change it in place, or return another one.
function Aggregate:apply(state, event)
  local apply = self.applying
  if type(apply) == "table" then
    apply = apply[event.type]
    if not apply then error(("aggregate %s: there is no apply.%s"):format(self.name, tostring(event.type)), 0) end
  end
  local result = apply(state, event)
  if result == nil then return state end
  return result
end

function Aggregate:fold(state, events)
  for _, event in ipairs(events) do state = self:apply(state, event) end
  return state
end

local function check_command(self, command)
  if type(command) ~= "table" or type(command.type) ~= "string" then
    error(errors.invalid_argument(("%s: a command is a table with a type"):format(self.name)))
  end
  local validate = type(self.validating) == "function" and self.validating or self.validating[command.type]
  local violations = validate and validate(command)
  if type(violations) == "table" and next(violations) ~= nil then
    error(errors.invalid_argument(command.type .. " is not valid", violations))
  end
end

-- A list of events from one, from a list, or from nothing. where: what gave them, for messages.
function Aggregate:as_events(events, where)
  if events == nil then return {} end
  if type(events) == "table" and events.type ~= nil then events = { events } end
  for i, event in ipairs(type(events) == "table" and events or { false }) do
    local type_ = type(event) == "table" and event.type
    if type(type_) ~= "string" then
      error(("aggregate %s: %s something else than events, at %d"):format(self.name, where, i), 0)
    end
    if type(self.applying) == "table" and not self.applying[type_] then
      error(("aggregate %s: %s %s, which has no apply"):format(self.name, where, type_), 0)
    end
  end
  return events
end

-- The events that the command leads to, a list, and what is to be answered. Errors are the command's refusal.
function Aggregate:decide(state, command)
  check_command(self, command)
  local decide = self.deciding
  if type(decide) == "table" then
    decide = decide[command.type]
    if not decide then error(errors.invalid_argument(("%s has no command %s"):format(self.name, command.type))) end
  end
  local events, reply = decide(state, command)
  return self:as_events(events, ("decide(%s) has returned"):format(command.type)), reply
end

return aggregate
