-- SPDX-License-Identifier: MIT
-- Keeps the copy of addresses that the mailer has: it asks nobody when it has to send something.
local topics = require "lib.topics"

return {
  topic = topics.users,
  group = "contacts",
  deduplicate = { by = "id" },
  handler = function(event, _, ctx)
    ctx.db:exec("INSERT INTO contacts VALUES (?, ?) ON CONFLICT DO UPDATE SET email = excluded.email",
      event.user_id, event.user.email)
  end,
}
