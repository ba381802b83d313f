-- SPDX-License-Identifier: MIT
-- Completed payments with what reports want to know of who paid. delivery = "exactly_once": what the handler publishes and the
-- place up to which it has read are one transaction of Kafka, so each payment is in the topic once, however the server ends.
-- (Not on the embedded broker, which keeps no offsets of transactions.)
local rules  = require "rules.enrichment"
local topics = require "lib.topics"
local users  = require "lib.users"

return {
  topic = topics.payments,
  group = "enrichment",
  delivery = "exactly_once",
  dead_letter = "enrichment-dlq",
  handler = function(event, _, ctx)
    if event.type ~= "PaymentCompleted" then return end
    local user = users.get(ctx, event.user_id)
    ctx.events:publish(topics.enriched, rules.enriched(event.payment, user), { key = event.user_id })
  end,
}
