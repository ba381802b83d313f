-- SPDX-License-Identifier: MIT
-- The topics. Keys are ids of users, or of accounts: what happens to one of them stays in order.
return {
  payments = "payment-events",    -- PaymentCreated, PaymentCompleted, PaymentFailed
  users    = "user-events",       -- UserUpdated
  mails    = "mails",             -- what the mailer has to send
  accounts = "account-events",    -- Deposited, Paid
  enriched = "payments-enriched", -- completed payments with what reports want to know of their users
}
