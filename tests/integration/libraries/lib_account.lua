-- SPDX-License-Identifier: MIT
local errors = require "perilune.errors"
local sourcing = require "perilune.sourcing"

return sourcing.aggregate {
  name = "account",
  initial = function() return { open = false, balance = 0 } end,
  apply = {
    Opened = function(state, event) state.open, state.owner = true, event.owner end,
    Deposited = function(state, event) state.balance = state.balance + event.amount end,
    Withdrawn = function(state, event) return { open = true, owner = state.owner, balance = state.balance - event.amount } end,
  },
  validate = {
    Deposit = function(command)
      if not (math.type(command.amount) == "integer" and command.amount > 0) then return { amount = "must be above 0" } end
    end,
  },
  decide = {
    Open = function(state, command)
      if not state.open then return { type = "Opened", owner = command.owner } end
    end,
    Deposit = function(state, command)
      if not state.open then error(errors.failed_precondition "the account is not open") end
      return { type = "Deposited", amount = command.amount }, { balance = state.balance + command.amount }
    end,
    Withdraw = function(state, command)
      if state.balance < command.amount then error(errors.failed_precondition "not enough") end
      local events = { { type = "Withdrawn", amount = command.amount } }
      if command.fee then events[2] = { type = "Withdrawn", amount = command.fee } end
      return events
    end,
    Nonsense = function() return { { type = "Exploded" } } end,
  },
  snapshot = { every = 10 },
  publish = "account-events",
  upcast = {
    Deposited = { function(event) event.amount = math.floor(event.euros * 100) event.euros = nil return event end },
    Credited = { function(event) event.type = "Deposited" return event, 2 end },
    Noted = { function() return nil end },
  },
}
