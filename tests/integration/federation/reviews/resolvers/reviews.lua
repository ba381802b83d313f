-- SPDX-License-Identifier: MIT
local reviews = {
  { id = "r1", text = "Bright", of = "1", author = { email = "bob@example.org", name = "Bob (as told)" } },
  { id = "r2", text = "Warm", of = "2", author = { email = "ada@example.org", name = "Ada (as told)" } },
  { id = "r3", text = "Short", of = "b1", author = { email = "ada@example.org", name = "Ada (as told)" } },
  { id = "r4", text = "Wet", of = "f1", product = { id = "broken" },
    author = { email = "carl@example.org", name = "Carl (as told)" } },
}

local function those(matches)
  local found = {}
  for _, review in ipairs(reviews) do
    if matches(review) then found[#found + 1] = review end
  end
  return found
end

local function of_parent(parent)
  return those(function(review) return review.of == parent.id end)
end

return {
  Review = {
    __resolve_reference = function(reference)
      return those(function(review) return review.id == reference.id end)[1]
    end,
    product = function(review) return review.product or tonumber(review.of) and { id = review.of } end,
  },
  Product = { reviews = of_parent },
  Media = { reviews = of_parent },
  User = {
    reviews = function(user) return those(function(review) return review.author.email == user.email end) end,
  },
}
