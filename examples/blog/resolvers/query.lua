-- SPDX-License-Identifier: MIT
local posts = require "lib.posts"
local users = require "lib.users"

return {
  Query = {
    viewer = function(_, _, ctx) return ctx.user end,
    user  = function(_, args) return users.find(args.id) end,
    users = function(_, args) return users.list(args.limit or 20, args.offset or 0) end,
    post  = function(_, args) return posts.find(args.id) end,
    posts = function(_, args) return posts.list(args.authorId, args.published) end,
  },
}
