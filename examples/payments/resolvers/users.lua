-- SPDX-License-Identifier: MIT
local payments = require "lib.payments"
local users    = require "lib.users"

return {
  Query = {
    user  = function(_, args, ctx) return users.find(ctx, args.id) end,
    users = function(_, _, ctx) return users.list(ctx) end,
  },

  Mutation = {
    updateUser = function(_, args, ctx) return users.update(ctx, args.id, args.input) end,
  },

  User = {
    payments = function(user, args, ctx) return (payments.page(ctx, { user_id = user.id, limit = args.first })) end,
    mails = function(user, _, ctx)
      return ctx.db:query("SELECT * FROM mails WHERE user_id = ? ORDER BY id DESC LIMIT 20", user.id)
    end,
  },
}
