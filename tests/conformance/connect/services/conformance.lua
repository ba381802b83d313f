-- SPDX-License-Identifier: MIT
-- The service that connectconformance's client calls: requests say what is to be answered, and answers tell what has come.
local crypto = require "perilune.crypto"
local errors = require "perilune.errors"
local time = require "perilune.time"

local PREFIX = "type.googleapis.com/connectrpc.conformance.v1."

local function is_binary(name) return name:sub(-4) == "-bin" end

-- Headers of a definition, as the call's; the bytes of binary ones stand there in Base64.
local function fill(target, headers)
  for _, header in ipairs(headers) do
    local name, values = header.name:lower(), {}
    for i, value in ipairs(header.value) do
      values[i] = is_binary(name) and crypto.base64_decode(value) or value
    end
    target[name] = values
  end
end

local function metadata(call, definition)
  if not definition then return end
  fill(call.response_headers, definition.response_headers)
  fill(call.trailers, definition.response_trailers)
end

local function observed(call)
  local headers = {}
  for name, values in pairs(call.metadata) do
    local value = {}
    for i, one in ipairs(values) do value[i] = is_binary(name) and crypto.base64_encode(one) or one end
    headers[#headers + 1] = { name = name, value = value }
  end
  return headers
end

local function any(kind, message)
  message["@type"] = PREFIX .. kind
  return message
end

-- What is known of a request; requests are packed already.
local function info(call, requests)
  local left = call.deadline
  return {
    request_headers = observed(call),
    timeout_ms = left and math.max(0, math.floor(left * 1000)),
    requests = requests,
  }
end

-- Raises the error of a definition; with what has come, unless an answer has told it.
local function fail(call, wanted, requests)
  local details = {}
  for i, detail in ipairs(wanted.details) do details[i] = detail end
  if requests then details[#details + 1] = any("ConformancePayload.RequestInfo", info(call, requests)) end
  local constructor = wanted.code == "CODE_CANCELED" and "cancelled" or wanted.code:gsub("^CODE_", ""):lower()
  local message, options = wanted.message or "", { details = details }
  if constructor == "invalid_argument" then error(errors.invalid_argument(message, nil, options)) end
  error(errors[constructor](message, options))
end

local function delay(definition)
  if definition.response_delay_ms > 0 then time.sleep(definition.response_delay_ms / 1000) end
end

-- The only answer to requests.
local function single(call, definition, requests)
  if not definition then return { payload = { request_info = info(call, requests) } } end
  metadata(call, definition)
  delay(definition)
  if definition.error then fail(call, definition.error, requests) end
  return { payload = { data = definition.response_data, request_info = info(call, requests) } }
end

local function begin(call, definition)
  if not definition then return end
  metadata(call, definition)
  if #definition.response_data > 0 then call:send_headers {} end
end

-- The answers of a definition from the n-th on, and its error. The first one tells what has come.
local function finish(call, definition, n, requests)
  if not definition then return end
  for i = n, #definition.response_data do
    delay(definition)
    call:send { payload = { data = definition.response_data[i], request_info = i == 1 and info(call, requests) or nil } }
  end
  if definition.error then
    fail(call, definition.error, n == 1 and #definition.response_data == 0 and requests or nil)
  end
end

local function full_duplex(call, definition, first)
  local n, requests = 1, { first }
  repeat
    local data = definition and definition.response_data[n]
    if not data then break end
    delay(definition)
    call:send { payload = { data = data, request_info = n == 1 and info(call, requests) or { requests = requests } } }
    n, requests = n + 1, {}
    local request = call:receive()
    requests[1] = request and any("BidiStreamRequest", request)
  until not request
  finish(call, definition, n, requests)
end

return {
  ["connectrpc.conformance.v1.ConformanceService"] = {
    Unary = function(request, call)
      return single(call, request.response_definition, { any("UnaryRequest", request) })
    end,

    IdempotentUnary = function(request, call)
      local answer = single(call, request.response_definition, { any("IdempotentUnaryRequest", request) })
      return answer
    end,

    ClientStream = function(call)
      local definition, requests = nil, {}
      for request in call:messages() do
        if #requests == 0 then definition = request.response_definition end
        requests[#requests + 1] = any("ClientStreamRequest", request)
      end
      return single(call, definition, requests)
    end,

    ServerStream = function(request, call)
      local definition = request.response_definition
      begin(call, definition)
      finish(call, definition, 1, { any("ServerStreamRequest", request) })
    end,

    BidiStream = function(call)
      local definition, requests = nil, {}
      for request in call:messages() do
        requests[#requests + 1] = any("BidiStreamRequest", request)
        if #requests == 1 then
          definition = request.response_definition
          begin(call, definition)
          if request.full_duplex then return full_duplex(call, definition, request) end
        end
      end
      finish(call, definition, 1, requests)
    end,
  },
}
