-- SPDX-License-Identifier: MIT
-- The topics. Keys are ids of users: what one user does stays in order.
return {
  payments = "payment-events",    -- PaymentCreated, PaymentCompleted, PaymentFailed
  users    = "user-events",       -- UserUpdated
  enriched = "payments-enriched", -- completed payments with what reports want to know of their users
}
