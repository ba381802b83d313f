-- SPDX-License-Identifier: MIT
local errors = require "perilune.errors"
local time = require "perilune.time"

local CODES = {
  "cancelled", "unknown", "invalid_argument", "deadline_exceeded", "not_found", "already_exists", "permission_denied",
  "resource_exhausted", "failed_precondition", "aborted", "out_of_range", "unimplemented", "internal", "unavailable",
  "data_loss", "unauthenticated",
}

local function echo_metadata(call)
  local initial, trailing = "x-grpc-test-echo-initial", "x-grpc-test-echo-trailing-bin"
  call.response_headers[initial] = call.metadata[initial]
  call.trailers[trailing] = call.metadata[trailing]
end

local function echo_status(status)
  if status and status.code ~= 0 then error(errors[CODES[status.code]](status.message)) end
end

local function payload(size)
  return { type = "COMPRESSABLE", body = ("\0"):rep(size) }
end

-- What one request asks for.
local function respond(call, req)
  for _, parameters in ipairs(req.response_parameters) do
    if parameters.interval_us > 0 then time.sleep(parameters.interval_us / 1e6) end
    call:send { payload = payload(parameters.size) }
  end
  echo_status(req.response_status)
end

return {
  ["grpc.testing.TestService"] = {
    EmptyCall = function() return {} end,
    UnaryCall = function(req, call)
      echo_metadata(call)
      echo_status(req.response_status)
      return { payload = payload(req.response_size) }
    end,
    StreamingOutputCall = function(req, call)
      echo_metadata(call)
      respond(call, req)
    end,
    StreamingInputCall = function(call)
      local size = 0
      for req in call:messages() do size = size + #req.payload.body end
      return { aggregated_payload_size = size }
    end,
    FullDuplexCall = function(call)
      echo_metadata(call)
      for req in call:messages() do respond(call, req) end
    end,
  },
}
