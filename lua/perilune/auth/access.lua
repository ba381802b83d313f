-- SPDX-License-Identifier: MIT
-- What ctx.user may do: roles and scopes, as @auth and @requiresScopes of GraphQL understand them.
local check = require "perilune.auth.check"
local errors = require "perilune.errors"
local null = require("perilune").null

local access = {}

-- Adds a string, the strings of a list, or the names of a set to a list; returns it.
function access.add_names(list, value)
  if type(value) == "string" then
    list[#list + 1] = value
  elseif type(value) == "table" then
    for name, entry in next, value do
      if type(entry) == "string" then
        list[#list + 1] = entry
      elseif entry == true and type(name) == "string" then
        list[#list + 1] = name
      end
    end
  end
  return list
end

-- Whether a list or set has the name.
local function holds(set, name)
  if type(set) ~= "table" then
    return false
  end
  if set[name] == true then
    return true
  end
  for i = 1, #set do
    if set[i] == name then
      return true
    end
  end
  return false
end

function access.has_role(user, role)
  return type(user) == "table" and (user.role == role or holds(user.roles, role))
end

function access.has_scope(user, scope)
  if type(user) ~= "table" then
    return false
  end
  if holds(user.scopes, scope) then
    return true
  end
  if type(user.scope) == "string" then
    for name in user.scope:gmatch "%S+" do
      if name == scope then
        return true
      end
    end
  end
  return false
end

-- Roles -----------------------------------------------------------------------------------------------------------------------

local function add_role(rules, roles, seen, name)
  local waiting = { name }
  while #waiting > 0 do
    local role = table.remove(waiting)
    if not seen[role] then
      seen[role] = true
      roles[#roles + 1] = role
      for _, included in ipairs(rules.includes[role] or {}) do
        waiting[#waiting + 1] = included
      end
    end
  end
end

local function check_map(what, options, name)
  local map = check.type(what, options, name, "table") or {}
  local result = {}
  for role in next, map do
    if type(role) ~= "string" then
      check.fail("%s: %s: names of roles are expected", what, name)
    end
    result[role] = check.strings(what .. ": " .. name, map, role)
  end
  return result
end

-- auth.roles{ map = { ["idp-admins"] = "ADMIN" }, includes = { ADMIN = { "EDITOR" } }, default = "USER" }: an interceptor that
-- turns the roles that somebody else gave into those of the application. Without map all of them stay; with it, those that it
-- names.
function access.roles(options)
  local what = "auth.roles"
  check.names(what, options, { map = true, includes = true, default = true })
  local rules = { includes = check_map(what, options, "includes") }
  local map = options.map ~= nil and check_map(what, options, "map") or nil
  local default = check.strings(what, options, "default") or {}
  return function(ctx, next)
    local user = ctx.user
    if type(user) == "table" then
      local given = access.add_names(access.add_names({}, user.roles), user.role)
      local roles, seen, copy = {}, {}, {}
      for _, name in ipairs(given) do
        for _, role in ipairs(map and (map[name] or {}) or { name }) do
          add_role(rules, roles, seen, role)
        end
      end
      for _, role in ipairs(default) do
        add_role(rules, roles, seen, role)
      end
      for name, value in _G.next, user do
        copy[name] = value
      end
      copy.roles, copy.role = roles, nil
      ctx.user = copy
    end
    return next(ctx)
  end
end

-- Requirements ---------------------------------------------------------------------------------------------------------------

local function any(list, test, user)
  for _, name in ipairs(list) do
    if test(user, name) then
      return true
    end
  end
  return false
end

local function all(list, test, user)
  for _, name in ipairs(list) do
    if not test(user, name) then
      return false
    end
  end
  return true
end

local function is_nobody(user)
  return user == nil or user == false or user == null
end

-- auth.require{ role = …, scope = … }: to be signed in, to have one of the roles, to have all of the scopes, and what `check`
-- says. What it returns is an interceptor, a wrapper for a resolver, and a check:
--   interceptors = { …, admin },   deletePost = admin(function(_, args, ctx) … end),   admin(ctx)
function access.require(options)
  local what = "auth.require"
  options = options or {}
  check.names(what, options, { role = true, scope = true, check = true })
  local roles = check.strings(what, options, "role")
  local scopes = check.strings(what, options, "scope") or {}
  local test = check.type(what, options, "check", "function")

  local function demand(ctx)
    local user = ctx.user
    if is_nobody(user) then
      error(errors.unauthenticated "you have to be signed in")
    end
    if roles and not any(roles, access.has_role, user) or not all(scopes, access.has_scope, user) or
        test and not test(user, ctx) then
      error(errors.permission_denied "you are not allowed to do this")
    end
    return user
  end

  return function(subject, next)
    if type(subject) == "function" then
      return function(parent, args, ctx, info)
        demand(ctx)
        return subject(parent, args, ctx, info)
      end
    elseif type(subject) ~= "table" then
      error("auth.require: a ctx or a resolver is expected", 2)
    end
    local user = demand(subject)
    if next then
      return next(subject)
    end
    return user
  end
end

return access
