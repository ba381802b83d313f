-- SPDX-License-Identifier: MIT
-- An argument that the client left out is nil; one for which it said null is perilune.null. Here both mean the default.
local null = require("perilune").null

return function(value, default)
  if value == nil or value == null then return default end
  return value
end
