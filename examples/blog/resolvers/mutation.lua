-- SPDX-License-Identifier: MIT
local comments = require "lib.comments"
local errors   = require "perilune.errors"
local posts    = require "lib.posts"
local tokens   = require "lib.tokens"
local users    = require "lib.users"

local function signed_in(ctx)
  return ctx.user or error(errors.unauthenticated "you must be signed in")
end

return {
  Mutation = {
    createUser  = function(_, args) return users.create(args.input) end,
    updateUser  = function(_, args) return users.update(args.id, args.input) end,
    deleteUser  = function(_, args) return users.delete(args.id) end,
    createPost  = function(_, args, ctx)
      local post = posts.create(args.input)
      ctx.pubsub:publish("post.added", post)
      return post
    end,
    publishPost = function(_, args) return posts.publish(args.id) end,

    signIn = function(_, args)
      local user = users.find_by_email(args.email) or error(errors.unauthenticated "there is no such user")
      return tokens.make(user.id)
    end,
    addComment = function(_, args, ctx)
      local comment = comments.add(signed_in(ctx), args.postId, args.content)
      ctx.pubsub:publish("comment.added", comment)
      return comment
    end,
    deleteComment = function(_, args, ctx) return comments.delete(signed_in(ctx), args.id) end,
  },
}
