-- SPDX-License-Identifier: MIT
-- What every part of a bundle may need.
local core = require "perilune.core"

local perilune = { null = core.null, version = core.version }

-- Whether a client said null for the argument or input field `name`, instead of leaving it out: args[name] is nil in both cases.
function perilune.is_null(map, name)
  local marks = getmetatable(map)
  return type(marks) == "table" and rawget(marks, name) == core.null
end

return perilune
