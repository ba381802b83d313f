-- SPDX-License-Identifier: MIT
-- What many objects of one query ask for, fetched together: one statement for each level of the query, not one for each object.
local db   = require "lib.db"
local json = require "perilune.json"
local null = require("perilune").null

-- The rows whose `column` is one of the keys, as { key = list of rows }.
local function rows_by(column, statement, keys)
  local found = {}
  for _, row in ipairs(db:query(statement, json.encode(keys))) do
    local rows = found[row[column]] or {}
    rows[#rows + 1] = row
    found[row[column]] = rows
  end
  return found
end

local function one_for_each(column, statement)
  return function(keys)
    local found, out = rows_by(column, statement, keys), {}
    for i, key in ipairs(keys) do out[i] = found[key] and found[key][1] or null end
    return out
  end
end

local function list_for_each(column, statement)
  return function(keys)
    local found, out = rows_by(column, statement, keys), {}
    for i, key in ipairs(keys) do out[i] = found[key] or {} end
    return out
  end
end

return {
  users = one_for_each("id", "SELECT * FROM users WHERE id IN (SELECT value FROM json_each(?))"),
  posts = one_for_each("id", "SELECT * FROM posts WHERE id IN (SELECT value FROM json_each(?))"),
  posts_by_author = list_for_each("authorId",
    "SELECT * FROM posts WHERE authorId IN (SELECT value FROM json_each(?)) ORDER BY id DESC"),
  comments_by_post = list_for_each("postId",
    "SELECT * FROM comments WHERE postId IN (SELECT value FROM json_each(?)) ORDER BY id"),
}
