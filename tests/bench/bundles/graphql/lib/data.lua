-- SPDX-License-Identifier: MIT
-- The data that every server of the benchmark makes for itself.
local data = { users = {}, posts_of = {}, items = {}, feed = {} }

for u = 1, 10 do
  local user = { id = tostring(u), name = "User number " .. u, email = ("user%d@example.com"):format(u) }
  local posts = {}
  for p = 1, 10 do
    local id = (u - 1) * 10 + p
    posts[p] = { id = tostring(id), title = ("Post number %d today"):format(id), authorId = u }
  end
  data.users[u], data.posts_of[user.id] = user, posts
end

local colours = { "red", "green", "blue", "white" }
for i = 1, 1000 do
  data.items[i] = {
    id = tostring(i),
    name = "Item number " .. i,
    description = ("What item %d is good for, in a sentence of some words"):format(i),
    price = i + 0.25,
    quantity = i % 17,
    available = i % 3 ~= 0,
    colour = colours[i % 4 + 1],
    weight = i / 8,
    rating = i % 5 + 1,
    supplier = "Supplier " .. i % 10,
  }
end

for i = 1, 100 do
  data.feed[i] = { id = tostring(i), title = "Entry number " .. i, authorId = i % 10 + 1 }
end

return data
