-- SPDX-License-Identifier: MIT
require "lib.db"
local errors = require "perilune.errors"
local events = require "lib.events"
local rules  = require "rules.users"
local topics = require "lib.topics"

local users = {}

function users.find(ctx, id)
  return ctx.db:first("SELECT * FROM users WHERE id = ?", id)
end

function users.get(ctx, id)
  return users.find(ctx, id) or error(errors.not_found("there is no user " .. id))
end

function users.list(ctx)
  return ctx.db:query "SELECT * FROM users ORDER BY id LIMIT 100"
end

-- Changes what the input has, and tells of it.
function users.update(ctx, id, input)
  local violations = rules.check(input)
  if violations then error(errors.invalid_argument("the user is not valid", violations)) end
  return ctx.db:transaction(function(tx)
    local old = tx:first("SELECT * FROM users WHERE id = ?", id) or error(errors.not_found("there is no user " .. id))
    tx:exec("UPDATE users SET name = coalesce(?, name), email = coalesce(?, email) WHERE id = ?", input.name, input.email, id)
    local user = tx:first("SELECT * FROM users WHERE id = ?", id)
    events.publish(ctx, topics.users, "UserUpdated", id, { user = user, old = old })
    return user
  end)
end

return users
