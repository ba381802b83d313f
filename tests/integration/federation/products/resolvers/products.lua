-- SPDX-License-Identifier: MIT
local errors = require "perilune.errors"
local time = require "perilune.time"

local products = {
  { id = "1", code = "lamp", brand = { id = "luna" }, name = "Lamp", weight = 300, price = 2500, margin = 9,
    maker = { email = "ada@example.org", productCount = 2 }, since = "2024-05-06T07:08:09Z" },
  { id = "2", code = "lamp", brand = { id = "sol" }, name = "Sun lamp", weight = 700, price = 9900, margin = 40,
    maker = { email = "bob@example.org", productCount = 1 } },
}

local media = {
  { __typename = "Book", id = "b1", title = "Moon", pages = 90, shelf = "OLD" },
  { __typename = "Film", id = "f1", title = "Tide" },
}

local function find(list, matches)
  for _, item in ipairs(list) do
    if matches(item) then return item end
  end
end

local function by_id(id)
  return function(item) return item.id == id end
end

local function find_product(reference)
  if reference.id then return find(products, by_id(reference.id)) end
  return find(products, function(p) return p.code == reference.code and p.brand.id == reference.brand.id end)
end

return {
  Query = {
    product = function(_, args) return find(products, by_id(args.id)) end,
    products = function(_, args) return table.move(products, 1, math.min(args.first, #products), 1, {}) end,
    media = function() return media end,
    find = function(_, args) return find(products, function(p) return p.id == args.by.id or p.code == args.by.code end) end,
  },
  Product = {
    __resolve_reference = function(reference)
      time.sleep(0.01)
      if reference.id == "broken" then error(errors.unavailable "the catalogue is being counted") end
      return find_product(reference)
    end,
    sign = function(product, args) return args.upper and product.name:upper() or product.name end,
  },
  User = {
    __resolve_references = function(references)
      time.sleep(0.01)
      local users = {}
      for i, reference in ipairs(references) do
        local known = reference.email:find("@", 1, true)
        users[i] = known and { email = reference.email } or errors.invalid_argument "not an address"
      end
      return users
    end,
  },
  Media = {
    __resolve_reference = function(reference) return find(media, by_id(reference.id)) end,
  },
  Book = {
    __resolve_reference = function(reference) return find(media, by_id(reference.id)) end,
  },
}
