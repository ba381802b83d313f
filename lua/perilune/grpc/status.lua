-- SPDX-License-Identifier: MIT
-- How calls end, for scripts: errors of perilune.errors with what the server has said.
local core = require "perilune.grpc.core"
local errors = require "perilune.errors"

local status = {}

-- An error that the client itself makes.
function status.failed(code, message)
  local failure = errors[code](message)
  failure["local"] = true
  return failure
end

-- The fields of a protobuf message as it came, { { number, value }, … }; only those of whole numbers and bytes. nil: it is none.
local function fields(bytes)
  local list, at = {}, 1
  local function varint()
    local value, shift = 0, 0
    repeat
      local byte = bytes:byte(at)
      if not byte or shift > 63 then return nil end
      value, shift, at = value | (byte & 0x7f) << shift, shift + 7, at + 1
    until byte < 0x80
    return value
  end
  while at <= #bytes do
    local tag = varint()
    local wire = tag and tag & 7
    if wire == 0 then
      local value = varint()
      if not value then return nil end
      list[#list + 1] = { tag >> 3, value }
    elseif wire == 2 then
      local length = varint()
      if not length or length < 0 or at + length - 1 > #bytes then return nil end
      list[#list + 1] = { tag >> 3, bytes:sub(at, at + length - 1) }
      at = at + length
    elseif wire == 1 or wire == 5 then
      at = at + (wire == 1 and 8 or 4)
    else
      return nil
    end
  end
  return list
end

local function strings(bytes)
  local found = {}
  for _, field in ipairs(fields(bytes) or {}) do
    if type(field[2]) == "string" then found[field[1]] = field[2] end
  end
  return found
end

-- google.rpc.BadRequest → { field = description }
local function violations_of(bytes)
  local violations = {}
  for _, field in ipairs(fields(bytes) or {}) do
    if field[1] == 1 and type(field[2]) == "string" then
      local violation = strings(field[2])
      violations[violation[1] or ""] = violation[2] or ""
    end
  end
  return violations
end

-- A google.protobuf.Any as errors' details are written: { ["@type"] = "google.rpc.ErrorInfo", … }; of a type that the bundle does
-- not know, its bytes are in `value`.
local function detail_of(bytes, name, value)
  local detail = core.decode("google.protobuf.Any", bytes)
  if type(detail) ~= "table" then detail = { value = value } end
  detail["@type"] = name
  return detail
end

-- google.rpc.Status → its details; the violations among them; and the bytes of the others, for whoever raises it anew
local function details_of(bytes)
  local list, packed, violations = {}, {}, nil
  for _, field in ipairs(fields(bytes) or {}) do
    if field[1] == 3 and type(field[2]) == "string" then
      local any = strings(field[2])
      local name, value = (any[1] or ""):match "[^/]*$", any[2] or ""
      list[#list + 1] = detail_of(field[2], name, value)
      if name == "google.rpc.BadRequest" then
        violations = violations_of(value)
      else
        packed[#packed + 1] = field[2]
      end
    end
  end
  return list, violations, #packed > 0 and packed or nil
end

-- The error that a call has ended with, or nil.
function status.of(call, path)
  local code, message, details, trailers, is_local = call:status()
  if code == "OK" then return nil end
  local failure = errors[code:lower()](message ~= "" and message or nil)
  failure.method = path
  failure["local"] = is_local
  failure.headers, failure.trailers = call:headers(), trailers
  if details then
    failure.status_details, failure.details, failure.packed = details_of(details)
  end
  return failure
end

-- Raises what the call has ended with; or, where it has ended well, or there is a problem, that. A wrong number of responses is
-- UNIMPLEMENTED: the method is another one than the client takes it for.
function status.raise(call, path, otherwise, problem)
  local failure = status.of(call, path)
  if problem then
    failure = status.failed("internal", path .. ": " .. problem)
  elseif not failure then
    failure = status.failed("unimplemented", path .. ": " .. otherwise)
  end
  error(failure, 0)
end

function status.info(call, path)
  local headers = call:headers()
  local failure = status.of(call, path)
  if failure then error(failure, 0) end
  local _, _, _, trailers = call:status()
  local peer, attempts = call:about()
  return { headers = headers, trailers = trailers, peer = peer, attempts = attempts }
end

-- The methods of a service that the bundle's .proto files describe; nil where they do not, and the options say what kinds there
-- are, or there are no .proto files at all.
function status.methods(service, kinds)
  local methods, hint = core.methods(service)
  if not methods and hint and not kinds then
    error(("grpc.client: no .proto file of the bundle has a service \"%s\".%s"):format(service, hint), 3)
  end
  return methods
end

return status
