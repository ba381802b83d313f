-- SPDX-License-Identifier: MIT
-- `perilune test` runs these against the bundle's own database; what they make, they delete.
local crypto = require "perilune.crypto"
local filter = require "lib.filter"
local grpc   = require "perilune.grpc"
local null   = require("perilune").null
local t      = require "perilune.test"
local users  = require "lib.users"

-- Calls fn with users of these names, who are deleted afterwards, and a mark that all of them bear.
local function with_users(names, fn)
  local mark, created = crypto.uuid4(), {}
  for i, name in ipairs(names) do
    created[i] = users.create {
      name = name, email = ("user%d@example.com"):format(i), roles = { "user" }, metadata = { mark = mark },
    }
  end
  fn(created, mark)
  for _, user in ipairs(created) do users.delete(user.id) end
end

t.test("a user is found, changed and deleted", function()
  with_users({ "Ada" }, function(created)
    local id = created[1].id
    t.equal(users.get(id), created[1])
    local changed = users.update { id = id, name = "Countess", roles = {}, metadata = {} }
    t.equal(changed.name, "Countess")
    t.equal(changed.roles, { "user" })
    t.equal(users.update { id = id, roles = {}, metadata = {}, update_mask = { "roles" } }.roles, {})
  end)
  t.error(function() users.get "nobody" end, "NOT_FOUND")
  t.error(function() users.delete "nobody" end, "NOT_FOUND")
end)

t.test("what is wrong is named", function()
  local fields = { name = "", email = "nowhere", roles = {}, metadata = {} }
  local failure = t.error(function() users.create(fields) end, "INVALID_ARGUMENT")
  t.equal(failure.details, { name = "is required", email = "format is invalid" })
end)

t.test("pages go on where the last one ended", function()
  with_users({ "C", "A", "B", "A" }, function(_, mark)
    local request = { page_size = 3, page_token = "", filter = "metadata.mark = " .. mark, order_by = "name, created_at desc" }
    local function names()
      local list, token = users.page(request)
      local out = {}
      for i, user in ipairs(list) do out[i] = user.name end
      request.page_token = token
      return out
    end
    t.equal(names(), { "A", "A", "B" })
    t.equal(names(), { "C" })
    t.equal(request.page_token, nil)
  end)
end)

t.test("filters become conditions with parameters", function()
  local condition, parameters = filter.compile [[name = "a \"b\"" AND roles:admin]]
  t.equal(condition, "name = ? AND EXISTS (SELECT 1 FROM json_each(roles) WHERE value = ?)")
  t.equal(parameters, { [[a "b"]], "admin" })
  t.equal(filter.compile "  ", nil)
  t.error(function() filter.compile "name ~ x" end, "INVALID_ARGUMENT")
end)

t.test("the service's methods, called from here", function()
  local service = grpc.client("local:", "user.v1.UserService")
  with_users({ "Ada", "Bob", "Cid" }, function(created, mark)
    t.equal(service:GetUser({ id = created[1].id }).user, created[1])
    local listing = service:ListUsers { filter = "metadata.mark = " .. mark, page_size = 2, order_by = "name" }
    t.equal(listing:receive().name, "Ada")
    t.equal(listing:receive().name, "Bob")
    t.equal(listing:receive(), nil)
    t.ok(listing:trailers()["next-page-token"])
  end)
  t.error(function() service:GetUser { id = "" } end, "INVALID_ARGUMENT")

  local chat <close> = service:ChatWithUser()
  for _, text in ipairs { "Hello", "Goodbye" } do
    chat:send { user_id = "1", message = text }
    t.equal(chat:receive().message, "Echo: " .. text)
  end
  chat:close_send()
  t.equal(chat:receive(), nil)
end)

t.test("GraphQL asks the service", function()
  with_users({ "Ada" }, function(created)
    local response = t.graphql("query ($id: ID!) { user(id: $id) { name email roles } }", { id = created[1].id })
    t.equal(response, { data = { user = { name = "Ada", email = "user1@example.com", roles = { "user" } } } })
  end)
  t.equal(t.graphql [[{ user(id: "nobody") { name } }]], { data = { user = null } })
  local response = t.graphql [[mutation { createUser(input: { name: "Ada", email: "nowhere" }) { id } }]]
  t.equal(response.errors[1].extensions, { code = "INVALID_ARGUMENT", violations = { email = "format is invalid" } })
end)
