-- SPDX-License-Identifier: MIT
-- Clients of gRPC services, here or elsewhere: grpc.client(target, service, options) gives an object with a method for each
-- of the service's. Calls look like function calls and wait like everything else that waits.
local core = require "perilune.grpc.core"
local options_of = require "perilune.grpc.options"
local status = require "perilune.grpc.status"
local Stream = require "perilune.grpc.stream"

local grpc = {}

-- { name = "value", other = { "a", "b" } } → { name, value, … } appended to list
local function flatten(list, metadata, what)
  if metadata == nil then return end
  if type(metadata) ~= "table" then error(what .. " must be a table { name = value }, not a " .. type(metadata), 0) end
  for name, value in next, metadata do
    local values = type(value) == "table" and value or { value }
    for _, one in ipairs(values) do
      if type(name) ~= "string" or (type(one) ~= "string" and math.type(one) ~= "integer") then
        error(what .. ": a name and a string, or a list of strings, are expected", 0)
      end
      list[#list + 1] = name
      list[#list + 1] = tostring(one)
    end
  end
end

-- What the call brings along: the client's metadata, the call's, and those of the credentials.
local function metadata_of(client, request, options)
  local list = {}
  flatten(list, client.metadata, "metadata")
  flatten(list, request.metadata, "metadata")
  local credentials = options.credentials or client.credentials
  if credentials then
    if not client.secure and not client.insecure_credentials then
      error(status.failed("unauthenticated", ("%s: credentials are not sent over a connection without TLS; set tls, or, where "
        .. "the network is trusted, insecure_credentials = true"):format(client.target)), 0)
    end
    flatten(list, credentials { target = client.target, service = request.service, method = request.method }, "credentials")
  end
  return list
end

local CALL_OPTIONS = {
  timeout = "number", metadata = "table", wait_for_ready = "boolean", credentials = "function", compression = "string",
  max_response = "number", kind = "string",
}

local function check_call_options(options, path)
  if options == nil then return {} end
  if type(options) ~= "table" then error(path .. ": the options must be a table, not a " .. type(options), 3) end
  for name, value in next, options do
    local expected = CALL_OPTIONS[name]
    if not expected then error(("%s: there is no option '%s'"):format(path, tostring(name)), 3) end
    if type(value) ~= expected then
      error(("%s: %s must be a %s, not a %s"):format(path, name, expected, type(value)), 3)
    end
  end
  if options.timeout and options.timeout <= 0 then error(path .. ": timeout must be a number of seconds above 0", 3) end
  return options
end

local function start(client, method, request, options)
  local wait_for_ready = options.wait_for_ready
  if wait_for_ready == nil then wait_for_ready = client.wait_for_ready end
  return core.start(client.channel, method.path, {
    input = method.input,
    output = method.output,
    metadata = metadata_of(client, request, options),
    timeout = request.timeout,
    wait_for_ready = wait_for_ready,
    compression = options.compression,
    max_message = options.max_response,
  })
end

-- The one response of a call whose requests have been sent.
local function single(call, path)
  local response, problem = call:receive()
  if response == nil then status.raise(call, path, "the server has sent no response", problem) end
  local more, why = call:receive()
  if more ~= nil or why then
    call:cancel()
    why = why and { "internal", why } or { "unimplemented", "the server has sent more than one response" }
    error(status.failed(why[1], path .. ": " .. why[2]), 0)
  end
  return response, status.info(call, path)
end

local function unary(client, method, request, options)
  local call <close> = start(client, method, request, options)
  call:send(request.message, true)
  return single(call, method.path)
end

local function streaming(client, method, request, options)
  local call = start(client, method, request, options)
  if method.kind == "server_streaming" then call:send(request.message, true) end
  return Stream.new(call, method, single)
end

-- A breaker with a name goes around what it protects.
local function guarded(client, method, perform, request, options)
  local breaker = client.breaker
  if not breaker then return perform(client, method, request, options) end
  if method.kind == "unary" then return breaker:call(perform, client, method, request, options) end
  local permit = breaker:enter()
  local ok, stream = pcall(perform, client, method, request, options)
  if not ok then
    permit:judge(stream)
    error(stream, 0)
  end
  return stream:watched(permit)
end

local function intercepted(client, method, request, options)
  local perform = method.kind == "unary" and unary or streaming
  local chain = client.interceptors
  local function proceed(at, req)
    local interceptor = chain[at]
    if not interceptor then return guarded(client, method, perform, req, options) end
    return interceptor(req, function(changed) return proceed(at + 1, changed or req) end)
  end
  return proceed(1, request)
end

local function call(client, method, message, options)
  options = check_call_options(options, method.path)
  local request = {
    target = client.target, service = client.service, method = method.name, path = method.path, kind = method.kind,
    message = message, metadata = options.metadata, timeout = options.timeout or client.timeout,
  }
  if client.interceptors then return intercepted(client, method, request, options) end
  local perform = method.kind == "unary" and unary or streaming
  return guarded(client, method, perform, request, options)
end

local KINDS = { unary = true, server_streaming = true, client_streaming = true, bidi_streaming = true }

-- Where no .proto file describes the service: the kind comes from the options, or from the call.
local function undescribed(client, name, kind)
  return { name = name, kind = kind, path = ("/%s/%s"):format(client.service, name) }
end

-- The function behind client:Method(…). With a stream of requests there is no request to begin with: client:Method(options).
local function method_function(client, method)
  if method.kind == "client_streaming" or method.kind == "bidi_streaming" then
    return function(_, options) return call(client, method, nil, options) end
  end
  return function(_, message, options)
    if message == nil then error(method.path .. ": a request is expected", 2) end
    return call(client, method, message, options)
  end
end

-- Without a description, and without a kind in the options: client:Method(request, { kind = "server_streaming" }).
local function open_function(client, name)
  return function(_, message, options)
    if options == nil and type(message) == "table" then message, options = nil, message end
    local kind = type(options) == "table" and options.kind or "unary"
    if not KINDS[kind] then error(("%s.%s: there is no kind '%s'"):format(client.service, name, tostring(kind)), 2) end
    return call(client, undescribed(client, name, kind), message, options)
  end
end

local Client = { __name = "perilune.grpc.client" }

-- Methods are made when they are first used.
local function lookup(client, hidden, name)
  if type(name) ~= "string" then return nil end
  local method
  if hidden.methods then
    local described = hidden.methods[name]
    if not described then
      error(("%s has no method '%s'"):format(hidden.service, name), 3)
    end
    method = { name = name, kind = described.kind, path = ("/%s/%s"):format(hidden.service, name),
      input = described.input, output = described.output }
  else
    local kind = hidden.kinds and hidden.kinds[name]
    if not kind then
      local fn = open_function(hidden, name)
      rawset(client, name, fn)
      return fn
    end
    method = undescribed(hidden, name, kind)
  end
  local fn = method_function(hidden, method)
  rawset(client, name, fn)
  return fn
end

-- grpc.client(target, service, options): see the manual for targets and options. Connects when the first call is made.
function grpc.client(target, service, options)
  if type(target) ~= "string" or target == "" then error("grpc.client: a target is expected, as in \"dns:///users:50051\"", 2) end
  if type(service) ~= "string" or not service:match "^[%w_.]+$" then
    error("grpc.client: the name of a service is expected, as in \"user.v1.UserService\"", 2)
  end
  local ok, hidden = pcall(options_of, target, service, options)
  if not ok then error(type(hidden) == "table" and hidden.message or hidden, 2) end
  hidden.methods = not hidden.bytes and status.methods(service, hidden.kinds) or nil
  return setmetatable({}, {
    __name = Client.__name,
    __metatable = false,
    __index = function(client, name) return lookup(client, hidden, name) end,
    __tostring = function() return ("gRPC client of %s at %s"):format(service, target) end,
  })
end

-- Seconds until the deadline of the request, call or event that is being worked on; nil: it has none. Outgoing calls never go
-- beyond it.
grpc.remaining = core.remaining

return grpc
