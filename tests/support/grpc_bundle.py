# SPDX-License-Identifier: MIT
"""Services of which the tests of gRPC ask: messages are bytes."""

ECHO = """
local errors = require "perilune.errors"
local time = require "perilune.time"
local log = require "perilune.log"

local function guard(what)
  return setmetatable({}, { __close = function() log.info("closed " .. what) end })
end

return {
  ["test.Echo"] = {
    Echo = function(req) return req end,
    Upper = function(req) return req:upper() end,
    Sleep = function(req)
      local _ <close> = guard("sleep")
      time.sleep(tonumber(req))
      return "slept"
    end,
    Fail = function(req) error(errors[req]("failed: " .. req)) end,
    Invalid = function() error(errors.invalid_argument("bad \\u{fc}%", { name = "too long" })) end,
    Crash = function() error "secret" end,
    Loop = function() while true do end end,
    Metadata = function(req, call)
      call.response_headers["x-one"] = "1"
      call.response_headers["x-many"] = { "a", "b" }
      call.response_headers["x-bin"] = "\\0\\255"
      call.trailers["t-bin"] = "\\1\\2"
      local m = call.metadata
      return table.concat(m["x-in"], "|") .. " " .. m["in-bin"][1] .. " " .. call.method .. " " .. call.protocol
    end,
    Deadline = function(req, call) return tostring(call.deadline and call.deadline > 0) end,
    Count = { server_streaming = function(req, call)
      for i = 1, tonumber(req) do call:send(tostring(i)) end
    end },
    Large = { server_streaming = function(req, call)
      local _ <close> = guard("large")
      local piece = ("x"):rep(1 << 20)
      for _ = 1, tonumber(req) do call:send(piece) end
    end },
    Sum = { client_streaming = function(call)
      local n, bytes = 0, 0
      for message in call:messages() do n, bytes = n + 1, bytes + #message end
      return n .. " " .. bytes
    end },
    Chat = { bidi_streaming = function(call)
      local _ <close> = guard("chat")
      for message in call:messages() do call:send("re: " .. message) end
    end },
    Early = { bidi_streaming = function(call)
      call:send_headers { early = "yes" }
      for message in call:messages() do call:send(message) end
    end },
    Enough = { bidi_streaming = function(call)
      call:send(call:receive())
      error(errors.aborted "enough")
    end },
  },
}
"""
GRPC = ("--grpc", "127.0.0.1:0")
