-- SPDX-License-Identifier: MIT
-- What may be a payment, and what becomes of it. All rules are functions of what they are given: no clock, no database.
local currencies  = require "rules.currencies"
local fraud_score = require "rules.fraud"
local over_limit  = require "rules.limits"

local FRAUD = 50

local rules = {}

-- What is wrong with a request for a payment, as { field = message }, or nil.
function rules.check(input)
  local wrong = {}
  if input.amount <= 0 then wrong.amount = "must be more than 0, in minor units" end
  if not currencies.is_known(input.currency) then wrong.currency = "must be EUR, GBP, JPY or USD" end
  if not input.merchant:find "%S" then wrong.merchant = "must not be empty" end
  if #input.idempotency_key < 1 or #input.idempotency_key > 100 then wrong.idempotency_key = "must have 1 to 100 characters" end
  return next(wrong) and wrong or nil
end

-- "COMPLETED" or "FAILED", the reason (or nil), and the fraud score. history: see lib/history.lua.
function rules.decide(payment, history)
  local score = fraud_score(payment, history)
  local reason = over_limit(payment, history) or score >= FRAUD and "LOOKS_LIKE_FRAUD" or nil
  return reason and "FAILED" or "COMPLETED", reason, score
end

return rules
