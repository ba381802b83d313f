-- SPDX-License-Identifier: MIT
-- The users of all payments of a list, fetched by one statement.
local json = require "perilune.json"
local null = require("perilune").null

return {
  users = function(ids, ctx)
    local found, list = {}, {}
    for _, user in ipairs(ctx.db:query("SELECT * FROM users WHERE id IN (SELECT value FROM json_each(?))", json.encode(ids))) do
      found[user.id] = user
    end
    for i, id in ipairs(ids) do list[i] = found[id] or null end
    return list
  end,
}
