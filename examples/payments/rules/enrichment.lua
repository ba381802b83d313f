-- SPDX-License-Identifier: MIT
local currencies = require "rules.currencies"
local time       = require "perilune.time"

local rules = {}

-- What reports get of a completed payment: no name and no address, but the country, the day and a size.
function rules.enriched(payment, user)
  return {
    payment_id = payment.id,
    user_id = user.id,
    country = user.country,
    merchant = payment.merchant,
    amount = payment.amount,
    currency = payment.currency,
    text = currencies.text(payment.amount, payment.currency),
    day = time.rfc3339(payment.created_at):sub(1, 10),
    size = payment.amount < 1000 and "small" or payment.amount < 50000 and "medium" or "large",
  }
end

return rules
