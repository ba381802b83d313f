-- SPDX-License-Identifier: MIT
local db     = require "lib.db"
local errors = require "perilune.errors"
local time   = require "perilune.time"
local users  = require "lib.users"

local posts = {}

function posts.find(id)
  return db:first("SELECT * FROM posts WHERE id = ?", id)
end

function posts.get(id)
  return posts.find(id) or error(errors.not_found("there is no post " .. id))
end

-- author: an id, or nil for all; published: true, false, or nil for both.
function posts.list(author, published)
  return db:query([[
    SELECT * FROM posts
     WHERE (?1 IS NULL OR authorId = ?1)
       AND (?2 IS NULL OR (publishedAt IS NOT NULL) = ?2)
     ORDER BY id DESC]], author, published)
end

function posts.create(input)
  if not input.title:find "%S" then
    error(errors.invalid_argument("the post is not valid", { ["input.title"] = "must not be empty" }))
  end
  local author = users.get(input.authorId)
  local done = db:exec("INSERT INTO posts (title, content, authorId) VALUES (?, ?, ?)", input.title, input.content, author.id)
  return posts.find(done.last_id)
end

function posts.publish(id)
  db:exec("UPDATE posts SET publishedAt = ? WHERE id = ? AND publishedAt IS NULL", time.now(), id)
  return posts.get(id)
end

return posts
