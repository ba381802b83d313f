-- SPDX-License-Identifier: MIT
-- Dead letters in sequence: `dead_letter = { topic = …, sequenced = true }` of a consumer. When an event of a key has become a
-- dead letter, later events of that key follow it there, behind it, until all of them have been replayed and handled. Which
-- keys are parked stands in a compacted topic with the partitions of the source, DEAD_LETTER_TOPIC-parked:
--
--   key → { since = id of the first that has to be handled next ("" while a replay goes on), last = id of the last one }
--
-- An id is "topic/partition/offset" of where the event was when it failed or was parked.
local core = require "perilune.streams.core"
local errors = require "perilune.errors"
local log = require "perilune.log"
local proto = require "perilune.proto"
local registry = require "perilune.registry"

local REPLAYED = "perilune-replayed-event" -- a header: the id that the event was parked under
local NEVER = {}
for _, code in ipairs { "INVALID_ARGUMENT", "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED", "FAILED_PRECONDITION",
  "OUT_OF_RANGE", "UNIMPLEMENTED", "DATA_LOSS", "UNAUTHENTICATED" } do NEVER[code] = true end

local function wrong(what) error("dead_letter.sequenced " .. what, 0) end

local function check(declaration)
  if declaration.batch then wrong "is not for batches" end
  if declaration.delivery == "exactly_once" then wrong "is for delivery \"at_least_once\"" end
  if declaration.ordering == "none" then wrong "needs ordering \"key\" or \"partition\"" end
  if type(declaration.retry) == "table" and declaration.retry.topics then wrong "and retry.topics exclude each other" end
  if declaration.on_assigned or declaration.on_revoked or declaration.timer then wrong "is not for streams" end
  if type(declaration.topic) ~= "string" or declaration.topic:sub(1, 1) == "^" or declaration.topics then
    wrong "is for one topic"
  end
  if type(declaration.handler) ~= "function" then error("a consumer needs a handler", 0) end
end

-- Which codes end at once, and how many attempts the others have: as the server counts.
local function policy_of(retry)
  if retry == false then return 1, NEVER end
  local never = NEVER
  if type(retry) == "table" and retry.never then
    never = {}
    for _, code in ipairs(retry.never) do never[code] = true end
  end
  return type(retry) == "table" and retry.attempts or 3, never
end

local function decoder(declaration)
  if declaration.format == "bytes" then return function(msg) return msg.value end end
  if declaration.message then return function(msg) return msg.value and proto.decode(declaration.message, msg.value) end end
  return function(msg) return msg.value and registry.read_json(msg.topic, msg.value) end
end

local Parking = {}
Parking.__index = Parking

-- What is parked in a partition: { [key] = { since, last } }.
function Parking:read(ctx, partition)
  local parked = {}
  local reader <close> = ctx.events:read(self.topic, { partition = partition, from = "beginning", to = "end" })
  for msg, state in reader do parked[msg.key] = state end
  return parked
end

function Parking:assigned(partitions, ctx)
  self.partitions, self.suspects = {}, {}
  local count = core.topic(self.source)
  if not count then return end
  core.topic(self.topic, count, true)
  for _, one in ipairs(partitions) do
    self.partitions[one.partition], self.suspects[one.partition] = self:read(ctx, one.partition), {}
  end
end

function Parking:write(ctx, msg, state)
  ctx.events:publish(self.topic, state, { key = msg.key, partition = msg.partition, format = state and "json" or nil })
  self.partitions[msg.partition][msg.key] = state
end

-- Whether the event's turn has come: it is the one that the others wait for, or a replay goes on.
local function is_next(state, msg)
  local id = msg.headers[REPLAYED] or msg.id
  return state.since == id or (state.since == "" and msg.headers[REPLAYED] ~= nil)
end

function Parking:park(ctx, msg, state)
  self:write(ctx, msg, { since = state.since, last = msg.id })
  error(errors.failed_precondition(("parked behind %s of the same key"):format(state.since ~= "" and state.since or state.last)))
end

-- The event was handled: those behind it may come, or nothing is left.
function Parking:handled(ctx, msg, state)
  if state.last == (msg.headers[REPLAYED] or msg.id) then
    self:write(ctx, msg, nil)
    log.info("key released: its dead letters are handled", { topic = self.source, key = msg.key })
  elseif state.since ~= "" then
    self:write(ctx, msg, { since = "", last = state.last })
  end
end

-- The event becomes a dead letter: so will those behind it.
function Parking:failed(ctx, msg, state)
  local last = state and state.last ~= (msg.headers[REPLAYED] or msg.id) and state.last or msg.id
  self:write(ctx, msg, { since = msg.id, last = last })
end

local function is_final(self, failure, msg)
  local code = type(failure) == "table" and getmetatable(failure) == errors.metatable and failure.code or "INTERNAL"
  return self.never[code] or msg.attempt >= self.attempts
end

-- A handler that was ended (it ran or waited too long, or took too much memory) at its last attempt: nobody could say so here.
function Parking:look_back(ctx, msg, state)
  local suspects = self.suspects[msg.partition]
  local id = suspects[msg.key]
  if not id or id == msg.id then return state end
  suspects[msg.key] = nil
  self:write(ctx, msg, { since = id, last = state and state.last or id })
  return self.partitions[msg.partition][msg.key]
end

function Parking:handle(msg, ctx)
  local parked, key = self.partitions[msg.partition], msg.key
  if not parked or not key then return self.handler(self.decode(msg), msg, ctx) end
  local state = self:look_back(ctx, msg, parked[key])
  if state and not is_next(state, msg) then self:park(ctx, msg, state) end
  if msg.attempt >= self.attempts then self.suspects[msg.partition][key] = msg.id end
  local ok, failure = xpcall(function() self.handler(self.decode(msg), msg, ctx) end, function(failure)
    return { failure, type(failure) ~= "table" and debug.traceback(failure, 2) or nil }
  end)
  self.suspects[msg.partition][key] = nil
  if ok then
    if state then self:handled(ctx, msg, state) end
    return
  end
  if is_final(self, failure[1], msg) then self:failed(ctx, msg, state) end
  error(failure[2] or failure[1], 0)
end

-- The declaration as the server is to read it.
return function(declaration)
  check(declaration)
  local wrapped = {}
  for name, value in pairs(declaration) do wrapped[name] = value end
  local dead = declaration.dead_letter.topic or declaration.topic .. "-dlq"
  local attempts, never = policy_of(declaration.retry)
  local self = setmetatable({
    source = declaration.topic, topic = dead .. "-parked", handler = declaration.handler, decode = decoder(declaration),
    attempts = attempts, never = never, partitions = {}, suspects = {},
  }, Parking)
  wrapped.dead_letter, wrapped.message, wrapped.format = dead, nil, "bytes"
  wrapped.handler = function(_, msg, ctx) return self:handle(msg, ctx) end
  wrapped.on_assigned = function(partitions, ctx) self:assigned(partitions, ctx) end
  return wrapped
end
