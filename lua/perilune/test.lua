-- SPDX-License-Identifier: MIT
-- The library of a bundle's tests (tests/*_test.lua), which `perilune test` runs.
local core = require "perilune.test.core"
local errors = require "perilune.errors"
local events = require "perilune.test.events"
local json = require "perilune.json"

local test = {}
local tests, hooks = {}, {}

local failure = { __name = "perilune.test.failure" }

function failure.__tostring(value)
  return value.message
end

-- level: 1 is the function that called the assertion's caller, and so on.
local function fail(text, message, level)
  local file, line = core.where(level + 1)
  local place = file and ("%s:%d: "):format(file, line) or ""
  local full = place .. (message and tostring(message) .. ": " or "") .. text
  error(setmetatable({ message = full, file = file, line = line }, failure), 0)
end

-- Registering ---------------------------------------------------------------------------------------------------------

function test.test(name, fn)
  if type(name) ~= "string" or type(fn) ~= "function" then
    error("test.test: a name and a function are expected", 2)
  end
  local file, line = core.where(1)
  tests[#tests + 1] = { name = name, fn = fn, file = file, line = line }
end

-- Runs fn before each test of the file that calls this.
function test.before_each(fn)
  if type(fn) ~= "function" then
    error("test.before_each: a function is expected", 2)
  end
  hooks[#hooks + 1] = { fn = fn, file = core.where(1) }
end

function test._tests()
  return tests
end

-- A function that runs what before_each has registered: for the file of the given test; for all files without one. nil: nothing.
function test._before()
  if #hooks == 0 then
    return nil
  end
  return function(entry)
    for _, hook in ipairs(hooks) do
      if not entry or entry.file == hook.file then
        hook.fn()
      end
    end
  end
end

-- Showing values ------------------------------------------------------------------------------------------------------

local function is_name(key)
  return type(key) == "string" and key:find "^[%a_][%w_]*$" ~= nil
end

local function by_type_and_value(a, b)
  if type(a) == type(b) and (type(a) == "number" or type(a) == "string") then
    return a < b
  end
  return type(a) < type(b)
end

local function sorted_keys(map)
  local keys = {}
  for key in next, map do
    keys[#keys + 1] = key
  end
  table.sort(keys, by_type_and_value)
  return keys
end

local show

local function show_table(value, depth)
  if depth == 0 then
    return "{…}"
  end
  local parts, next_index = {}, 1
  for _, key in ipairs(sorted_keys(value)) do
    if #parts == 20 then
      parts[#parts + 1] = "…"
      break
    end
    local shown = show(value[key], depth - 1)
    if key == next_index then
      next_index = next_index + 1
      parts[#parts + 1] = shown
    elseif is_name(key) then
      parts[#parts + 1] = key .. " = " .. shown
    else
      parts[#parts + 1] = "[" .. show(key, depth - 1) .. "] = " .. shown
    end
  end
  return "{" .. table.concat(parts, ", ") .. "}"
end

function show(value, depth)
  if value == json.null then
    return "null"
  elseif type(value) == "string" then
    return #value > 200 and ("%q…"):format(value:sub(1, 200)) or ("%q"):format(value)
  elseif errors.is(value) or getmetatable(value) == failure then
    return tostring(value)
  elseif type(value) == "table" then
    return show_table(value, depth or 4)
  end
  return tostring(value)
end

-- Comparing -----------------------------------------------------------------------------------------------------------

local function step(path, key)
  if is_name(key) then
    return path .. "." .. key
  end
  return path .. "[" .. show(key) .. "]"
end

local difference

local function table_difference(actual, expected, path, seen)
  if seen[actual] == expected then
    return nil
  end
  seen[actual] = expected
  for _, key in ipairs(sorted_keys(expected)) do
    local found = difference(actual[key], expected[key], step(path, key), seen)
    if found then
      return found
    end
  end
  for _, key in ipairs(sorted_keys(actual)) do
    if expected[key] == nil then
      return { path = step(path, key), actual = actual[key], expected = nil }
    end
  end
end

-- nil, or the first difference.
function difference(actual, expected, path, seen)
  if type(actual) == "table" and type(expected) == "table" and actual ~= expected then
    return table_difference(actual, expected, path, seen)
  end
  local both_nan = actual ~= actual and expected ~= expected
  if actual ~= expected and not both_nan then
    return { path = path, actual = actual, expected = expected }
  end
end

-- Assertions ----------------------------------------------------------------------------------------------------------

function test.equal(actual, expected, message)
  local found = difference(actual, expected, "", {})
  if found then
    local where = found.path ~= "" and " at " .. found.path or ""
    fail(("expected %s, got %s%s"):format(show(found.expected), show(found.actual), where), message, 1)
  end
end

function test.ok(value, message)
  if not value then
    fail("expected a true value, got " .. show(value), message, 1)
  end
  return value
end

function test.match(text, pattern, message)
  if type(text) ~= "string" or not text:find(pattern) then
    fail(("expected a match of %q, got %s"):format(pattern, show(text)), message, 1)
  end
end

-- Calls fn, which has to raise an error, and returns that error. expected: a code ("NOT_FOUND"), or a pattern of the message.
function test.error(fn, expected)
  local ok, value = pcall(fn)
  if ok then
    fail("expected an error, got none", nil, 1)
  end
  if expected == nil then
    return value
  end
  if errors[expected:lower()] and expected == expected:upper() then
    if not errors.is(value, expected) then
      fail(("expected an error with code %s, got %s"):format(expected, show(value)), nil, 1)
    end
  elseif not tostring(value):find(expected) then
    fail(("expected an error that matches %q, got %s"):format(expected, show(value)), nil, 1)
  end
  return value
end

-- GraphQL -------------------------------------------------------------------------------------------------------------

-- Runs an operation on the bundle under test and returns the response: { data = …, errors = … }.
-- options: operation_name, headers ({ name = value }), extensions.
function test.graphql(query, variables, options)
  options = options or {}
  local request = {
    query = query,
    variables = variables,
    operationName = options.operation_name,
    headers = options.headers,
    extensions = options.extensions,
  }
  return json.decode(core.execute(json.encode(request)))
end

-- Events: see perilune.test.events --------------------------------------------------------------------------------------
test.events, test.published, test.clock, test.store = events.events, events.published, events.clock, events.store
test._reset = events.reset

return test
