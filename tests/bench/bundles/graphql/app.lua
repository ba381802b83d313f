-- SPDX-License-Identifier: MIT
local data = require "lib.data"

return {
  name = "bench",
  loaders = {
    users = function(ids)
      local found = {}
      for i, id in ipairs(ids) do found[i] = data.users[tonumber(id)] end
      return found
    end,
  },
}
