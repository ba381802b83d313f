-- SPDX-License-Identifier: MIT
local time = require "perilune.time"

return {
  Query = {
    hello = function(_, args) return "Hello, " .. args.name .. "!" end,
  },
  Subscription = {
    count = {
      subscribe = function(_, args)
        local i = 0
        return function()
          if i >= args.to then return nil end
          if i > 0 then time.sleep(0.1) end
          i = i + 1
          return i
        end
      end,
    },
  },
}
