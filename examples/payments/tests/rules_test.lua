-- SPDX-License-Identifier: MIT
-- The rules are functions: they are tested with tables, without a database, a clock or a broker.
local account    = require "rules.account"
local currencies = require "rules.currencies"
local rules      = require "rules.payments"
local sourcing   = require "perilune.sourcing"
local t          = require "perilune.test"
local users      = require "rules.users"

local function request(changes)
  local input = { user_id = "ada", amount = 1250, currency = "EUR", merchant = "Cafe", idempotency_key = "1" }
  for name, value in pairs(changes) do input[name] = value end
  return input
end

-- What becomes of a payment: status, reason and fraud score.
local function decided(payment, history)
  local facts = { spent_today = 0, last_minute = 0, completed = 1, average = 1000 }
  for name, value in pairs(history or {}) do facts[name] = value end
  return { rules.decide(request(payment), facts) }
end

t.test("requests: what is wrong is named", function()
  t.equal(rules.check(request {}), nil)
  t.equal(rules.check(request { amount = 0, currency = "ZZZ", merchant = " ", idempotency_key = "" }), {
    amount = "must be more than 0, in minor units",
    currency = "must be EUR, GBP, JPY or USD",
    merchant = "must not be empty",
    idempotency_key = "must have 1 to 100 characters",
  })
end)

t.test("an ordinary payment completes", function()
  t.equal(decided {}, { "COMPLETED", nil, 0 })
end)

t.test("limits: at once, and within a day", function()
  t.equal(decided { amount = 100000, currency = "JPY" }[1], "COMPLETED")
  t.equal(decided { amount = 100000 }[1], "COMPLETED")
  t.equal(decided({ amount = 100001 })[2], "OVER_PAYMENT_LIMIT")
  t.equal(decided({ amount = 1000 }, { spent_today = 249000 })[1], "COMPLETED")
  t.equal(decided({ amount = 1001 }, { spent_today = 249000 })[2], "OVER_DAILY_LIMIT")
end)

t.test("fraud: one sign is not enough, two are", function()
  t.equal(decided { merchant = "The Gift Card Shop" }, { "COMPLETED", nil, 30 })
  t.equal(decided({ merchant = "Gift cards" }, { last_minute = 10 }), { "FAILED", "LOOKS_LIKE_FRAUD", 70 })
  t.equal(decided({ merchant = "Gift cards", amount = 50000 }, { completed = 0 }), { "FAILED", "LOOKS_LIKE_FRAUD", 50 })
  t.equal(decided({ amount = 10001 }, { completed = 3, average = 1000 })[3], 40)
  t.equal(decided({ amount = 10001 }, { completed = 2, average = 1000 })[3], 0)
end)

t.test("amounts as people write them", function()
  t.equal(currencies.text(1250, "EUR"), "EUR 12.50")
  t.equal(currencies.text(5, "USD"), "USD 0.05")
  t.equal(currencies.text(1250, "JPY"), "JPY 1250")
end)

t.test("accounts: what is there can be paid, and no more", function()
  local before = { { type = "Deposited", amount = 500 }, { type = "Paid", amount = 200 } }
  sourcing.given(account, before):when{ type = "Pay", amount = 300, payment_id = "p", merchant = "Cafe" }
    :expect{ { type = "Paid", amount = 300, payment_id = "p", merchant = "Cafe" } }:expect_state{ balance = 0 }
  sourcing.given(account, before):when{ type = "Pay", amount = 301 }:expect_error "FAILED_PRECONDITION"
  sourcing.given(account):when{ type = "Deposit", amount = 0 }:expect_error "INVALID_ARGUMENT"
end)

t.test("users: what is not there is not checked", function()
  t.equal(users.check {}, nil)
  t.equal(users.check { name = "", email = "nowhere" },
    { name = "must not be empty", email = "must be of the form name@example.com" })
end)
