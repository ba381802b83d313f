-- SPDX-License-Identifier: MIT
local tally = { count = 0, quantity = 0 }

function tally.add(event)
  tally.count, tally.quantity = tally.count + 1, tally.quantity + event.quantity
end

return tally
