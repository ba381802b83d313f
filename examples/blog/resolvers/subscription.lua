-- SPDX-License-Identifier: MIT
-- What mutations publish: whole rows, so that nobody has to fetch them again.
return {
  Subscription = {
    postAdded = function(_, args, ctx)
      return ctx.pubsub:subscribe("post.added", function(post)
        return not args.authorId or tostring(post.authorId) == args.authorId
      end)
    end,
    commentAdded = function(_, args, ctx)
      return ctx.pubsub:subscribe("comment.added", function(comment) return tostring(comment.postId) == args.postId end)
    end,
    userOnline = function(_, _, ctx) return ctx.pubsub:subscribe "user.online" end,
  },
}
