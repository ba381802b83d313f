-- SPDX-License-Identifier: MIT
-- Makes the calls that connectconformance asks for in client mode: a ClientCompatRequest comes, a ClientCompatResponse goes.
local crypto = require "perilune.crypto"
local errors = require "perilune.errors"
local grpc = require "perilune.grpc"
local proto = require "perilune.proto"
local time = require "perilune.time"

local PACKAGE = "connectrpc.conformance.v1."
local PREFIX = "type.googleapis.com/"
local CODINGS = { COMPRESSION_GZIP = "gzip", COMPRESSION_DEFLATE = "deflate", COMPRESSION_ZSTD = "zstd" }
local KINDS = {
  STREAM_TYPE_UNARY = "unary", STREAM_TYPE_CLIENT_STREAM = "client_streaming", STREAM_TYPE_SERVER_STREAM = "server_streaming",
  STREAM_TYPE_HALF_DUPLEX_BIDI_STREAM = "half_duplex", STREAM_TYPE_FULL_DUPLEX_BIDI_STREAM = "full_duplex",
}

local function is_binary(name) return name:sub(-4) == "-bin" end

local function metadata_of(headers)
  local metadata = {}
  for _, header in ipairs(headers) do
    local name = header.name:lower()
    local values = metadata[name] or {}
    metadata[name] = values
    for _, value in ipairs(header.value) do
      values[#values + 1] = is_binary(name) and crypto.base64_decode(value) or value
    end
  end
  return metadata
end

local function headers_of(metadata)
  local headers = {}
  for name, values in pairs(metadata or {}) do
    local value = {}
    for i, one in ipairs(values) do value[i] = is_binary(name) and crypto.base64_encode(one) or one end
    headers[#headers + 1] = { name = name, value = value }
  end
  return headers
end

-- What a call has come to, in the suite's words.
local function error_of(failure)
  local details = {}
  for i, detail in ipairs(failure.status_details or {}) do
    detail["@type"] = PREFIX .. detail["@type"]
    details[i] = detail
  end
  local code = failure.code == "CANCELLED" and "CANCELED" or failure.code
  return { code = "CODE_" .. code, message = failure.message, details = details }
end

local function note_end(result, info)
  result.response_headers = headers_of(info.headers)
  result.response_trailers = headers_of(info.trailers)
end

local function note_payload(result, response)
  result.payloads[#result.payloads + 1] = response.payload or {}
end

-- All that the requests say of how they are to be sent.
local function plan(request)
  local messages = {}
  for i, message in ipairs(request.request_messages) do
    message["@type"] = nil
    messages[i] = message
  end
  return messages, {
    metadata = metadata_of(request.request_headers),
    timeout = request.timeout_ms and request.timeout_ms / 1000 or nil,
  }
end

local function client_of(request, tls, extra)
  local options = {
    compression = CODINGS[request.compression],
    compress_from = 1,
    max_response = request.message_receive_limit > 0 and request.message_receive_limit or nil,
    tls = tls,
  }
  for name, value in pairs(extra or {}) do options[name] = value end
  return grpc.client(("%s:%d"):format(request.host, request.port), request.service, options)
end

local function send_all(stream, messages, delay, result)
  for i, message in ipairs(messages) do
    if delay > 0 then time.sleep(delay / 1000) end
    result.num_unsent_requests = #messages - i
    if not stream:send(message) then return end
  end
end

local function receive_all(stream, result, most)
  while not most or #result.payloads < most do
    local response = stream:receive()
    if not response then return end
    note_payload(result, response)
  end
end

local function end_of(stream, result)
  note_end(result, { headers = stream:headers(), trailers = stream:trailers() })
end

local perform = {}

function perform.unary(client, request, result)
  local messages, options = plan(request)
  time.sleep(request.request_delay_ms / 1000)
  local response, info = client[request.method](client, messages[1], options)
  note_payload(result, response)
  note_end(result, info)
end

function perform.server_streaming(client, request, result)
  local messages, options = plan(request)
  local stream <close> = client[request.method](client, messages[1], options)
  receive_all(stream, result)
  end_of(stream, result)
end

function perform.client_streaming(client, request, result)
  local messages, options = plan(request)
  local stream <close> = client[request.method](client, options)
  send_all(stream, messages, request.request_delay_ms, result)
  local response, info = stream:finish()
  note_payload(result, response)
  note_end(result, info)
end

function perform.half_duplex(client, request, result)
  local messages, options = plan(request)
  local stream <close> = client[request.method](client, options)
  send_all(stream, messages, request.request_delay_ms, result)
  stream:close_send()
  receive_all(stream, result)
  end_of(stream, result)
end

function perform.full_duplex(client, request, result)
  local messages, options = plan(request)
  local stream <close> = client[request.method](client, options)
  for i, message in ipairs(messages) do
    if request.request_delay_ms > 0 then time.sleep(request.request_delay_ms / 1000) end
    result.num_unsent_requests = #messages - i
    if not stream:send(message) then break end
    local response = stream:receive()
    if not response then break end
    note_payload(result, response)
  end
  stream:close_send()
  receive_all(stream, result)
  end_of(stream, result)
end

-- With messages as bytes any call is a stream both ways, which can be cancelled at any point.
local function cancelled(client, request, result)
  local messages, options = plan(request)
  local cancel, method = request.cancel, request.method
  local input, output = PACKAGE .. method .. "Request", PACKAGE .. method .. "Response"
  local raw <close> = client[method](client, options)
  local stream = setmetatable({
    send = function(_, message) return raw:send(proto.encode(input, message)) end,
    receive = function()
      local bytes = raw:receive()
      return bytes and proto.decode(output, bytes)
    end,
  }, { __index = function(_, name) return function(_, ...) return raw[name](raw, ...) end end })
  local full = request.stream_type == "STREAM_TYPE_FULL_DUPLEX_BIDI_STREAM"
  for _, message in ipairs(messages) do
    if request.request_delay_ms > 0 then time.sleep(request.request_delay_ms / 1000) end
    stream:send(message)
    if full then
      local response = stream:receive()
      if response then note_payload(result, response) end
      if cancel.after_num_responses and #result.payloads >= cancel.after_num_responses then break end
    end
  end
  if not cancel.before_close_send and not (full and cancel.after_num_responses) then raw:close_send() end
  if cancel.after_close_send_ms then time.sleep(cancel.after_close_send_ms / 1000) end
  if cancel.after_num_responses then receive_all(stream, result, cancel.after_num_responses) end
  raw:cancel()
  receive_all(stream, result)
  end_of(stream, result)
end

local function run(request, tls)
  local result = { payloads = {}, response_headers = {}, response_trailers = {} }
  local ok, failure
  if request.cancel then
    local client = client_of(request, tls, { bytes = true, methods = { [request.method] = "bidi_streaming" } })
    ok, failure = pcall(cancelled, client, request, result)
  else
    local client = client_of(request, tls)
    ok, failure = pcall(perform[KINDS[request.stream_type]], client, request, result)
  end
  if not ok then
    if not errors.is(failure) then error(failure, 0) end
    result.error = error_of(failure)
    note_end(result, failure)
  end
  return result
end

return { ["perilune.conformance.Driver"] = {
  Run = { unary = function(bytes, call)
    local request = proto.decode(PACKAGE .. "ClientCompatRequest", bytes)
    local files = call.metadata
    local tls = files.ca and { ca = files.ca[1], certificate = files.certificate and files.certificate[1],
      key = files.key and files.key[1] } or nil
    local ok, result = pcall(run, request, tls)
    local response = { test_name = request.test_name }
    if ok then response.response = result else response.error = { message = tostring(result) } end
    return proto.encode(PACKAGE .. "ClientCompatResponse", response)
  end },
} }
