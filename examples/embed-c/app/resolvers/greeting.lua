-- SPDX-License-Identifier: MIT
return {
  Query = {
    greeting = function(_, args) return "Hello, " .. args.name .. "!" end,
  },
  Host = {
    description = function(host) return ("process %d, since %d"):format(host.pid, host.started) end,
  },
}
