-- SPDX-License-Identifier: MIT
local accounts   = require "lib.accounts"
local currencies = require "rules.currencies"
local errors     = require "perilune.errors"
local payments   = require "lib.payments"
local users      = require "lib.users"

return {
  Mutation = {
    deposit = function(_, args, ctx)
      local input = args.input
      if not currencies.is_known(input.currency) then
        error(errors.invalid_argument("the deposit is not valid", { currency = "must be EUR, GBP, JPY or USD" }))
      end
      return accounts.deposit(ctx, {
        user_id = users.get(ctx, input.userId).id, amount = input.amount, currency = input.currency,
        idempotency_key = input.idempotencyKey,
      })
    end,
  },

  User = {
    accounts = function(user, _, ctx) return accounts.of_user(ctx, user.id) end,
  },

  Account = {
    text = function(account) return currencies.text(account.balance, account.currency) end,
    events = function(account) return accounts.events(account) end,
  },

  -- A record of the store, with the event in it.
  AccountEvent = {
    amount = function(record) return record.event.amount end,
    at = function(record) return record.time end,
    payment = function(record, _, ctx)
      return record.event.payment_id and payments.find(ctx, record.event.payment_id)
    end,
  },
}
