-- SPDX-License-Identifier: MIT
-- What each user has paid in each minute: windows of the events' own time, whose state follows the partitions from server to
-- server, and can be asked for (lib/spending.lua).
local rules   = require "rules.spending"
local streams = require "perilune.streams"
local topics  = require "lib.topics"

return streams.topology("spending", function(b)
  b:stream(topics.payments, { timestamp = function(event) return event.at end })
    :filter(function(event) return event.type == "PaymentCompleted" end)
    :group_by_key()
    :window(streams.tumbling { size = 60, grace = 10, retention = 3600 })
    :aggregate { init = rules.nothing, add = rules.add, store = "per-minute" }
end)
