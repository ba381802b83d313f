-- SPDX-License-Identifier: MIT
-- Accounts: the store of their events, and what can be read of them. Commands look at events alone, queries at projections.
require "lib.db"
local account  = require "rules.account"
local balances = require "lib.balances"
local errors   = require "perilune.errors"
local sourcing = require "perilune.sourcing"

local store = sourcing.store { aggregates = { account }, projections = { balances } }

local accounts = {}

local function id_of(user_id, currency)
  return user_id .. ":" .. currency
end

-- Keys of clients have a name of their own in front: none is the same as one of ours.
function accounts.deposit(ctx, input)
  local id = id_of(input.user_id, input.currency)
  local command = { type = "Deposit", amount = input.amount }
  store:execute("account", id, command, { idempotency_key = "deposit:" .. input.idempotency_key, ctx = ctx })
  return accounts.get(ctx, input.user_id, input.currency)
end

-- Takes the money for a payment from its user's account; false when there is not enough. Part of the transaction under way.
function accounts.pay(ctx, payment)
  local command = { type = "Pay", amount = payment.amount, payment_id = payment.id, merchant = payment.merchant }
  local options = { idempotency_key = "pay:" .. payment.id, ctx = ctx }
  local ok, failure = pcall(store.execute, store, "account", id_of(payment.user_id, payment.currency), command, options)
  if not ok and not errors.is(failure, "failed_precondition") then error(failure, 0) end
  return ok
end

function accounts.get(ctx, user_id, currency)
  return ctx.db:first("SELECT * FROM balances WHERE user_id = ? AND currency = ?", user_id, currency)
end

function accounts.of_user(ctx, user_id)
  return ctx.db:query("SELECT * FROM balances WHERE user_id = ? ORDER BY currency", user_id)
end

-- All that has happened to an account, the oldest first.
function accounts.events(row)
  return store:events("account", id_of(row.user_id, row.currency))
end

return accounts
