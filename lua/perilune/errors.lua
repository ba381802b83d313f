-- SPDX-License-Identifier: MIT
-- Errors that are meant for the client: one constructor for each canonical code. `error(errors.not_found "no such user")` ends a
-- resolver, a service method or an event handler with that code. All have one metatable, by which the server knows them.

local metatable = { __name = "perilune.error" }

function metatable.__tostring(failure)
  return tostring(failure.code) .. ": " .. tostring(failure.message)
end

local codes = {
  "cancelled", "unknown", "invalid_argument", "deadline_exceeded", "not_found", "already_exists", "permission_denied",
  "resource_exhausted", "failed_precondition", "aborted", "out_of_range", "unimplemented", "internal", "unavailable",
  "data_loss", "unauthenticated",
}

local errors = { metatable = metatable }

local function check(constructor, name, value, expected)
  if value ~= nil and type(value) ~= expected then
    error(("errors.%s: %s is a %s, not a %s"):format(constructor, name, type(value), expected), 3)
  end
end

local function make(constructor, message, violations, options)
  check(constructor, "the message", message, "string")
  check(constructor, "the options", options, "table")
  check(constructor, "the violations", violations, "table")
  local extensions = options and options.extensions
  check(constructor, "extensions", extensions, "table")
  return setmetatable({
    code = constructor:upper(),
    message = message or constructor:gsub("_", " "),
    details = violations,
    extensions = extensions,
  }, metatable)
end

for _, name in ipairs(codes) do
  errors[name] = function(message, options)
    return make(name, message, nil, options)
  end
end

-- violations: { field = "what is wrong with it" }
function errors.invalid_argument(message, violations, options)
  return make("invalid_argument", message, violations, options)
end

-- Whether value is such an error; with a code ("NOT_FOUND" or "not_found"), whether it has that code.
function errors.is(value, code)
  if type(value) ~= "table" or getmetatable(value) ~= metatable then
    return false
  end
  return code == nil or value.code == code:upper()
end

return errors
