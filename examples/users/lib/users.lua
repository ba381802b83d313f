-- SPDX-License-Identifier: MIT
-- Users in the database, as the messages of user.proto have them.
local crypto = require "perilune.crypto"
local db     = require "lib.db"
local errors = require "perilune.errors"
local json   = require "perilune.json"
local pages  = require "lib.pages"
local time   = require "perilune.time"

local users = {}

local MAX_NAME, MAX_ROLES, MAX_METADATA = 200, 50, 50

local function timestamp(microseconds)
  return { seconds = microseconds // 1000000, nanos = microseconds % 1000000 * 1000 }
end

local function now()
  return math.floor(time.now() * 1000000)
end

local function from_row(row)
  return {
    id = row.id,
    name = row.name,
    email = row.email,
    roles = json.decode(row.roles),
    metadata = json.decode(row.metadata),
    created_at = timestamp(row.created_at),
    updated_at = timestamp(row.updated_at),
  }
end

-- What is wrong with fields that are given, as { field = text }, and the first of these.
local function violations_of(fields, prefix)
  local violations, first = {}, nil
  local function wrong(field, text)
    violations[prefix .. field] = text
    first = first or field .. " " .. text
  end
  local name, email = fields.name, fields.email
  if name and not name:find "%S" then
    wrong("name", "is required")
  elseif name and utf8.len(name) > MAX_NAME then
    wrong("name", "is too long")
  end
  if email == "" then
    wrong("email", "is required")
  elseif email and (#email > 254 or not email:find "^[^%s@]+@[^%s@]+%.[^%s@]+$") then
    wrong("email", "format is invalid")
  end
  if fields.roles and #fields.roles > MAX_ROLES then wrong("roles", "are too many") end
  local count = 0
  for _ in pairs(fields.metadata or {}) do count = count + 1 end
  if count > MAX_METADATA then wrong("metadata", "has too many entries") end
  return violations, first
end

-- prefix: of the fields' names in the error, where there are several users.
local function check(fields, prefix)
  local violations, first = violations_of(fields, prefix or "")
  if first then error(errors.invalid_argument(first, violations)) end
end

local function given_id(id)
  if id == "" then error(errors.invalid_argument("user ID is required", { id = "is required" })) end
  return id
end

local function not_found(id)
  local message = "user not found"
  error(errors.not_found(message, { details = {
    { ["@type"] = "user.v1.ErrorDetail", code = "USER_NOT_FOUND", message = message, metadata = { id = id } },
  } }))
end

local function find(connection, id)
  return connection:first("SELECT * FROM users WHERE id = ?", id) or not_found(id)
end

local function insert(tx, fields)
  local at = now()
  local id = "user_" .. crypto.uuid7()
  tx:exec("INSERT INTO users (id, name, email, roles, metadata, created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?)",
    id, fields.name, fields.email, json.encode(json.list(fields.roles)), json.encode(fields.metadata), at, at)
  return from_row(find(tx, id))
end

function users.get(id)
  return from_row(find(db, given_id(id)))
end

function users.create(fields)
  check(fields)
  return db:transaction(function(tx) return insert(tx, fields) end)
end

-- Raises for the n-th of several users what users.create would raise for one.
function users.check(fields, n)
  check(fields, ("users[%d]."):format(n))
end

-- All of them, or none; they have been checked.
function users.create_all(list)
  return db:transaction(function(tx)
    local created = {}
    for i, fields in ipairs(list) do created[i] = insert(tx, fields) end
    return created
  end)
end

local CHANGEABLE = { name = true, email = true, roles = true, metadata = true }

-- The fields of a request that are to be changed.
local function changes_of(request)
  if not request.update_mask then
    return {
      name = request.name,
      email = request.email,
      roles = #request.roles > 0 and request.roles or nil,
      metadata = next(request.metadata) and request.metadata or nil,
    }
  end
  local changes = {}
  for _, path in ipairs(request.update_mask) do
    if not CHANGEABLE[path] then
      error(errors.invalid_argument("there is no field to change: " .. path, { update_mask = path .. " cannot be changed" }))
    end
    changes[path] = request[path] or ""
  end
  return changes
end

function users.update(request)
  local id, changes = given_id(request.id), changes_of(request)
  check(changes)
  return db:transaction(function(tx)
    local user = from_row(find(tx, id))
    for field, value in pairs(changes) do user[field] = value end
    tx:exec("UPDATE users SET name = ?, email = ?, roles = ?, metadata = ?, updated_at = ? WHERE id = ?",
      user.name, user.email, json.encode(json.list(user.roles)), json.encode(user.metadata), now(), id)
    return from_row(find(tx, id))
  end)
end

function users.delete(id)
  if db:exec("DELETE FROM users WHERE id = ?", given_id(id)).changes == 0 then
    not_found(id)
  end
end

-- A list of users, and the token of the next page, or nil.
function users.page(request)
  local rows, token = pages.read(db, request)
  local list = {}
  for i, row in ipairs(rows) do list[i] = from_row(row) end
  return list, token
end

return users
