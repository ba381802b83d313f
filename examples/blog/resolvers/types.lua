-- SPDX-License-Identifier: MIT
-- Fields that a row of the database does not hold itself; the others are read from it by name.
local time = require "perilune.time"

return {
  User = {
    posts = function(user, _, ctx) return ctx.loaders.posts_by_author:load(user.id) end,
  },
  Post = {
    author   = function(post, _, ctx) return ctx.loaders.users:load(post.authorId) end,
    comments = function(post, _, ctx) return ctx.loaders.comments_by_post:load(post.id) end,
  },
  Comment = {
    author = function(comment, _, ctx) return ctx.loaders.users:load(comment.authorId) end,
    post   = function(comment, _, ctx) return ctx.loaders.posts:load(comment.postId) end,
  },
  DateTime = {
    serialize = function(seconds) return time.rfc3339(seconds) end,
  },
}
