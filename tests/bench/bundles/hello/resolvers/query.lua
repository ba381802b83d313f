-- SPDX-License-Identifier: MIT
return {
  Query = {
    hello = function() return "world" end,
  },
}
