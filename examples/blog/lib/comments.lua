-- SPDX-License-Identifier: MIT
local db     = require "lib.db"
local errors = require "perilune.errors"
local posts  = require "lib.posts"
local time   = require "perilune.time"

local comments = {}

function comments.find(id)
  return db:first("SELECT * FROM comments WHERE id = ?", id)
end

function comments.add(author, post_id, content)
  if not content:find "%S" then
    error(errors.invalid_argument("the comment is not valid", { content = "must not be empty" }))
  end
  local post = posts.get(post_id)
  local done = db:exec("INSERT INTO comments (content, authorId, postId, createdAt) VALUES (?, ?, ?, ?)",
    content, author.id, post.id, time.now())
  return comments.find(done.last_id)
end

-- Who wrote it may delete it, and the author of the post.
function comments.delete(user, id)
  local comment = comments.find(id) or error(errors.not_found("there is no comment " .. id))
  if comment.authorId ~= user.id and posts.get(comment.postId).authorId ~= user.id then
    error(errors.permission_denied "only its author, or the author of the post, can delete a comment")
  end
  db:exec("DELETE FROM comments WHERE id = ?", comment.id)
  return true
end

return comments
