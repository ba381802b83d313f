-- SPDX-License-Identifier: MIT
-- The options of a client: checked here, so that `perilune check` finds what is wrong with them.
local breaker = require "perilune.breaker"
local core = require "perilune.grpc.core"

local BALANCE = { pick_first = true, round_robin = true, least_request = true, weighted = true }
local COMPRESSION = { identity = true, gzip = true, deflate = true, zstd = true }
local KINDS = { unary = true, server_streaming = true, client_streaming = true, bidi_streaming = true }

local function fail(format, ...)
  error(("grpc.client: " .. format):format(...), 0)
end

local function one_of(set)
  return function(name, value)
    if not set[value] then
      local names = {}
      for each in next, set do names[#names + 1] = '"' .. each .. '"' end
      table.sort(names)
      fail("%s must be one of %s, not %s", name, table.concat(names, ", "), tostring(value))
    end
  end
end

local function of_type(expected)
  return function(name, value)
    if type(value) ~= expected then fail("%s must be a %s, not a %s", name, expected, type(value)) end
  end
end

local function number(least, most)
  return function(name, value)
    if type(value) ~= "number" or not (value >= least and value <= most) then
      fail("%s must be a number from %g to %g, not %s", name, least, most, tostring(value))
    end
  end
end

local function members(known)
  return function(name, value)
    if type(value) ~= "table" then fail("%s must be a table, not a %s", name, type(value)) end
    for member, each in next, value do
      if not known[member] then fail("there is no option '%s.%s'", name, tostring(member)) end
      known[member](name .. "." .. tostring(member), each)
    end
  end
end

local seconds, bytes, count = number(0, 1e6), number(1, 4294967295), number(0, 1e9)

local check_tls = members { ca = of_type "string", certificate = of_type "string", key = of_type "string",
  server_name = of_type "string", unverified = of_type "boolean" }
local check_breaker = members { failures = count, rate = number(0, 1), window = seconds, minimum = count, open = seconds,
  probes = count, slow = seconds, slow_rate = number(0, 1) }

-- Those of the connections: clients of a target with the same ones share them.
local CHANNEL = {
  balance = one_of(BALANCE),
  compression = one_of(COMPRESSION),
  compress_from = bytes,
  max_request = bytes,
  max_response = bytes,
  max_headers = bytes,
  connect_timeout = number(0.001, 1e6),
  idle_timeout = seconds,
  authority = of_type "string",
  user_agent = of_type "string",
  reconnect = members { initial = number(0.001, 1e6), max = number(0.001, 1e6) },
  keepalive = members { time = number(0.01, 1e6), timeout = number(0.01, 1e6), without_calls = of_type "boolean" },
  tls = function(name, value)
    if type(value) ~= "boolean" then check_tls(name, value) end
  end,
  service_config = function(name, value)
    if type(value) == "table" or type(value) == "string" then return end
    fail("%s must be a table, or JSON, not a %s", name, type(value))
  end,
}

-- Those of the client alone.
local CLIENT = {
  timeout = number(0.001, 1e6),
  wait_for_ready = of_type "boolean",
  metadata = of_type "table",
  credentials = of_type "function",
  insecure_credentials = of_type "boolean",
  bytes = of_type "boolean",
  methods = function(name, value)
    of_type "table"(name, value)
    for method, kind in next, value do one_of(KINDS)(name .. "." .. tostring(method), kind) end
  end,
  interceptors = function(name, value)
    of_type "table"(name, value)
    for i, interceptor in ipairs(value) do of_type "function"(("%s[%d]"):format(name, i), interceptor) end
  end,
  breaker = function(name, value)
    if type(value) == "string" then return end
    if type(value) ~= "table" then fail("%s must be a name, a breaker, or a table of settings", name) end
    if not value.enter then check_breaker(name, value) end
  end,
}

-- The same text for the same options.
local function text_of(value, out)
  if type(value) ~= "table" then
    out[#out + 1] = type(value) == "string" and ("%q"):format(value) or tostring(value)
    return
  end
  local names = {}
  for name in next, value do names[#names + 1] = name end
  table.sort(names, function(a, b) return tostring(a) < tostring(b) end)
  out[#out + 1] = "{"
  for _, name in ipairs(names) do
    out[#out + 1] = tostring(name) .. "="
    text_of(value[name], out)
    out[#out + 1] = ","
  end
  out[#out + 1] = "}"
end

local function tls_of(tls)
  if type(tls) ~= "table" then return tls end
  if (tls.certificate == nil) ~= (tls.key == nil) then fail "tls.certificate and tls.key belong together" end
  local copy = {}
  for name, value in next, tls do copy[name] = value end
  for _, name in ipairs { "ca", "certificate", "key" } do
    if copy[name] then copy[name] = core.path(copy[name]) end
  end
  return copy
end

local SCHEMES = { dns = true, ipv4 = true, ipv6 = true, unix = true, ["unix-abstract"] = true, consul = true, ["local"] = true }

-- The rest of a target is looked at when it is first called.
local function check_target(target)
  local scheme = target:match "^([%w+.-]+)://"
  if scheme and not SCHEMES[scheme] then
    fail("there are no targets like \"%s\": they begin with dns:///, ipv4:, ipv6:, unix:, consul:// or local:", target)
  end
end

return function(target, service, options)
  check_target(target)
  options = options or {}
  if type(options) ~= "table" then fail("the options must be a table, not a %s", type(options)) end
  local hidden, settings = { target = target, service = service }, {}
  for name, value in next, options do
    local check = CHANNEL[name] or CLIENT[name]
    if not check then fail("there is no option '%s'", tostring(name)) end
    check(name, value)
    if CHANNEL[name] then settings[name] = value else hidden[name] = value end
  end
  settings.tls = tls_of(settings.tls)
  if type(hidden.breaker) == "table" and not hidden.breaker.enter then
    settings.breaker, hidden.breaker = hidden.breaker, nil
  elseif type(hidden.breaker) == "string" then
    hidden.breaker = breaker.new(hidden.breaker)
  end
  hidden.kinds, hidden.methods = hidden.methods, nil
  hidden.secure = settings.tls and true or target:match "^unix" ~= nil or target:match "^local:" ~= nil
  local key = { target, "\n" }
  text_of(settings, key)
  hidden.channel = core.channel(target, table.concat(key), settings)
  core.check(hidden.channel)
  return hidden
end
