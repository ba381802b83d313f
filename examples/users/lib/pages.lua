-- SPDX-License-Identifier: MIT
-- Pages of a list that do not shift while users come and go: a token names the last user of a page by what the list is ordered
-- by, and the next page begins behind it. A token is good for the filter and the order that it was made with.
local crypto = require "perilune.crypto"
local errors = require "perilune.errors"
local filter = require "lib.filter"
local json   = require "perilune.json"

local pages = {}

local DEFAULT, MAX = 10, 1000
local ORDERED = { id = true, name = true, email = true, created_at = true, updated_at = true }

local function wrong(field, message)
  error(errors.invalid_argument(message, { [field] = message }))
end

local function size_of(request)
  if request.page_size < 0 then wrong("page_size", "the page size must not be negative") end
  return request.page_size == 0 and DEFAULT or math.min(request.page_size, MAX)
end

-- { { column, descending } } of "created_at desc, name". The id comes last, so that no two users have the same place.
local function order_of(text)
  local order, seen = {}, {}
  for part in text:gmatch "[^,]+" do
    local column, direction = part:match "^%s*([%w_]+)%s*(%a*)%s*$"
    direction = direction and direction:lower()
    if not ORDERED[column] or seen[column] or not (direction == "" or direction == "asc" or direction == "desc") then
      wrong("order_by", "users cannot be ordered by " .. part)
    end
    seen[column] = true
    order[#order + 1] = { column = column, descending = direction == "desc" }
  end
  if #order == 0 then order[1] = { column = "created_at", descending = false } end
  if not seen.id then order[#order + 1] = { column = "id", descending = false } end
  return order
end

local function order_text(order)
  local parts = {}
  for i, key in ipairs(order) do parts[i] = key.column .. (key.descending and " DESC" or "") end
  return table.concat(parts, ", ")
end

-- What a token belongs to.
local function mark(request)
  return crypto.sha256(json.encode { request.filter, request.order_by }):sub(1, 16)
end

local function token_of(request, order, row)
  local place = { mark(request) }
  for _, key in ipairs(order) do place[#place + 1] = row[key.column] end
  return crypto.base64url_encode(json.encode(place))
end

local function place_of(request, order)
  local bytes = crypto.base64url_decode(request.page_token)
  local ok, place = pcall(json.decode, bytes or "")
  if not ok or type(place) ~= "table" or place[1] ~= mark(request) or #place ~= #order + 1 then
    wrong("page_token", "the page token does not belong to this list")
  end
  return table.move(place, 2, #place, 1, {})
end

-- Behind a place: (a, b, id) > (x, y, z), column by column, as each may go up or down.
local function behind(order, place)
  local either, parameters = {}, {}
  for i, key in ipairs(order) do
    local all = {}
    for j = 1, i - 1 do
      all[j] = order[j].column .. " = ?"
      parameters[#parameters + 1] = place[j]
    end
    all[i] = key.column .. (key.descending and " < ?" or " > ?")
    parameters[#parameters + 1] = place[i]
    either[i] = "(" .. table.concat(all, " AND ") .. ")"
  end
  return "(" .. table.concat(either, " OR ") .. ")", parameters
end

-- The rows of the page that a ListUsersRequest asks for, and the token of the next page, or nil.
function pages.read(db, request)
  local size, order = size_of(request), order_of(request.order_by)
  local where, parameters = filter.compile(request.filter)
  local conditions = { where }
  if request.page_token ~= "" then
    local condition, more = behind(order, place_of(request, order))
    conditions[#conditions + 1] = condition
    table.move(more, 1, #more, #parameters + 1, parameters)
  end
  parameters[#parameters + 1] = size + 1
  local sql = ("SELECT * FROM users %s ORDER BY %s LIMIT ?"):format(
    #conditions > 0 and "WHERE " .. table.concat(conditions, " AND ") or "", order_text(order))
  local rows = db:query(sql, parameters)
  if #rows <= size then return rows, nil end
  rows[#rows] = nil
  return rows, token_of(request, order, rows[size])
end

return pages
