-- SPDX-License-Identifier: MIT
-- A timer: payments that nobody has settled for a minute are told of again, since the embedded broker forgets its events when
-- the server ends. With a real one it does no harm: payments that are settled are not settled again.
local events = require "lib.events"
local time   = require "perilune.time"
local topics = require "lib.topics"

return function(ctx)
  local waiting = ctx.db:query("SELECT * FROM payments WHERE status = 'CREATED' AND created_at < ? LIMIT 1000", time.now() - 60)
  for _, payment in ipairs(waiting) do
    events.publish(ctx, topics.payments, "PaymentCreated", payment.user_id, { payment = payment })
  end
  if #waiting > 0 then ctx.log.warn("payments were waiting", { count = #waiting }) end
end
