-- SPDX-License-Identifier: MIT
-- What the rules have to know of a user's other payments: they are functions and ask no database.
local history = {}

function history.of(db, payment)
  return db:first([[
    SELECT coalesce(sum(amount) FILTER (WHERE status = 'COMPLETED' AND created_at > :now - 86400), 0) AS spent_today,
           count(*) FILTER (WHERE created_at > :now - 60) AS last_minute,
           count(*) FILTER (WHERE status = 'COMPLETED') AS completed,
           coalesce(avg(amount) FILTER (WHERE status = 'COMPLETED'), 0) AS average
      FROM payments WHERE user_id = :user AND currency = :currency AND id <> :id AND created_at <= :now]],
    { now = payment.created_at, user = payment.user_id, currency = payment.currency, id = payment.id })
end

return history
