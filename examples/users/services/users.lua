-- SPDX-License-Identifier: MIT
local access = require "lib.access"
local errors = require "perilune.errors"
local proto  = require "perilune.proto"
local users  = require "lib.users"

local MAX_BATCH = 1000

local admin = access.role "admin"

return {
  ["user.v1.UserService"] = {
    GetUser = function(req) return { user = users.get(req.id) } end,

    CreateUser = function(req) return { user = users.create(req) } end,

    UpdateUser = function(req) return { user = users.update(req) } end,

    DeleteUser = function(req, call)
      admin(call)
      users.delete(req.id)
      return {}
    end,

    -- Waits at each send while the client is slow.
    ListUsers = function(req, call)
      local list, token = users.page(req)
      call.trailers["next-page-token"] = token
      for _, user in ipairs(list) do call:send(user) end
    end,

    -- What comes is kept until the client is done: no transaction waits for a client.
    CreateMultipleUsers = function(call)
      local requests = {}
      for req in call:messages() do
        if #requests == MAX_BATCH then error(errors.resource_exhausted(("at most %d users in one call"):format(MAX_BATCH))) end
        requests[#requests + 1] = req
        users.check(req, #requests)
      end
      local created = users.create_all(requests)
      return { users = created, created_count = #created }
    end,

    ChatWithUser = function(call)
      for msg in call:messages() do
        call:send { user_id = msg.user_id, message = "Echo: " .. msg.message, timestamp = proto.timestamp() }
      end
    end,
  },
}
