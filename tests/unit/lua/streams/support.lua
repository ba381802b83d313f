-- SPDX-License-Identifier: MIT
-- For the cases of test_streams.c.
local support = {}

local function show(value)
  if type(value) ~= "table" then return type(value) == "string" and ("%q"):format(value) or tostring(value) end
  local keys, parts = {}, {}
  for key in pairs(value) do keys[#keys + 1] = key end
  table.sort(keys, function(a, b)
    if type(a) == type(b) then return a < b end
    return type(a) < type(b)
  end)
  for _, key in ipairs(keys) do
    parts[#parts + 1] = (type(key) == "number" and "" or tostring(key) .. " = ") .. show(value[key])
  end
  return "{" .. table.concat(parts, ", ") .. "}"
end
support.show = show

-- As text: floats that are whole are the same as integers.
local function plain(value)
  if math.type(value) == "float" and math.tointeger(value) then return math.tointeger(value) end
  if type(value) ~= "table" then return value end
  local copy = {}
  for key, one in pairs(value) do copy[key] = plain(one) end
  return copy
end

function support.same(actual, expected, what)
  local a, e = show(plain(actual)), show(plain(expected))
  if a ~= e then error(("%s:\nexpected %s\ngot      %s"):format(what or "", e, a), 2) end
end

function support.fails(fn, pattern)
  local ok, why = pcall(fn)
  if ok then error("no error", 2) end
  if not tostring(why):find(pattern) then error(("expected %q, got %s"):format(pattern, tostring(why)), 2) end
end

-- { { key, value, timestamp }, … } of what was written to a topic.
function support.outputs(driver, topic)
  local all = {}
  for i, event in ipairs(driver:read_all(topic)) do all[i] = { event.key, event.value, event.timestamp } end
  return all
end

-- Numbers by chance that are the same in each run (xorshift).
function support.chance(seed)
  local x = seed * 2654435761 | 1
  return function(n)
    x = x ~ (x << 13)
    x = x ~ (x >> 7)
    x = x ~ (x << 17)
    return (x >> 11) % n
  end
end

return support
