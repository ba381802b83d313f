-- SPDX-License-Identifier: MIT
-- A call with a stream of messages, one way or both.
local status = require "perilune.grpc.status"

local Stream = { __name = "perilune.grpc.stream" }
Stream.__index = Stream

function Stream.new(call, method, single)
  return setmetatable({ call = call, method = method, single = single }, Stream)
end

-- A permit of a breaker is settled when the stream ends.
function Stream:watched(permit)
  self.permit = permit
  return self
end

local function settle(self, failure)
  local permit = self.permit
  self.permit = nil
  if not permit then return end
  if failure then permit:judge(failure) else permit:settle "success" end
end

-- The end: raises what it came to, if that is an error.
local function ended(self, problem)
  local failure = status.of(self.call, self.method.path)
  if problem then failure = status.failed("internal", self.method.path .. ": " .. problem) end
  settle(self, failure)
  if failure then error(failure, 0) end
end

-- Sends a message; waits while the server is slow. False: the server has ended the call without an error.
function Stream:send(message)
  if self.method.kind == "server_streaming" then
    error(self.method.path .. " takes one request, with which it was called", 2)
  end
  if self.call:send(message) then return true end
  ended(self)
  return false
end

-- Nothing more will be sent.
function Stream:close_send()
  self.call:finish()
end

-- Waits for the next message; nil at the end. Raises the error that the call has ended with.
function Stream:receive()
  local message, problem = self.call:receive()
  if message == nil then ended(self, problem) end
  return message
end

-- for message in stream:messages() do … end
function Stream:messages()
  return function() return self:receive() end
end

-- Ends the requests and waits for the one response: of methods that stream their requests only.
function Stream:finish()
  if self.method.kind ~= "client_streaming" then
    error(self.method.path .. " has a stream of responses: see receive and messages", 2)
  end
  self.call:finish()
  local ok, response, info = pcall(self.single, self.call, self.method.path)
  settle(self, not ok and response or nil)
  if not ok then error(response, 0) end
  return response, info
end

-- Waits for the headers of the answer: { name = { value, … } }.
function Stream:headers()
  return self.call:headers()
end

-- After the end.
function Stream:trailers()
  local _, _, _, trailers = self.call:status()
  return trailers
end

-- The address of the endpoint; "" as long as there is none.
function Stream:peer()
  return (self.call:about())
end

function Stream:cancel()
  self.call:cancel()
end

-- Cancels it, unless it has ended.
function Stream:close()
  if self.permit then
    self.permit:settle "abandoned"
    self.permit = nil
  end
  self.call:close()
end

Stream.__close = Stream.close

return Stream
