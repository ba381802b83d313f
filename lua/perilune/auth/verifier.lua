-- SPDX-License-Identifier: MIT
-- Checks JSON Web Tokens with keys from a secret, a public key, or a set of keys that may be fetched and change.
local check = require "perilune.auth.check"
local core = require "perilune.auth.core"
local errors = require "perilune.errors"
local json = require "perilune.json"
local log = require "perilune.log"
local time = require "perilune.time"

local verifier = {}
local Verifier = { __name = "perilune.auth.verifier" }
Verifier.__index = Verifier

verifier.settings = {
  algorithms = true, secret = true, public_key = true, jwks = true, issuer = true, audience = true, required = true,
  type = true, leeway = true, max_age = true, max_size = true, cache = true,
}
local remote_settings = { url = true, refresh = true, cooldown = true, timeout = true, ca_file = true, allow_http = true }

-- Settings --------------------------------------------------------------------------------------------------------------------

local function read_file(what, name, path)
  local text = core.file(path)
  if not text then
    check.fail("%s: %s: there is no file %s in the bundle (files of keys end with .pem, jwks.json or keys.json)", what, name,
      path)
  end
  return text
end

local function make_keys(what, name, kind, text)
  local keys, problem = core.keys(kind, text)
  if not keys then
    check.fail("%s: %s: %s", what, name, problem)
  end
  return keys
end

local function remote_keys(self, what, options)
  local keys, problem = core.remote(options.url, {
    ca_file = options.ca_file,
    allow_http = options.allow_http,
    timeout = check.number(what, options, "timeout", 5, 0.1, 60),
  })
  if not keys then
    check.fail("%s: jwks: %s", what, problem)
  end
  self.remote = {
    refresh = check.number(what, options, "refresh", 300, 1, 86400),
    cooldown = check.number(what, options, "cooldown", 10, 0.1, 3600),
    timeout = options.timeout or 5,
  }
  return keys
end

local function is_url(text)
  return text:find "^%a[%w+.-]*://" ~= nil
end

local function read_jwks(self, what, jwks)
  if type(jwks) == "string" and is_url(jwks) then
    jwks = { url = jwks }
  end
  if type(jwks) == "string" then
    return make_keys(what, "jwks: " .. jwks, "jwks", read_file(what, "jwks", jwks))
  elseif type(jwks) ~= "table" then
    check.fail("%s: jwks must be a URL, a file of the bundle, or a table", what)
  elseif jwks.url == nil then
    return make_keys(what, "jwks", "jwks", json.encode(jwks))
  end
  for name, value in next, jwks do
    local expected = (name == "url" or name == "ca_file") and "string" or name == "allow_http" and "boolean" or "number"
    if not remote_settings[name] then
      check.fail("%s: jwks: there is no setting '%s'", what, tostring(name))
    elseif type(value) ~= expected then
      check.fail("%s: jwks.%s must be a %s", what, name, expected)
    end
  end
  return remote_keys(self, what, jwks)
end

local function read_public_key(what, text)
  if not text:find("-----BEGIN ", 1, true) then
    text = read_file(what, "public_key", text)
  end
  return make_keys(what, "public_key", "pem", text)
end

local function read_keys(self, what, options)
  local given = 0
  for _, name in ipairs { "secret", "public_key", "jwks" } do
    given = given + (options[name] ~= nil and 1 or 0)
  end
  if given ~= 1 then
    check.fail("%s: one of secret, public_key and jwks is expected (an environment variable that is not set gives nil)", what)
  end
  if options.jwks ~= nil then
    return read_jwks(self, what, options.jwks)
  end
  local name = options.secret ~= nil and "secret" or "public_key"
  if type(options[name]) ~= "string" then
    check.fail("%s: %s must be a string", what, name)
  end
  return name == "secret" and make_keys(what, name, "secret", options.secret) or read_public_key(what, options.public_key)
end

-- Each of the algorithms must fit some key: a mistake in one of the two is found when the bundle is loaded.
local function check_algorithms(what, algorithms, keys)
  local possible = keys:algorithms()
  for _, name in ipairs(possible and algorithms or {}) do
    local fits = false
    for _, other in ipairs(possible) do
      fits = fits or name == other
    end
    if not fits then
      check.fail("%s: algorithms: no key can be used with %s (but with %s)", what, name, table.concat(possible, ", "))
    end
  end
