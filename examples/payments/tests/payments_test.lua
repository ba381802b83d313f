-- SPDX-License-Identifier: MIT
-- `perilune test` gives these a database of their own, and no broker: t.events calls the handlers of events/.
local crypto = require "perilune.crypto"
local null   = require("perilune").null
local t      = require "perilune.test"

local CREATE = "mutation ($input: CreatePaymentInput!) { createPayment(input: $input) { id status } }"
local LOOK = "query ($id: ID!) { payment(id: $id) { status reason fraudScore text user { name } } }"

local function create(changes)
  local input = { userId = "ada", amount = 1250, currency = "EUR", merchant = "Cafe", idempotencyKey = crypto.uuid4() }
  for name, value in pairs(changes or {}) do input[name] = value end
  return t.graphql(CREATE, { input = input })
end

local function deposit(user, amount, currency, key)
  local input = { userId = user, amount = amount, currency = currency, idempotencyKey = key or crypto.uuid4() }
  return t.graphql("mutation ($input: DepositInput!) { deposit(input: $input) { text } }", { input = input }).data.deposit.text
end

local function happens(topic, type, user, contents)
  contents.id, contents.type, contents.user_id = contents.id or crypto.uuid7(), type, user
  return t.events(topic, contents, { key = user })
end

-- What was published to a topic comes to its consumers.
local function deliver(topic)
  for _, event in ipairs(t.published(topic)) do t.events(topic, event.value, { key = event.key, headers = event.headers }) end
end

local function look(id)
  return t.graphql(LOOK, { id = id }).data.payment
end

local function mails(user)
  local list = {}
  for i, mail in ipairs(t.graphql("query ($id: ID!) { user(id: $id) { mails { text } } }", { id = user }).data.user.mails) do
    list[i] = mail.text
  end
  return list
end

t.test("a payment is created, and completed by its event", function()
  t.equal(deposit("ada", 2000, "EUR"), "EUR 20.00")
  local payment = create().data.createPayment
  t.equal(payment.status, "CREATED")
  deliver "payment-events"
  t.equal(look(payment.id),
    { status = "COMPLETED", reason = null, fraudScore = 0, text = "EUR 12.50", user = { name = "Ada Lovelace" } })

  local ACCOUNTS = [[{ user(id: "ada") { accounts { text events { version type amount payment { id } } } } }]]
  t.equal(t.graphql(ACCOUNTS).data.user.accounts, { { text = "EUR 7.50", events = {
    { version = 1, type = "Deposited", amount = 2000, payment = null },
    { version = 2, type = "Paid", amount = 1250, payment = { id = payment.id } },
  } } })
end)

t.test("a payment fails when there is not enough money", function()
  deposit("alan", 1249, "EUR")
  local payment = create({ userId = "alan" }).data.createPayment
  happens("payment-events", "PaymentCreated", "alan", { payment = payment })
  t.equal(look(payment.id).reason, "NOT_ENOUGH_MONEY")
end)

t.test("the key of a deposit is none of a payment's", function()
  local payment = create({ userId = "alan", currency = "GBP" }).data.createPayment
  deposit("alan", 5000, "GBP", payment.id)
  happens("payment-events", "PaymentCreated", "alan", { payment = payment })
  t.equal(look(payment.id).status, "COMPLETED")
end)

t.test("what the rules refuse fails", function()
  local payment = create({ amount = 100001 }).data.createPayment
  happens("payment-events", "PaymentCreated", "ada", { payment = payment })
  t.equal(look(payment.id).reason, "OVER_PAYMENT_LIMIT")
end)

t.test("users are told what became of their payments, once", function()
  local payment = { id = "p", amount = 1250, currency = "EUR", merchant = "Cafe", created_at = 1200 }
  local event = { id = crypto.uuid7(), at = 1200, payment = payment }
  for _ = 1, 2 do happens("payment-events", "PaymentCompleted", "grace", event) end
  deliver "mails"
  t.equal(mails "grace", { "EUR 12.50 was paid to Cafe." })
end)

t.test("a mail server that never answers: a dead letter, after three attempts", function()
  t.graphql [[mutation { updateUser(id: "alan", input: { email: "alan@mail.invalid" }) { id } }]]
  deliver "user-events"
  deliver "mails"
  t.equal(mails "alan", { "Your address is now alan@mail.invalid." }) -- to the old one

  local result = t.events("mails", { id = crypto.uuid7(), type = "Mail", user_id = "alan", text = "Hello" }, { key = "alan" })
  t.equal(result.status, "retried")
  t.clock:advance(10)
  t.equal(result.status, "dead_lettered")
  local letter = t.published "mails-dlq"[1]
  t.equal(letter.key, "alan")
  t.equal(letter.headers["kafka_dlt-exception-message"], "the mail server of mail.invalid does not answer")
  t.equal(letter.headers["perilune-attempt"], "3")
end)

t.test("completed payments are added up by minutes, and enriched", function()
  for i, second in ipairs { 0, 59, 60 } do
    happens("payment-events", "PaymentCompleted", "grace",
      { at = 1200 + second, payment = { id = "p" .. i, amount = 500, currency = "EUR", merchant = "Cafe", created_at = 1200 } })
  end
  local windows = t.store("spending", "per-minute"):fetch("grace")
  t.equal(windows[1].value, { EUR = { count = 2, amount = 1000 } })
  t.equal(windows[2].value, { EUR = { count = 1, amount = 500 } })

  local enriched = t.published "payments-enriched"
  t.equal(#enriched, 3)
  t.equal(enriched[1].value, { payment_id = "p1", user_id = "grace", country = "US", merchant = "Cafe", amount = 500,
    currency = "EUR", text = "EUR 5.00", day = "1970-01-01", size = "small" })
end)

t.test("the same request twice is one payment, and another request needs another key", function()
  local first = create { idempotencyKey = "same" }
  t.equal(create { idempotencyKey = "same" }, first)
  t.equal(create { idempotencyKey = "same", amount = 1 }.errors[1].extensions.code, "ALREADY_EXISTS")
  t.ok(create { idempotencyKey = "same", userId = "alan" }.data.createPayment.id ~= first.data.createPayment.id)
end)

t.test("requests that are not valid", function()
  t.equal(create { userId = "nobody" }.errors[1].extensions.code, "NOT_FOUND")
  t.equal(create { amount = -1, currency = "EURO" }.errors[1].extensions.violations,
    { amount = "must be more than 0, in minor units", currency = "must be EUR, GBP, JPY or USD" })
end)

t.test("pages go on where the last one ended", function()
  for i = 1, 3 do create { userId = "grace", merchant = "Shop " .. i } end
  local PAGE = [[query ($after: ID) { payments(userId: "grace", first: 2, after: $after) { payments { merchant } next } }]]
  local first = t.graphql(PAGE).data.payments
  t.equal(first.payments, { { merchant = "Shop 3" }, { merchant = "Shop 2" } })
  local second = t.graphql(PAGE, { after = first.next }).data.payments
  t.equal(second, { payments = { { merchant = "Shop 1" } }, next = null })
end)
