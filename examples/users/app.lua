-- SPDX-License-Identifier: MIT
local access  = require "lib.access"
local logging = require "lib.logging"

return {
  name = "users",
  interceptors = { logging, table.unpack(access.interceptors) },
}
