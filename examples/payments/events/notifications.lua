-- SPDX-License-Identifier: MIT
-- Decides who has to be told what. The mails are events themselves, of a topic of their own (events/mailer.lua), so that one that
-- cannot be sent holds up nobody here, and can be sent again without anything else happening again.
local events = require "lib.events"
local rules  = require "rules.notifications"
local topics = require "lib.topics"

return {
  topics = { topics.payments, topics.users },
  group = "notifications",
  deduplicate = { by = "id", within = 7 * 86400 },
  dead_letter = "notifications-dlq",
  handler = function(event, _, ctx)
    for _, mail in ipairs(rules.mails(event)) do
      events.publish(ctx, topics.mails, "Mail", event.user_id, mail)
    end
  end,
}
