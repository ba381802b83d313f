-- SPDX-License-Identifier: MIT
-- What accounts hold, as a table: a projection of their events. It is inline, a part of each command's transaction, so who has
-- deposited something reads it at once. When it changes, count `version` up: it is made anew from the first event on.
local sourcing = require "perilune.sourcing"

-- How an amount changes the balance of the account of a record.
local function change(tables, record, by)
  local user_id, currency = record.aggregate_id:match "^(.*):(%u+)$"
  tables:exec([[INSERT INTO {balances} VALUES (?1, ?2, ?3, ?4)
                ON CONFLICT DO UPDATE SET balance = balance + ?3, changed_at = ?4]], user_id, currency, by, record.time)
end

return sourcing.projection {
  name = "balances",
  version = 1,
  inline = true,
  tables = [[
    CREATE TABLE {balances} (
      user_id    TEXT NOT NULL,
      currency   TEXT NOT NULL,
      balance    INTEGER NOT NULL,
      changed_at REAL NOT NULL,
      PRIMARY KEY (user_id, currency)
    ) WITHOUT ROWID]],
  project = {
    Deposited = function(tables, event, record) change(tables, record, event.amount) end,
    Paid = function(tables, event, record) change(tables, record, -event.amount) end,
  },
}
