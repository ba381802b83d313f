-- SPDX-License-Identifier: MIT
-- Who may do what. With USERS_JWT_SECRET in the environment (32 bytes or more), every call needs a token signed with it, and some
-- methods need a role; without it there is nobody to ask, and everybody may do everything.
local auth = require "perilune.auth"

local secret = os.getenv "USERS_JWT_SECRET"

local access = {}

-- For the list of interceptors.
access.interceptors = secret and { auth.jwt { algorithms = "HS256", secret = secret, audience = "users" } } or {}

-- A function for methods to call with their `call`: raises an error unless the caller has the role.
function access.role(name)
  return secret and auth.require { role = name } or function() end
end

return access
