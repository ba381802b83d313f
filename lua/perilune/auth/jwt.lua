-- SPDX-License-Identifier: MIT
-- auth.jwt{ … }: who asks says so with a JSON Web Token.
local access = require "perilune.auth.access"
local check = require "perilune.auth.check"
local scheme = require "perilune.auth.scheme"
local verifier = require "perilune.auth.verifier"

local known = { header = true, param = true, optional = true, roles = true, user = true }
for name in next, verifier.settings do
  known[name] = true
end

-- The token in "Bearer x"; nil: something else.
local function bearer(text)
  return type(text) == "string" and text:match "^[Bb][Ee][Aa][Rr][Ee][Rr] +(%S.*)$" or nil
end

-- In the parameters of a connection the word may be missing.
local function from_params(params, name)
  if type(params) ~= "table" then
    return nil
  end
  local text = params[name]
  if text == nil then -- "Authorization", as in headers
    text = params[name:sub(1, 1):upper() .. name:sub(2)]
  end
  return bearer(text) or type(text) == "string" and text ~= "" and not text:find " " and text or nil
end

local function finder(header, param)
  return function(ctx)
    local token = bearer(ctx.headers[header])
    if token == nil and param then
      token = from_params(ctx.connection_params, param)
    end
    return token
  end
end

-- claims["a.b"], or else claims.a.b
local function claim_at(claims, path)
  local value = claims[path]
  if value ~= nil then
    return value
  end
  value = claims
  for name in path:gmatch "[^.]+" do
    if type(value) ~= "table" then
      return nil
    end
    value = value[name]
  end
  return value
end

local function roles_from(paths)
  return function(claims)
    local list = {}
    for _, path in ipairs(paths) do
      access.add_names(list, claim_at(claims, path))
    end
    return list
  end
end

local function default_user(read_roles)
  return function(claims)
    local scope = claims.scope
    if scope == nil then
      scope = claims.scp
    end
    local user = { id = claims.sub, roles = read_roles(claims), claims = claims }
    if type(scope) == "table" then
      user.scopes = scope
    elseif type(scope) == "string" then
      user.scope = scope
    end
    return user
  end
end

local function read_user(options)
  local what = "auth.jwt"
  local make = check.type(what, options, "user", "function")
  if make and options.roles ~= nil then
    check.fail("%s: roles has no effect beside user, which says what the roles are", what)
  end
  if type(options.roles) == "function" then
    local roles = options.roles
    return default_user(function(claims) return access.add_names({}, roles(claims)) end)
  end
  return make or default_user(roles_from(check.strings(what, options, "roles") or { "roles", "role" }))
end

return function(options)
  local what = "auth.jwt"
  check.names(what, options, known)
  local header = (check.type(what, options, "header", "string") or "authorization"):lower()
  local param = options.param
  if param == nil then
    param = "authorization"
  elseif param ~= false then
    check.type(what, options, "param", "string")
  end
  local make_user = read_user(options)
  local tokens = verifier.make(what, options)
  return scheme.new {
    challenge = "Bearer",
    invalid_challenge = 'Bearer error="invalid_token"',
    optional = check.type(what, options, "optional", "boolean"),
    find = finder(header, param),
    check = function(token, ctx)
      local claims, ends = tokens:verify(token)
      if not claims then
        return nil, nil, ends
      end
      return make_user(claims, ctx), ends, "the token is not valid"
    end,
  }
end