end

local function read_audience(what, options, settings)
  if options.audience == false then
    settings.any_audience = true
  else
    settings.audiences = check.strings(what, options, "audience")
  end
end

-- For auth.jwt and auth.verifier; what names the function in messages.
function verifier.make(what, options)
  local self = setmetatable({ refusals = {} }, Verifier)
  local settings = {
    algorithms = check.strings(what, options, "algorithms"),
    issuers = check.strings(what, options, "issuer"),
    required = options.required == false and {} or check.strings(what, options, "required") or { "exp" },
    type = check.type(what, options, "type", "string"),
    leeway = check.number(what, options, "leeway", 30, 0, 3600),
    max_age = check.number(what, options, "max_age", 0, 0, 1e9),
    max_size = check.number(what, options, "max_size", 16384, 64, 1048576),
    cache = check.number(what, options, "cache", 1000, 0, 100000),
  }
  if not settings.algorithms then
    check.fail("%s: algorithms is missing: say which are allowed, such as { \"RS256\" }", what)
  end
  read_audience(what, options, settings)
  local ok, made = pcall(core.verifier, settings)
  if not ok then
    check.fail("%s: %s", what, tostring(made):gsub("^auth: ", ""))
  end
  self.core = made
  self.keys = read_keys(self, what, options)
  check_algorithms(what, settings.algorithms, self.keys)
  return self
end

-- auth.verifier{ … }: the same settings as auth.jwt, for tokens that come in another way.
function verifier.new(options)
  check.names("auth.verifier", options, verifier.settings)
  return verifier.make("auth.verifier", options)
end

-- Keys that are fetched -----------------------------------------------------------------------------------------------------

-- Waits until nobody fetches them any more.
local function wait_for_fetch(self)
  local ends, pause = time.monotonic() + self.remote.timeout + 1, 0.005
  while self.keys:status().fetching and time.monotonic() < ends do
    time.sleep(pause)
    pause = math.min(pause * 2, 0.2)
  end
end

-- In the background: whoever asks now is served with the keys that are there.
local function refresh_if_old(self)
  local age = self.keys:status().age
  if age and age > self.remote.refresh then
    self.keys:refresh(self.remote.cooldown)
  end
end

local function check_remote(self, token, now)
  refresh_if_old(self)
  local claims, ends, why = self.core:check(self.keys, token, now)
  if claims or (ends ~= "unknown key" and ends ~= "unavailable") then
    return claims, ends, why
  end
  -- Perhaps there are newer keys. Without any it is tried again sooner.
  local cooldown = ends == "unavailable" and math.min(1, self.remote.cooldown) or self.remote.cooldown
  if self.keys:refresh(cooldown) then
    wait_for_fetch(self)
    return self.core:check(self.keys, token, now)
  end
  return claims, ends, why
end

-- Checking ------------------------------------------------------------------------------------------------------------------

-- The same reason is logged once in ten seconds, with a count: whoever sends bad tokens shall not fill the log.
local function note_refusal(self, verdict, why)
  local now = time.monotonic()
  local entry = self.refusals[why]
  if not entry then
    entry = { since = -math.huge, count = 0 }
    self.refusals[why] = entry
  end
  entry.count = entry.count + 1
  if now - entry.since >= 10 then
    log.info("tokens refused", { reason = why, kind = verdict, count = entry.count })
    entry.since, entry.count = now, 0
  end
end

-- v:verify(token): the claims, and when they end (seconds, or nil); or nil and a message for the client. May wait for keys.
-- Raises UNAVAILABLE when there are none.
function Verifier:verify(token)
  if type(token) ~= "string" then
    error("verify: the token is no string", 2)
  end
  local claims, ends, why
  if self.remote then
    claims, ends, why = check_remote(self, token, time.now())
  else
    claims, ends, why = self.core:check(self.keys, token, time.now())
  end
  if claims then
    return claims, ends
  elseif ends == "unavailable" then
    error(errors.unavailable "tokens cannot be checked at the moment")
  end
  note_refusal(self, ends, why)
  return nil, ends == "expired" and "the token has expired" or "the token is not valid"
end

-- v:status(): { ready, fetching, age, fetches, failures, cached }
function Verifier:status()
  local status = self.keys:status()
  status.cached = self.core:cached()
  return status
end

return verifier
