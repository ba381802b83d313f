-- SPDX-License-Identifier: MIT
local currencies = require "rules.currencies"
local spending   = require "lib.spending"

return {
  User = {
    spending = function(user, args) return spending.of(user.id, math.min(args.minutes, 60)) end,
  },
  Spending = {
    text = function(entry) return currencies.text(entry.amount, entry.currency) end,
  },
}
