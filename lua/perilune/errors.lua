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

-- Each detail, { ["@type"] = "google.rpc.ErrorInfo", reason = … }, as the bytes of a google.protobuf.Any.
local function pack(constructor, details)
  local proto = require "perilune.proto"
  local packed = {}
  for i, detail in ipairs(details) do
    local type = type(detail) == "table" and detail["@type"]
    if not type then
      error(("errors.%s: details[%d] is no message: its type must be in [\"@type\"]"):format(constructor, i), 3)
    end
    local message = setmetatable({}, getmetatable(detail))
    for key, value in next, detail do message[key] = value end
    if not type:find("/", 1, true) then message["@type"] = "type.googleapis.com/" .. type end
    local ok, bytes = pcall(proto.encode, "google.protobuf.Any", message)
    if not ok then error(("errors.%s: details[%d]: %s"):format(constructor, i, bytes.message or bytes), 3) end
    packed[i] = bytes
  end
  return packed
end

local function make(constructor, message, violations, options)
  check(constructor, "the message", message, "string")
  check(constructor, "the options", options, "table")
  check(constructor, "the violations", violations, "table")
  local extensions = options and options.extensions
  check(constructor, "extensions", extensions, "table")
  local details = options and options.details
  check(constructor, "details", details, "table")
  return setmetatable({
    code = constructor:upper(),
    message = message or constructor:gsub("_", " "),
    details = violations,
    packed = details and pack(constructor, details),
    extensions = extensions,
  }, metatable)
end

for _, name in ipairs(codes) do
  errors[name] = function(message, options)
    return make(name, message, nil, options)
  end
end

-- violations: { field = "what is wrong with it" }; options: { details = { messages }, extensions = { … } }
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
