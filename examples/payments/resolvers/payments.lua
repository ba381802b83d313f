-- SPDX-License-Identifier: MIT
local currencies = require "rules.currencies"
local feed       = require "lib.feed"
local payments   = require "lib.payments"

return {
  Query = {
    payment  = function(_, args, ctx) return payments.find(ctx, args.id) end,
    payments = function(_, args, ctx)
      local page, next_page =
        payments.page(ctx, { user_id = args.userId, status = args.status, limit = args.first, after = args.after })
      return { payments = page, next = next_page }
    end,
  },

  Mutation = {
    createPayment = function(_, args, ctx)
      local input = args.input
      return payments.create(ctx, {
        user_id = input.userId, amount = input.amount, currency = input.currency, merchant = input.merchant,
        idempotency_key = input.idempotencyKey,
      })
    end,
  },

  Subscription = {
    paymentUpdated = {
      subscribe = function(_, args, ctx) return feed(ctx, args.userId) end,
      resolve = function(event) return event.payment end,
    },
  },

  Payment = {
    user = function(payment, _, ctx) return ctx.loaders.users:load(payment.user_id) end,
    text = function(payment) return currencies.text(payment.amount, payment.currency) end,
  },
}
