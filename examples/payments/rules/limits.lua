-- SPDX-License-Identifier: MIT
-- How much a user may pay at once, and within a day, in minor units.
local limits = {
  EUR = { payment = 100000, day = 250000 },
  GBP = { payment = 100000, day = 250000 },
  USD = { payment = 100000, day = 250000 },
  JPY = { payment = 150000, day = 400000 },
}

-- Why the payment may not be, or nil.
return function(payment, history)
  local limit = limits[payment.currency]
  if payment.amount > limit.payment then return "OVER_PAYMENT_LIMIT" end
  if history.spent_today + payment.amount > limit.day then return "OVER_DAILY_LIMIT" end
end
