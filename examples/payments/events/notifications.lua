-- SPDX-License-Identifier: MIT
-- Tells users by mail what became of their payments. A mail server that does not answer is asked again, a little later each time;
-- after the third time the event goes to the dead letters, and the next ones do not wait for it any longer.
local currencies = require "rules.currencies"
local mail       = require "lib.mail"
local topics     = require "lib.topics"

local texts = {
  PaymentCompleted = "%s was paid to %s.",
  PaymentFailed = "%s was not paid to %s.",
}

return {
  topic = topics.payments,
  group = "notifications",
  deduplicate = { by = "id", within = 7 * 86400 },
  retry = { attempts = 3, backoff = "exponential", initial = 0.2, jitter = true },
  dead_letter = "notifications-dlq",
  handler = function(event, _, ctx)
    local text = texts[event.type]
    if not text then return end
    local payment = event.payment
    local email = ctx.db:value("SELECT email FROM contacts WHERE user_id = ?", event.user_id)
    mail.send(ctx, event.user_id, email, text:format(currencies.text(payment.amount, payment.currency), payment.merchant))
  end,
}
