-- SPDX-License-Identifier: MIT
-- protobuf.lua DIR SECONDS: lua-protobuf beside what tests/bench/protobuf measures, with the messages that `protobuf --write
-- DIR` has written; prints the same lines. For a Lua that has the rock (luarocks install lua-protobuf).
local pb = require "pb"

local folder, seconds = arg[1], tonumber(arg[2])

local function read(name)
  local file <close> = assert(io.open(folder .. "/" .. name, "rb"))
  return file:read "a"
end

local function time(times, run, ...)
  local begin = os.clock()
  for _ = 1, times do run(...) end
  return os.clock() - begin
end

-- The best of ten runs of a tenth of the time.
local function measure(name, size, direction, ...)
  local times, best = 100, math.huge
  while time(times, ...) < seconds / 10 do times = times * 2 end
  for _ = 1, 10 do best = math.min(best, time(times, ...) / times) end
  print(("%s\t%d\t%s\t%.0f\tlua-protobuf"):format(name, size, direction, best * 1e9))
end

assert(pb.load(read "messages.binpb"))
for line in io.lines(folder .. "/types.txt") do
  local name, type = line:match "^(%S+)\t(%S+)$"
  local wire = read(name .. ".bin")
  local value = assert(pb.decode(type, wire))
  assert(#assert(pb.encode(type, value)) == #wire, name)
  measure(name, #wire, "decode", pb.decode, type, wire)
  measure(name, #wire, "encode", pb.encode, type, value)
end
