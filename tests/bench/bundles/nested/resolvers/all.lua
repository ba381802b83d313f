-- SPDX-License-Identifier: MIT
-- 10 users with 10 posts each. One query of all of it calls 1 + 10 + 100 functions of this file.
local users, posts_of = {}, {}
for u = 1, 10 do
  local user = { id = tostring(u), name = "User number " .. u, email = ("user%d@example.com"):format(u) }
  local posts = {}
  for p = 1, 10 do
    local id = (u - 1) * 10 + p
    posts[p] = { id = tostring(id), title = "Post number " .. id .. " today", authorId = u }
  end
  users[u], posts_of[user.id] = user, posts
end

return {
  Query = {
    users = function() return users end,
  },
  User = {
    posts = function(user) return posts_of[user.id] end,
  },
  Post = {
    author = function(post) return users[post.authorId] end,
  },
}
