-- SPDX-License-Identifier: MIT
-- given(aggregate, events):when(command):expect(events): tests of aggregates, without a database.
local errors = require "perilune.errors"
local test = require "perilune.test"

local Case = {}
Case.__index = Case

-- Nothing of a case is shared with what the test holds.
local function copy(value)
  if type(value) ~= "table" then return value end
  local to = setmetatable({}, getmetatable(value))
  for k, v in pairs(value) do to[k] = copy(v) end
  return to
end

local function given(aggregate, events)
  return setmetatable({ aggregate = aggregate, before = events or {}, events = {} }, Case)
end

local function state_before(self) return self.aggregate:fold(self.aggregate:new(), copy(self.before)) end

-- Several commands follow one another; none comes after one that was refused.
function Case:when(command)
  if self.failure then
    error("a command was refused before: " .. tostring(errors.is(self.failure) and self.failure.message or self.failure), 2)
  end
  local state = self.aggregate:fold(state_before(self), copy(self.events))
  local ok, events, reply = pcall(self.aggregate.decide, self.aggregate, state, copy(command))
  if not ok then
    self.failure = events
    return self
  end
  for _, event in ipairs(events) do self.events[#self.events + 1] = event end
  self.reply = reply
  return self
end

local function raise_failure(self)
  if self.failure then error(self.failure, 0) end
end

-- What came of all commands together.
function Case:expect(events)
  raise_failure(self)
  test.equal(self.events, events or {}, "events of " .. self.aggregate.name)
  return self
end

function Case:expect_nothing() return self:expect {} end

function Case:expect_state(state)
  raise_failure(self)
  test.equal(self.aggregate:fold(state_before(self), copy(self.events)), state, "state of " .. self.aggregate.name)
  return self
end

function Case:expect_reply(reply)
  raise_failure(self)
  test.equal(self.reply, reply, "reply of " .. self.aggregate.name)
  return self
end

-- The command was refused, with this code, or a message with this pattern; gives the error.
function Case:expect_error(code_or_pattern)
  local failure = self.failure
  return test.error(function()
    if failure then error(failure, 0) end
  end, code_or_pattern)
end

return given
