-- SPDX-License-Identifier: MIT
-- Checks of settings, whose errors name the setting and the place where it was written.
local core = require "perilune.auth.core"

local check = {}

-- Raises an error that names the line of the bundle from which this was reached.
function check.fail(fmt, ...)
  core.fail(fmt:format(...))
end

-- Whether all names of options are known.
function check.names(what, options, known)
  if type(options) ~= "table" then
    check.fail("%s: a table of settings is expected", what)
  end
  for name in next, options do
    if not known[name] then
      check.fail("%s: there is no setting '%s'", what, tostring(name))
    end
  end
end

-- options[name], of this type, or nil.
function check.type(what, options, name, expected)
  local value = options[name]
  if value ~= nil and type(value) ~= expected then
    check.fail("%s: %s must be a %s, not a %s", what, name, expected, type(value))
  end
  return value
end

function check.number(what, options, name, default, least, most)
  local value = options[name]
  if value == nil then
    return default
  end
  if type(value) ~= "number" or not (value >= least and value <= most) then
    check.fail("%s: %s must be a number from %g to %g", what, name, least, most)
  end
  return value
end

-- options[name], a string or a list of strings, as a list; nil when it is not there.
function check.strings(what, options, name)
  local value = options[name]
  if value == nil then
    return nil
  end
  if type(value) == "string" then
    return { value }
  end
  local count = 0
  for _ in next, type(value) == "table" and value or {} do
    count = count + 1
  end
  for i = 1, count do
    if type(value[i]) ~= "string" then
      count = 0
    end
  end
  if count == 0 then
    check.fail("%s: %s must be a string or a list of strings", what, name)
  end
  return table.move(value, 1, count, 1, {})
end

return check
