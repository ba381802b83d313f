-- SPDX-License-Identifier: MIT
-- Circuit breakers: calls of something that keeps failing are refused at once, until it has had time to recover. A breaker has a
-- name, and all workers and generations of a server share the state of the breaker with that name.
local core = require "perilune.breaker.core"
local errors = require "perilune.errors"

local defaults = { failures = 5, rate = 0, window = 30, minimum = 10, open = 10, probes = 1, slow = 0, slow_rate = 0 }
local whole = { failures = true, minimum = true, probes = true }
local most = { failures = 1e9, rate = 1, window = 86400, minimum = 1e9, open = 86400, probes = 1e6, slow = 86400, slow_rate = 1 }
local positive = { window = true, minimum = true, open = true, probes = true }

local Breaker = { __name = "perilune.breaker.breaker" }
Breaker.__index = Breaker

local function check_number(name, value)
  if type(value) ~= "number" or not (value >= 0 and value <= most[name]) or (whole[name] and value % 1 ~= 0) or
      (positive[name] and value < 0.001) then
    error(("breaker.new: %s must be %s from %s to %.0f, not %s"):format(name, whole[name] and "an integer" or "a number",
      positive[name] and (whole[name] and "1" or "0.001") or "0", most[name], tostring(value)), 4)
  end
end

local function check_settings(options)
  local settings = {}
  for name, default in next, defaults do
    settings[name] = default
  end
  for name, value in next, options do
    if defaults[name] then
      check_number(name, value)
      settings[name] = value
    elseif name == "is_failure" and type(value) ~= "function" then
      error("breaker.new: is_failure must be a function", 3)
    elseif name == "message" and type(value) ~= "string" then
      error("breaker.new: message must be a string", 3)
    elseif name ~= "is_failure" and name ~= "message" then
      error(("breaker.new: there is no setting '%s'"):format(tostring(name)), 3)
    end
  end
  if settings.slow > 0 and options.slow_rate == nil then
    settings.slow_rate = 0.5
  end
  return settings
end

local breaker = {}

-- breaker.new(name, options): see the manual for options.
function breaker.new(name, options)
  if type(name) ~= "string" then
    error("breaker.new: a name is expected", 2)
  end
  if options ~= nil and type(options) ~= "table" then
    error("breaker.new: the options must be a table", 2)
  end
  options = options or {}
  return setmetatable({
    core = core.open(name, check_settings(options)),
    is_failure = options.is_failure,
    message = options.message or ('the circuit breaker "%s" is open'):format(name),
  }, Breaker)
end

-- b:enter(): a permit for something that is no function call. Use it as `local permit <close> = b:enter()`, and tell how it went:
-- permit:settle "success" (or "failure", "abandoned"). An error that leaves its scope settles it, and so does the scope's end.
-- Raises UNAVAILABLE while the breaker is open.
function Breaker:enter()
  local permit, retry_after = self.core:enter()
  if not permit then
    error(errors.unavailable(self.message, { extensions = { retryAfter = retry_after } }), 2)
  end
  return permit
end

local function settle(permit, failed)
  if failed ~= nil then
    permit:settle(failed and "failure" or "success")
  end
end

local function returned(permit, is_failure, ...)
  settle(permit, is_failure and is_failure(nil, ...) or false)
  return ...
end

-- Judges errors before the permit does.
local function judged(permit, is_failure)
  return setmetatable({}, {
    __close = function(_, failure)
      if failure ~= nil then settle(permit, is_failure(failure)) end
    end,
  })
end

-- b:call(fn, ...): fn(...) and what it returns; fn may wait. Raises UNAVAILABLE while the breaker is open.
function Breaker:call(fn, ...)
  local is_failure = self.is_failure
  local permit <close> = self:enter()
  if not is_failure then
    return returned(permit, nil, fn(...))
  end
  local _ <close> = judged(permit, is_failure)
  return returned(permit, is_failure, fn(...))
end

-- "closed", "open" or "half_open"
function Breaker:state()
  return self.core:state()
end

function Breaker:stats()
  return self.core:stats()
end

-- Closes it, whatever was before.
function Breaker:reset()
  self.core:reset()
end

return breaker
