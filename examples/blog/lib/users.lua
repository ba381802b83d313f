-- SPDX-License-Identifier: MIT
local db     = require "lib.db"
local errors = require "perilune.errors"
local time   = require "perilune.time"

local users = {}

function users.find(id)
  return db:first("SELECT * FROM users WHERE id = ?", id)
end

function users.get(id)
  return users.find(id) or error(errors.not_found("there is no user " .. id))
end

function users.find_by_email(email)
  return db:first("SELECT * FROM users WHERE email = ?", email)
end

function users.list(limit, offset)
  local violations = {}
  if limit < 1 or limit > 100 then violations.limit = "must be from 1 to 100" end
  if offset < 0 then violations.offset = "must not be negative" end
  if next(violations) then error(errors.invalid_argument("no such page", violations)) end
  return db:query("SELECT * FROM users ORDER BY id LIMIT ? OFFSET ?", limit, offset)
end

-- Raises INVALID_ARGUMENT or ALREADY_EXISTS unless the input may be stored for the user with this id (nil: a new one).
local function check(tx, input, id)
  local name, email, violations = input.name, input.email, {}
  if name and not name:find "%S" then
    violations["input.name"] = "must not be empty"
  end
  if email and not email:find "^[^%s@]+@[^%s@]+%.[^%s@]+$" then
    violations["input.email"] = "must be of the form name@example.com"
  end
  if next(violations) then error(errors.invalid_argument("the user is not valid", violations)) end

  if email and tx:value("SELECT 1 FROM users WHERE email = ? AND id IS NOT ?", email, id) then
    error(errors.already_exists("the email address is taken: " .. email))
  end
end

function users.create(input)
  return db:transaction(function(tx)
    check(tx, input)
    local done = tx:exec("INSERT INTO users (name, email, createdAt) VALUES (?, ?, ?)", input.name, input.email, time.now())
    return tx:first("SELECT * FROM users WHERE id = ?", done.last_id)
  end)
end

function users.update(id, input)
  return db:transaction(function(tx)
    check(tx, input, id)
    tx:exec("UPDATE users SET name = coalesce(?, name), email = coalesce(?, email) WHERE id = ?", input.name, input.email, id)
    return tx:first("SELECT * FROM users WHERE id = ?", id) or error(errors.not_found("there is no user " .. id))
  end)
end

-- Posts and comments go with their author: see ON DELETE CASCADE.
function users.delete(id)
  if db:exec("DELETE FROM users WHERE id = ?", id).changes == 0 then
    error(errors.not_found("there is no user " .. id))
  end
  return true
end

return users
