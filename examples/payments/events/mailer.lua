-- SPDX-License-Identifier: MIT
-- Sends mails. A mail server that does not answer is asked again, a little later each time; after the third time the mail is put
-- aside, as a dead letter, until somebody sends it again: perilune dlq replay mails-dlq.
local mail   = require "lib.mail"
local topics = require "lib.topics"

return {
  topic = topics.mails,
  group = "mailer",
  ordering = "key", -- a user's mails one after the other, those of others meanwhile
  deduplicate = { by = "id", within = 7 * 86400 },
  retry = { attempts = 3, backoff = "exponential", initial = 0.2, jitter = true },
  dead_letter = "mails-dlq",
  handler = function(event, _, ctx)
    local email = event.email or ctx.db:value("SELECT email FROM contacts WHERE user_id = ?", event.user_id)
    mail.send(ctx, event.user_id, email, event.text)
  end,
}
