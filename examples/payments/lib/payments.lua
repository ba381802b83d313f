-- SPDX-License-Identifier: MIT
-- The payments: what GraphQL, gRPC and events have in common.
require "lib.db"
local accounts = require "lib.accounts"
local crypto   = require "perilune.crypto"
local errors   = require "perilune.errors"
local events   = require "lib.events"
local history  = require "lib.history"
local rules    = require "rules.payments"
local time     = require "perilune.time"
local topics   = require "lib.topics"

local payments = {}

function payments.find(ctx, id)
  return ctx.db:first("SELECT * FROM payments WHERE id = ?", id)
end

function payments.get(ctx, id)
  return payments.find(ctx, id) or error(errors.not_found("there is no payment " .. id))
end

-- A page of payments, the newest first, and the id with which the next page begins behind, or nil.
-- filter: user_id, status, after (all optional), limit.
function payments.page(ctx, filter)
  if filter.limit < 1 or filter.limit > 100 then
    error(errors.invalid_argument("no such page", { limit = "must be from 1 to 100" }))
  end
  local rows = ctx.db:query([[
    SELECT * FROM payments
     WHERE (:user_id IS NULL OR user_id = :user_id)
       AND (:status IS NULL OR status = :status)
       AND (:after IS NULL OR (created_at, id) < (SELECT created_at, id FROM payments WHERE id = :after))
     ORDER BY created_at DESC, id DESC LIMIT :limit + 1]],
    { user_id = filter.user_id, status = filter.status, after = filter.after, limit = filter.limit })
  local more = rows[filter.limit + 1]
  rows[filter.limit + 1] = nil
  return rows, more and rows[filter.limit].id
end

-- Who says the same again gets the payment that there is; the key of one payment is none for another.
local function same_again(tx, input)
  local there = tx:first("SELECT * FROM payments WHERE user_id = ? AND idempotency_key = ?", input.user_id, input.idempotency_key)
  if there and not (there.amount == input.amount and there.currency == input.currency and there.merchant == input.merchant) then
    error(errors.already_exists("the idempotency key belongs to another payment: " .. there.id))
  end
  return there
end

-- Writes the payment down, and the event that has it settled. Whether it may be is for the rules to say, when that event comes.
-- input: user_id, amount, currency, merchant, idempotency_key.
function payments.create(ctx, input)
  local violations = rules.check(input)
  if violations then error(errors.invalid_argument("the payment is not valid", violations)) end
  return ctx.db:transaction(function(tx)
    local there = same_again(tx, input)
    if there then return there end
    if not tx:value("SELECT 1 FROM users WHERE id = ?", input.user_id) then
      error(errors.not_found("there is no user " .. input.user_id))
    end
    local id = "pay_" .. crypto.uuid7()
    tx:exec([[INSERT INTO payments (id, user_id, idempotency_key, amount, currency, merchant, created_at)
              VALUES (?, ?, ?, ?, ?, ?, ?)]],
      id, input.user_id, input.idempotency_key, input.amount, input.currency, input.merchant, time.now())
    local payment = tx:first("SELECT * FROM payments WHERE id = ?", id)
    events.publish(ctx, topics.payments, "PaymentCreated", payment.user_id, { payment = payment })
    return payment
  end)
end

-- Completes the payment or lets it fail, as the rules say, and tells of it. Called in a transaction, ctx.db.
function payments.settle(ctx, id)
  local payment = payments.get(ctx, id)
  if payment.status ~= "CREATED" then return payment end
  local status, reason, score = rules.decide(payment, history.of(ctx.db, payment))
  if status == "COMPLETED" and not accounts.pay(ctx, payment) then status, reason = "FAILED", "NOT_ENOUGH_MONEY" end
  ctx.db:exec("UPDATE payments SET status = ?, reason = ?, fraud_score = ?, settled_at = ? WHERE id = ?",
    status, reason, score, time.now(), id)
  local settled = payments.get(ctx, id)
  events.publish(ctx, topics.payments, status == "COMPLETED" and "PaymentCompleted" or "PaymentFailed", settled.user_id,
    { payment = settled })
  return settled
end

return payments
