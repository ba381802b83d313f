-- SPDX-License-Identifier: MIT
-- What all events have: an id, by which consumers know an event that comes twice, a type, and the time. They are published
-- through the outbox, so they are part of the transaction that they tell of.
local crypto = require "perilune.crypto"
local time   = require "perilune.time"

local events = {}

function events.publish(ctx, topic, type, user_id, contents)
  local event = { id = crypto.uuid7(), type = type, user_id = user_id, at = time.now() }
  for name, value in pairs(contents) do event[name] = value end
  ctx.outbox:publish(topic, event, { key = user_id, headers = { ["event-type"] = type } })
  return event
end

return events
