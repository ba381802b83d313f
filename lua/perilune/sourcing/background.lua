-- SPDX-License-Identifier: MIT
-- What the server runs on one worker, every second and after commits with events: projections follow the events of their stores.
local pubsub = require "perilune.pubsub"

local background = {}

local stores = {}

-- Each store of this state, once.
function background.add(store) stores[#stores + 1] = store end

function background.run()
  local more = false
  for _, store in ipairs(stores) do more = store:project() or more end
  if more then pubsub:publish("perilune.projections", true) end
end

return background
