-- SPDX-License-Identifier: MIT
local users = {
  ["ada@example.org"] = { email = "ada@example.org", name = "Ada", productCount = 2 },
  ["bob@example.org"] = { email = "bob@example.org", name = "Bob", productCount = 1 },
}

return {
  Query = { me = function() return users["ada@example.org"] end },
  User = { __resolve_reference = function(reference) return users[reference.email] end },
  Product = {
    madeIn = function(product) return product.brand.id == "luna" and "Iceland" or "Spain" end,
    label = function(product) return product.brand.id .. ": " .. product.name end,
  },
}
