-- SPDX-License-Identifier: MIT
-- The interceptor that writes a line for each call: what was called by whom, how it ended, and how long it took.
local errors = require "perilune.errors"
local log    = require "perilune.log"
local time   = require "perilune.time"

return function(ctx, next)
  local begin = time.monotonic()
  local code = "CANCELLED" -- unless it comes to an end: the client may leave, or the deadline pass
  local _ <close> = setmetatable({}, { __close = function()
    log.info("call", {
      protocol = ctx.protocol,
      method = ctx.method or ctx.operation_name,
      peer = ctx.peer,
      user = ctx.user and ctx.user.id,
      code = code,
      ms = math.floor((time.monotonic() - begin) * 1000000) / 1000,
    })
  end })
  local ok, result = pcall(next, ctx)
  if not ok then
    code = errors.is(result) and result.code or "INTERNAL"
    error(result, 0)
  end
  code = result.code or (result.errors == 0 and "OK" or "ERRORS")
  return result
end
