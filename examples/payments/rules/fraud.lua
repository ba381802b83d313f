-- SPDX-License-Identifier: MIT
-- How much a payment looks like fraud: points from 0 to 100, of several signs.
local signs = {
  -- Far more than this user usually pays.
  { points = 40, applies = function(payment, history)
    return history.completed >= 3 and payment.amount > 10 * history.average
  end },
  -- Many payments at once.
  { points = 40, applies = function(_, history) return history.last_minute >= 10 end },
  -- A first payment, and a large one.
  { points = 20, applies = function(payment, history) return history.completed == 0 and payment.amount >= 50000 end },
  -- What can be turned into money at once.
  { points = 30, applies = function(payment) return payment.merchant:lower():find("gift card", 1, true) ~= nil end },
}

return function(payment, history)
  local score = 0
  for _, sign in ipairs(signs) do
    if sign.applies(payment, history) then score = score + sign.points end
  end
  return math.min(score, 100)
end
