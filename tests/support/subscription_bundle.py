# SPDX-License-Identifier: MIT
"""An application with all kinds of sources of events, for tests of subscriptions."""

SCHEMA = """
type Query { hello: String  who: String }
type Mutation { say(text: String!): Boolean }
type Subscription {
  said(has: String): Said
  count(to: Int!, pause: Float = 0): Int
  never: Int
  bad: Int
  fails: Int
  refused: Int
  slow: Int
  missing: Int
}
type Said { text: String  by: String  number: Int }
"""

RESOLVERS = """
local errors = require "perilune.errors"
local shared = require "perilune.shared"
local time   = require "perilune.time"
local marks  = shared.dict "marks"

return {
  Query = {
    hello = function() return "world" end,
    who = function(_, _, ctx) return ctx.user and ctx.user.name end,
  },
  Mutation = {
    say = function(_, args, ctx)
      ctx.pubsub:publish("said", { text = args.text, number = marks:incr "said" })
      return true
    end,
  },
  Said = { by = function(_, _, ctx) return ctx.user and ctx.user.name end },
  Subscription = {
    said = {
      subscribe = function(_, args, ctx)
        return ctx.pubsub:subscribe("said", args.has and function(event) return event.text:find(args.has, 1, true) end,
          { queue = 10, on_full = os.getenv "ON_FULL" or "drop_oldest" })
      end,
    },
    count = function(_, args)
      return coroutine.wrap(function()
        for i = 1, args.to do
          if args.pause > 0 then time.sleep(args.pause) end
          coroutine.yield(i)
        end
      end)
    end,
    never = function()
      marks:incr "never_open"
      return { next = function() time.sleep(1000) end, close = function() marks:incr "never_closed" end }
    end,
    bad = function() return 7 end,
    fails = function()
      local n = 0
      return function()
        n = n + 1
        if n > 1 then error(errors.data_loss "the tape is torn") end
        return n
      end
    end,
    refused = function() error(errors.permission_denied "not you") end,
    slow = function() time.sleep(1000) end,
  },
}
"""

APP = """
local errors = require "perilune.errors"
local shared = require "perilune.shared"
local time   = require "perilune.time"
local marks  = shared.dict "marks"

return {
  http = { websocket = { init_timeout = 1, max_operations = 3 } },
  graphql = { timeout = 2 },
  interceptors = {
    function(ctx, next)
      local params = ctx.connection_params or {}
      local name = ctx.headers["x-user"] or params.user
      if name == "mallory" then error(errors.permission_denied "no mallory here") end
      if name == "broken" then error("a bug") end
      if name == "sleeper" then time.sleep(1000) end
      if name then ctx.user = { name = name } end
      if params.expires_in then ctx.expires_at = time.now() + params.expires_in end
      return next(ctx)
    end,
  },
}
"""

BUNDLE = {"app.lua": APP, "schema/schema.graphql": SCHEMA, "resolvers/resolvers.lua": RESOLVERS}


def in_hand(server):
    return sum(generation["requests"] for generation in server.status()["generations"])
