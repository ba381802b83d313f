-- SPDX-License-Identifier: MIT
return {
  ["bench.v1.Bench"] = {
    Hello = function(req) return { message = "Hello " .. req.name } end,
    Stream = function(req, call)
      for _ = 1, req.count do call:send { message = "Hello " .. req.name } end
    end,
    Chat = function(call)
      for req in call:messages() do call:send { message = "Hello " .. req.name } end
    end,
  },
}
