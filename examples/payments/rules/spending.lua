-- SPDX-License-Identifier: MIT
-- How payments are added up: { EUR = { count, amount }, … }.
local rules = {}

function rules.nothing() return {} end

function rules.add(sums, event)
  local payment = event.payment
  local sum = sums[payment.currency] or { count = 0, amount = 0 }
  sums[payment.currency] = { count = sum.count + 1, amount = sum.amount + payment.amount }
  return sums
end

return rules
