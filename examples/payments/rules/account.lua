-- SPDX-License-Identifier: MIT
-- An account of one user in one currency, as its events make it: Deposited and Paid. It never has less than nothing.
local errors   = require "perilune.errors"
local sourcing = require "perilune.sourcing"
local topics   = require "lib.topics"

return sourcing.aggregate {
  name = "account",
  initial = function() return { balance = 0 } end,

  apply = {
    Deposited = function(state, event) state.balance = state.balance + event.amount end,
    Paid      = function(state, event) state.balance = state.balance - event.amount end,
  },

  validate = {
    Deposit = function(command)
      if command.amount <= 0 then return { amount = "must be more than 0, in minor units" } end
    end,
  },

  decide = {
    Deposit = function(_, command) return { type = "Deposited", amount = command.amount } end,
    Pay = function(state, command)
      if command.amount > state.balance then error(errors.failed_precondition "there is not enough money in the account") end
      return { type = "Paid", amount = command.amount, payment_id = command.payment_id, merchant = command.merchant }
    end,
  },

  snapshot = { every = 100 },
  publish = topics.accounts,
}
