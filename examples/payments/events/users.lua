-- SPDX-License-Identifier: MIT
-- Keeps the copy of addresses that notifications have, and tells the old address when it changes.
local mail   = require "lib.mail"
local topics = require "lib.topics"

return {
  topic = topics.users,
  group = "notification-contacts",
  deduplicate = { by = "id" },
  dead_letter = "notification-contacts-dlq",
  handler = function(event, _, ctx)
    local user = event.user
    local old = ctx.db:value("SELECT email FROM contacts WHERE user_id = ?", user.id)
    ctx.db:exec("INSERT INTO contacts VALUES (?, ?) ON CONFLICT DO UPDATE SET email = excluded.email", user.id, user.email)
    if old and old ~= user.email and not old:find "%.invalid$" then
      mail.send(ctx, user.id, old, "Your address is now " .. user.email .. ".")
    end
  end,
}
