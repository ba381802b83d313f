-- SPDX-License-Identifier: MIT
-- Currencies that can be paid in, and how many digits their minor units have: 1250 is EUR 12.50, and JPY 1250.
local currencies = { EUR = 2, GBP = 2, USD = 2, JPY = 0 }

local rules = {}

function rules.is_known(currency)
  return currencies[currency] ~= nil
end

-- "EUR 12.50"
function rules.text(amount, currency)
  local digits = currencies[currency]
  if digits == 0 then return ("%s %d"):format(currency, amount) end
  local unit = 10 ^ digits // 1 | 0
  return ("%s %d.%0" .. digits .. "d"):format(currency, amount // unit, amount % unit)
end

return rules
