-- SPDX-License-Identifier: MIT
-- auth.api_key{ … }: who asks says so with a key that was handed out.
local check = require "perilune.auth.check"
local crypto = require "perilune.crypto"
local scheme = require "perilune.auth.scheme"

local MOST = 512 -- bytes of a key

local known = { header = true, param = true, keys = true, hashes = true, find = true, optional = true }

-- Keys are looked up by a code of their hash, under a secret that nobody knows: how long a look takes says nothing about them.
local function lookup(keys, hashes)
  local secret, users = crypto.random_bytes(32), {}
  local function code(hash)
    return crypto.hmac_sha256(secret, hash)
  end
  for key, user in next, keys do
    users[code(crypto.sha256(key))] = user
  end
  for hash, user in next, hashes do
    users[code(hash:lower())] = user
  end
  return function(key)
    return users[code(crypto.sha256(key))]
  end
end

local function check_entries(what, name, entries)
  for key, user in next, entries do
    if type(key) ~= "string" then
      check.fail("%s: %s: a key is a %s, not a string (an environment variable that is not set?)", what, name, type(key))
    elseif name == "keys" and (#key < 16 or #key > MOST) then
      check.fail("%s: keys: a key of %d bytes; 16 to %d are expected", what, #key, MOST)
    elseif name == "hashes" and (#key ~= 64 or key:find "%X") then
      check.fail("%s: hashes: '%s' is no SHA-256 in hexadecimal digits", what, key)
    elseif type(user) ~= "table" then
      check.fail("%s: %s: what a key stands for must be a table, the user", what, name)
    end
  end
end

local function copy(user)
  local result = {}
  for name, value in next, user do
    result[name] = value
  end
  return result
end

local function finder(header, param)
  return function(ctx)
    local key = ctx.headers[header]
    local params = ctx.connection_params
    if key == nil and param and type(params) == "table" then
      key = params[param]
    end
    return type(key) == "string" and key ~= "" and key or nil
  end
end

return function(options)
  local what = "auth.api_key"
  check.names(what, options, known)
  local keys = check.type(what, options, "keys", "table")
  local hashes = check.type(what, options, "hashes", "table")
  local find = check.type(what, options, "find", "function")
  if not find and not keys and not hashes or find and (keys or hashes) then
    check.fail("%s: keys, hashes or both are expected, or find", what)
  end
  check_entries(what, "keys", keys or {})
  check_entries(what, "hashes", hashes or {})
  local known_user = lookup(keys or {}, hashes or {})
  local param = options.param
  if param == nil then
    param = "apiKey"
  elseif param ~= false then
    check.type(what, options, "param", "string")
  end
  return scheme.new {
    challenge = "ApiKey",
    optional = check.type(what, options, "optional", "boolean"),
    find = finder((check.type(what, options, "header", "string") or "x-api-key"):lower(), param),
    check = function(key, ctx)
      local user
      if #key <= MOST then
        if find then
          user = find(key, ctx)
        else
          user = known_user(key)
          user = user and copy(user)
        end
      end
      return user, nil, "the API key is not valid"
    end,
  }
end
