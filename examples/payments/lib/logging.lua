-- SPDX-License-Identifier: MIT
-- The interceptor around everything, GraphQL operations, gRPC calls and events alike: a line in the log for each of them.
local errors = require "perilune.errors"
local log    = require "perilune.log"
local time   = require "perilune.time"

return function(ctx, next)
  local begin = time.monotonic()
  local code = "CANCELLED" -- unless it comes to an end: the client may leave, or the deadline pass
  local _ <close> = setmetatable({}, { __close = function()
    log.info(ctx.protocol or "timer", {
      name = ctx.method or ctx.operation_name,
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
