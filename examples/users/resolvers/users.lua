-- SPDX-License-Identifier: MIT
-- GraphQL in front of the gRPC service: of the one in this bundle, or of one elsewhere, which USERS_TARGET names
-- (dns:///users:50051). A call looks like a function call and waits; its errors become GraphQL errors with the same codes.
local errors = require "perilune.errors"
local grpc   = require "perilune.grpc"
local proto  = require "perilune.proto"

local users = grpc.client(os.getenv "USERS_TARGET" or "local:", "user.v1.UserService", { timeout = 5 })

-- Who asks here asks there. (The service looks at the token itself.)
local function as_caller(ctx)
  return { metadata = { authorization = ctx.headers.authorization } }
end

return {
  Query = {
    user = function(_, args, ctx)
      local ok, result = pcall(users.GetUser, users, { id = args.id }, as_caller(ctx))
      if ok then return result.user end
      if errors.is(result, "not_found") then return nil end
      error(result, 0)
    end,

    users = function(_, args, ctx)
      local request = {
        filter = args.filter, order_by = args.orderBy, page_size = args.pageSize, page_token = args.pageToken,
      }
      local stream <close> = users:ListUsers(request, as_caller(ctx))
      local list = {}
      for user in stream:messages() do list[#list + 1] = user end
      local token = stream:trailers()["next-page-token"]
      return { users = list, nextPageToken = token and token[1] }
    end,
  },

  Mutation = {
    createUser = function(_, args, ctx)
      return users:CreateUser(args.input, as_caller(ctx)).user
    end,
  },

  User = {
    createdAt = function(user) return proto.rfc3339(user.created_at) end,
  },
}
