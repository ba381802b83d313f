-- SPDX-License-Identifier: MIT
-- Payments as messages of proto/payments/v1/payments.proto. Times are seconds, which a Timestamp takes as they are.
local PREFIX = "PAYMENT_STATUS_"

local message = {}

function message.payment(row)
  return {
    id = row.id, user_id = row.user_id, amount = row.amount, currency = row.currency, merchant = row.merchant,
    status = PREFIX .. row.status, reason = row.reason, fraud_score = row.fraud_score, created_at = row.created_at,
    settled_at = row.settled_at,
  }
end

function message.payments(rows)
  local list = {}
  for i, row in ipairs(rows) do list[i] = message.payment(row) end
  return list
end

-- "CREATED"; nil for a status that was not said.
function message.status(name)
  local status = name:sub(#PREFIX + 1)
  return status ~= "UNSPECIFIED" and status or nil
end

return message
