-- SPDX-License-Identifier: MIT
local time = require "perilune.time"

return {
  -- Times are Unix seconds everywhere but in answers.
  DateTime = { serialize = function(seconds) return time.rfc3339(seconds, 3) end },
}
