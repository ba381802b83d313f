-- SPDX-License-Identifier: MIT
-- The default resolver: the field createdAt of a payment is payment.created_at, as columns, events and messages of gRPC name it.
local names = {}

local function snake_case(name)
  names[name] = name:gsub("%u", function(letter) return "_" .. letter:lower() end)
  return names[name]
end

return function(parent, _, _, info)
  return parent[names[info.field_name] or snake_case(info.field_name)]
end
