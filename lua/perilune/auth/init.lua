-- SPDX-License-Identifier: MIT
-- Who asks, and what may they do: interceptors that check tokens and keys and set ctx.user, and checks of roles and scopes.
local scheme = require "perilune.auth.scheme"
local access = require "perilune.auth.access"

return {
  jwt = require "perilune.auth.jwt",
  verifier = require("perilune.auth.verifier").new,
  api_key = require "perilune.auth.api_key",
  any = scheme.any,
  scheme = scheme.new,
  roles = access.roles,
  require = access.require,
  has_role = access.has_role,
  has_scope = access.has_scope,
}
