-- SPDX-License-Identifier: MIT
-- The windows of events/analytics.lua, for queries: an entry for each minute and currency, the newest first.
local streams = require "perilune.streams"
local time    = require "perilune.time"

local spending = {}

function spending.of(user_id, minutes)
  local list = {}
  for _, entry in ipairs(streams.store("spending", "per-minute"):fetch(user_id, time.now() - 60 * minutes)) do
    for currency, sum in pairs(entry.value) do
      list[#list + 1] = { minute = entry.window.start, currency = currency, count = sum.count, amount = sum.amount }
    end
  end
  table.sort(list, function(a, b)
    if a.minute ~= b.minute then return a.minute > b.minute end
    return a.currency < b.currency
  end)
  return list
end

return spending
