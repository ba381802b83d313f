-- SPDX-License-Identifier: MIT
-- Settles payments. The event's id, what becomes of the payment, and the event that tells of it are one transaction: however
-- often an event comes, its payment is settled once.
local payments = require "lib.payments"
local topics   = require "lib.topics"

return {
  topic = topics.payments,
  group = "payment-processor",
  deduplicate = { by = "id", within = 7 * 86400 },
  retry = { attempts = 5, initial = 0.1, max = 5 },
  dead_letter = "payment-processor-dlq",
  handler = function(event, _, ctx)
    if event.type == "PaymentCreated" then payments.settle(ctx, event.payment.id) end
  end,
}
