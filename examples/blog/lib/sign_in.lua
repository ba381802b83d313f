-- SPDX-License-Identifier: MIT
-- The interceptor that finds out who asks: by the header "Authorization: Bearer …", or, where a WebSocket's client cannot send
-- one, by connection parameters { "authorization": "Bearer …" }. Nobody has to sign in, but a token must be right.
local errors = require "perilune.errors"
local tokens = require "lib.tokens"
local users  = require "lib.users"

local function credentials(ctx)
  local params = ctx.connection_params
  return ctx.headers.authorization or params and params.authorization
end

return function(ctx, next)
  local given = credentials(ctx)
  if given then
    local id, expires_at = tokens.read(tostring(given):match "^[Bb]earer (.+)$" or "")
    ctx.user = id and users.find(id) or error(errors.unauthenticated "the token is not valid, or no longer")
    ctx.expires_at = expires_at
    if ctx.operation_kind == "connection" then ctx.pubsub:publish("user.online", ctx.user) end
  end
  return next(ctx)
end
