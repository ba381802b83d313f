-- SPDX-License-Identifier: MIT
-- Fields that a row of the database does not hold itself; the others are read from it by name.
local posts = require "lib.posts"
local time  = require "perilune.time"
local users = require "lib.users"

return {
  User = {
    posts = function(user) return posts.list(user.id) end,
  },
  Post = {
    author   = function(post) return users.get(post.authorId) end,
    comments = function(post) return posts.comments(post.id) end,
  },
  Comment = {
    author = function(comment) return users.get(comment.authorId) end,
    post   = function(comment) return posts.find(comment.postId) end,
  },
  DateTime = {
    serialize = function(seconds) return time.rfc3339(seconds) end,
  },
}
