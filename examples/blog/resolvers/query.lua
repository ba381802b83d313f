-- SPDX-License-Identifier: MIT
local given = require "lib.given"
local posts = require "lib.posts"
local users = require "lib.users"

return {
  Query = {
    user  = function(_, args) return users.find(args.id) end,
    users = function(_, args) return users.list(given(args.limit, 20), given(args.offset, 0)) end,
    post  = function(_, args) return posts.find(args.id) end,
    posts = function(_, args) return posts.list(args.authorId, args.published) end,
  },
}
