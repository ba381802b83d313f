-- SPDX-License-Identifier: MIT
local function hello(req)
  return { message = "Hello " .. req.name }
end

return {
  ["bench.v1.Bench"] = {
    Hello = hello,
    Nested = function(order)
      local total = 0
      for _, line in ipairs(order.lines) do total = total + line.price * line.quantity end
      order.total, order.status = total, "STATUS_CONFIRMED"
      return order
    end,
    Stream = function(req, call)
      for _ = 1, req.count do call:send { message = "Hello " .. req.name } end
    end,
    Chat = function(call)
      for req in call:messages() do call:send { message = "Hello " .. req.name } end
    end,
  },
}
