-- SPDX-License-Identifier: MIT
local posts = require "lib.posts"
local users = require "lib.users"

return {
  Mutation = {
    createUser  = function(_, args) return users.create(args.input) end,
    updateUser  = function(_, args) return users.update(args.id, args.input) end,
    deleteUser  = function(_, args) return users.delete(args.id) end,
    createPost  = function(_, args) return posts.create(args.input) end,
    publishPost = function(_, args) return posts.publish(args.id) end,
  },
}
