-- SPDX-License-Identifier: MIT
-- `perilune test` runs these against the bundle's own database; what they make, they delete.
local crypto = require "perilune.crypto"
local null   = require("perilune").null
local t      = require "perilune.test"

local function code_of(response)
  return response.errors and response.errors[1].extensions.code
end

-- Calls fn with the id of a user who is deleted afterwards.
local function with_user(fn)
  local created = t.graphql([[mutation ($input: CreateUserInput!) { createUser(input: $input) { id } }]],
    { input = { name = "Test", email = crypto.uuid4() .. "@example.com" } })
  local id = created.data.createUser.id
  fn(id)
  local deleted = t.graphql([[mutation ($id: ID!) { deleteUser(id: $id) }]], { id = id })
  t.equal(deleted.data.deleteUser, true)
end

t.test("a user has name, email and the time of joining", function()
  with_user(function(id)
    local user = t.graphql([[query ($id: ID!) { user(id: $id) { id name email createdAt posts { id } } }]], { id = id }).data.user
    t.equal(user.name, "Test")
    t.match(user.email, "@example%.com$")
    t.match(user.createdAt, "^%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%d")
    t.equal(#user.posts, 0)
  end)
end)

t.test("an unknown user is null", function()
  local response = t.graphql [[{ user(id: "no-such-user") { id } }]]
  t.equal(response, { data = { user = null } })
end)

t.test("pages have bounds", function()
  t.equal(#t.graphql([[{ users(limit: 1) { id } }]]).data.users, 1)
  for _, page in ipairs { "limit: 0", "limit: 101", "offset: -1" } do
    t.equal(code_of(t.graphql("{ users(" .. page .. ") { id } }")), "INVALID_ARGUMENT")
  end
end)

t.test("an email address belongs to one user only", function()
  with_user(function(id)
    local email = t.graphql([[query ($id: ID!) { user(id: $id) { email } }]], { id = id }).data.user.email
    local response = t.graphql([[mutation ($input: CreateUserInput!) { createUser(input: $input) { id } }]],
      { input = { name = "Another", email = email:upper() } })
    t.equal(code_of(response), "ALREADY_EXISTS")
  end)
end)

t.test("a post is a draft until it is published", function()
  with_user(function(id)
    local post = t.graphql([[mutation ($input: CreatePostInput!) { createPost(input: $input) { id publishedAt author { id } } }]],
      { input = { title = "Title", content = "Content", authorId = id } }).data.createPost
    t.equal(post.author.id, id)
    t.equal(post.publishedAt, null)

    local publish = [[mutation ($id: ID!) { publishPost(id: $id) { publishedAt } }]]
    local first = t.graphql(publish, { id = post.id }).data.publishPost.publishedAt
    t.equal(type(first), "string")
    t.equal(t.graphql(publish, { id = post.id }).data.publishPost.publishedAt, first)
  end)
end)

t.test("a post needs an author", function()
  local response = t.graphql [[mutation { createPost(input: {title: "t", content: "c", authorId: "0"}) { id } }]]
  t.equal(code_of(response), "NOT_FOUND")
end)
