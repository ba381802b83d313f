-- SPDX-License-Identifier: MIT
-- For the server: what becomes of functions of the host program before they are bound, where a function alone is not enough.
local core = require "perilune.native.core"
local errors = require "perilune.errors"

local native = {}

-- What an interceptor's `after` sees of a call that has raised an error, in the form of what `next` returns.
local function outcome_of(raised)
  if errors.is(raised) then return { errors = 1, code = raised.code, message = raised.message } end
  return { errors = 1, code = "INTERNAL", message = tostring(raised) }
end

-- Other errors than those for clients keep their traceback.
local function keep(raised)
  return errors.is(raised) and raised or core.fault(raised)
end

-- before(ctx) may refuse what follows by an error; after(ctx, outcome) sees how that has ended. Either may be nil.
function native.interceptor(before, after)
  if not after then
    return function(ctx, next)
      before(ctx)
      return next(ctx)
    end
  end
  return function(ctx, next)
    if before then before(ctx) end
    local ok, outcome = xpcall(next, keep, ctx)
    if not ok then
      after(ctx, outcome_of(outcome))
      error(outcome, 0)
    end
    after(ctx, outcome)
    return outcome
  end
end

-- Methods: what their functions become. Those that stream give a sequence, which asks for messages, or has those that are sent.
-- With the names of their messages (input, output), the function has them as bytes of Protobuf.

local function same(message)
  return message
end

local function translators(input, output)
  if not input then return same, same end
  local proto = require "perilune.proto"
  local function encode(message) return message ~= nil and proto.encode(input, message) or nil end
  local function decode(bytes) return bytes ~= nil and proto.decode(output, bytes) or nil end
  return encode, decode
end

local function check(sequence)
  if type(sequence) == "userdata" then return sequence end
  error(("a function for a method that streams must give a sequence, not a %s"):format(type(sequence)), 0)
end

function native.unary(answer, input, output)
  local encode, decode = translators(input, output)
  return function(request, call) return decode(answer(encode(request), call)) end
end

function native.server_streaming(open, input, output)
  local encode, decode = translators(input, output)
  return function(request, call)
    local sequence <close> = check(open(encode(request), call))
    for message in sequence do
      if message == core.ask then error("a message was asked for, but the requests of this method are not streamed") end
      call:send(decode(message))
    end
  end
end

function native.client_streaming(open, input, output)
  local encode, decode = translators(input, output)
  return function(call)
    local sequence <close> = check(open(call))
    local answer = sequence:next()
    while answer == core.ask do answer = sequence:next(encode(call:receive())) end
    return decode(answer)
  end
end

function native.bidi_streaming(open, input, output)
  local encode, decode = translators(input, output)
  return function(call)
    local sequence <close> = check(open(call))
    local answer = sequence:next()
    while answer ~= nil do
      if answer == core.ask then
        answer = sequence:next(encode(call:receive()))
      else
        call:send(decode(answer))
        answer = sequence:next()
      end
    end
  end
end

return native
