-- SPDX-License-Identifier: MIT
-- Filters of lists: terms with AND between them. A term is a word, which name or email has to contain, or FIELD OPERATOR VALUE.
-- filter.compile makes a condition for the database; what a client has written gets into it as parameters only.
local errors = require "perilune.errors"
local time   = require "perilune.time"

local filter = {}

local MAX_LENGTH, MAX_TERMS = 2000, 20

local function fail(message, ...)
  message = message:format(...)
  error(errors.invalid_argument("the filter is not valid: " .. message, { filter = message }))
end

-- The term's parts from `at` on, as { kind, text }: "word", "quoted", "operator"; and where the next one begins. A word that is a
-- value, such as a time, may have operators' characters in it.
local function token(text, at, is_value)
  at = text:find("%S", at)
  if not at then return nil end
  local operator = not is_value and (text:match("^[!<>]=", at) or text:match("^[=:<>]", at))
  if operator then return { kind = "operator", text = operator }, at + #operator end
  if text:sub(at, at) == '"' then
    local stop, out = at + 1, {}
    while true do
      local plain, ending = text:match('^([^"\\]*)(["\\])', stop)
      if not plain then fail("a quotation mark is missing") end
      out[#out + 1] = plain
      stop = stop + #plain + 1
      if ending == '"' then return { kind = "quoted", text = table.concat(out) }, stop end
      out[#out + 1] = text:sub(stop, stop)
      stop = stop + 1
    end
  end
  local word = text:match(is_value and '^[^%s"]+' or '^[^%s=:<>!"]+', at)
  if not word then fail("%q is not expected", text:sub(at, at)) end
  return { kind = "word", text = word }, at + #word
end

local function tokens(text)
  local list, at = {}, 1
  while true do
    local last = list[#list]
    local one, after = token(text, at, last and last.kind == "operator")
    if not one then return list end
    list[#list + 1], at = one, after
  end
end

local function text_term(column)
  return function(operator, value)
    if operator == ":" then return ("instr(lower(%s), lower(?)) > 0"):format(column), { value } end
    if operator == "=" or operator == "!=" then return ("%s %s ?"):format(column, operator), { value } end
    fail("%s cannot be compared with %s", column, operator)
  end
end

local function time_term(column)
  return function(operator, value)
    if operator == ":" then fail("%s cannot be searched with :", column) end
    local seconds = time.parse_rfc3339(value)
    if not seconds then fail("%q is no time like 2026-05-09T12:30:00Z", value) end
    return ("%s %s ?"):format(column, operator), { math.floor(seconds * 1000000) }
  end
end

local function roles_term(operator, value)
  if operator ~= "=" and operator ~= ":" and operator ~= "!=" then fail("roles cannot be compared with %s", operator) end
  return (operator == "!=" and "NOT " or "") .. "EXISTS (SELECT 1 FROM json_each(roles) WHERE value = ?)", { value }
end

local function metadata_term(key)
  return function(operator, value)
    local found = "EXISTS (SELECT 1 FROM json_each(metadata) WHERE key = ? AND %s)"
    if operator == ":" then return found:format "instr(lower(value), lower(?)) > 0", { key, value } end
    if operator == "=" then return found:format "value = ?", { key, value } end
    if operator == "!=" then return "NOT " .. found:format "value = ?", { key, value } end
    fail("metadata cannot be compared with %s", operator)
  end
end

local fields = {
  id = text_term "id",
  name = text_term "name",
  email = text_term "email",
  created_at = time_term "created_at",
  updated_at = time_term "updated_at",
  roles = roles_term,
}

local function field(name)
  local key = name:match "^metadata%.(.+)$"
  if key then return metadata_term(key) end
  return fields[name] or fail("there is no field %s", name)
end

local function anywhere(value)
  return "(instr(lower(name), lower(?)) > 0 OR instr(lower(email), lower(?)) > 0)", { value, value }
end

-- The condition and its parameters; nil for an empty filter.
function filter.compile(text)
  if #text > MAX_LENGTH then fail("it is longer than %d bytes", MAX_LENGTH) end
  local list, conditions, parameters = tokens(text), {}, {}
  local at = 1
  while list[at] do
    if #conditions == MAX_TERMS then fail("it has more than %d terms", MAX_TERMS) end
    if #conditions > 0 then
      if list[at].kind ~= "word" or list[at].text ~= "AND" then fail("AND is expected before %s", list[at].text) end
      at = at + 1
    end
    local first, operator, value = list[at], list[at + 1], list[at + 2]
    if not first or first.kind == "operator" then fail("a word or a field is expected") end
    local condition, values
    if operator and operator.kind == "operator" then
      if not value then fail("a value is expected after %s", operator.text) end
      condition, values = field(first.text)(operator.text, value.text)
      at = at + 3
    else
      condition, values = anywhere(first.text)
      at = at + 1
    end
    conditions[#conditions + 1] = condition
    table.move(values, 1, #values, #parameters + 1, parameters)
  end
  if #conditions == 0 then return nil, {} end
  return table.concat(conditions, " AND "), parameters
end

return filter
