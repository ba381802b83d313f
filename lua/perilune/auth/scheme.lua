-- SPDX-License-Identifier: MIT
-- Ways to say who one is. A scheme finds a credential (or nothing) in a ctx, and checks it; an interceptor made of it sets
-- ctx.user.
local check = require "perilune.auth.check"
local errors = require "perilune.errors"

local scheme = {}
local behind = setmetatable({}, { __mode = "k" }) -- interceptor → what it was made of

local function challenge(ctx, text)
  if text then
    ctx.response_headers["www-authenticate"] = text
  end
end

-- The user and when that ends; nothing where the scheme finds no credential.
local function ask(self, ctx)
  local credential = self.find(ctx)
  if credential == nil then
    return nil
  end
  local user, expires_at, message = self.check(credential, ctx)
  if user then
    return user, expires_at
  end
  challenge(ctx, self.invalid_challenge or self.challenge)
  error(errors.unauthenticated(message or "the credentials are not valid"))
end

local function accept(ctx, user, expires_at)
  ctx.user = user
  ctx.expires_at = expires_at
end

-- An interceptor that takes the first of the schemes that finds a credential.
local function interceptor(schemes, optional)
  local challenges = {}
  for _, one in ipairs(schemes) do
    challenges[#challenges + 1] = one.challenge
  end
  local all = #challenges > 0 and table.concat(challenges, ", ") or nil
  local function run(ctx, next)
    for i = 1, #schemes do
      local user, expires_at = ask(schemes[i], ctx)
      if user then
        accept(ctx, user, expires_at)
        return next(ctx)
      end
    end
    if optional then
      -- What the ctx of a connection had: this operation brings nothing of its own.
      return next(ctx)
    end
    challenge(ctx, all)
    error(errors.unauthenticated "credentials are missing")
  end
  behind[run] = schemes
  return run
end

-- spec: { find = function(ctx) -> credential or nil, check = function(credential, ctx) -> user or nil, expires_at, message,
-- challenge = for the header www-authenticate, optional = whether one may come without }
function scheme.new(spec)
  check.names("auth.scheme", spec, { find = true, check = true, challenge = true, invalid_challenge = true, optional = true })
  for _, name in ipairs { "find", "check" } do
    if type(spec[name]) ~= "function" then
      check.fail("auth.scheme: %s must be a function", name)
    end
  end
  return interceptor({ spec }, spec.optional)
end

-- auth.any{ auth.jwt{…}, auth.api_key{…}, optional = true }: one of them.
function scheme.any(options)
  local schemes = {}
  if type(options) ~= "table" or #options == 0 then
    check.fail("auth.any: a list of auth.jwt{…}, auth.api_key{…} is expected")
  end
  for name in next, options do
    if name ~= "optional" and (math.type(name) ~= "integer" or name < 1 or name > #options) then
      check.fail("auth.any: there is no setting '%s'", tostring(name))
    end
  end
  for i, one in ipairs(options) do
    if not behind[one] then
      check.fail("auth.any: [%d] is no interceptor of perilune.auth that finds out who asks", i)
    end
    table.move(behind[one], 1, #behind[one], #schemes + 1, schemes)
  end
  return interceptor(schemes, options.optional)
end

return scheme
