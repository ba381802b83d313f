# SPDX-License-Identifier: MIT
"""Loaders over HTTP and SQLite: how many statements a query makes, and what happens when clients leave and code changes."""

import threading
import time

import httpx
import pytest

from harness import SLOWNESS, code_of, http1, wait_until, write_bundle

pytestmark = pytest.mark.core

SCHEMA = """
type Query {
  users(limit: Int = 10): [User!]!
  user(id: Int!): User
  many(ids: [Int!]!): [User]
  broken(id: Int!): Int
  held(id: Int!): Int
  whoami: String
  statements: [String!]!
}
type Mutation { rename(id: Int!, name: String!): User }
type User { id: Int! name: String! posts: [Post!]! late: [Post!]! bestFriend: User }
type Post { id: Int! title: String! author: User! }
"""

DATABASE = """
local sqlite = require "perilune.sqlite"
local time = require "perilune.time"
local null = require("perilune").null

local data = { statements = {} }
data.db = sqlite.open(os.getenv "PERILUNE_SQLITE_PATH")
data.db:exec_script [[
  DROP TABLE IF EXISTS posts; DROP TABLE IF EXISTS users;
  CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT NOT NULL, friend INTEGER);
  CREATE TABLE posts (id INTEGER PRIMARY KEY, title TEXT NOT NULL, author INTEGER NOT NULL);
]]
for id = 1, 10 do
  data.db:exec("INSERT INTO users VALUES (?, ?, ?)", id, "user " .. id, id % 10 + 1)
  for n = 1, 3 do data.db:exec("INSERT INTO posts (title, author) VALUES (?, ?)", "post " .. n .. " of " .. id, id) end
end

function data.query(sql, ...)
  data.statements[#data.statements + 1] = (sql:gsub("%?[?, ]*", "?"))
  return data.db:query(sql, ...)
end

local function marks(list) return ("?, "):rep(#list):sub(1, -3) end

function data.users(ids)
  local found, out = {}, {}
  for _, user in ipairs(data.query("SELECT * FROM users WHERE id IN (" .. marks(ids) .. ")", ids)) do found[user.id] = user end
  for i, id in ipairs(ids) do out[i] = found[id] or null end
  return out
end

function data.posts(ids)
  local found, out = {}, {}
  for _, post in ipairs(data.query("SELECT * FROM posts WHERE author IN (" .. marks(ids) .. ")", ids)) do
    found[post.author] = found[post.author] or {}
    table.insert(found[post.author], post)
  end
  for i, id in ipairs(ids) do out[i] = found[id] or {} end
  return out
end

return data
"""

APP = """
local data = require "lib.data"
local errors = require "perilune.errors"
local log = require "perilune.log"
local time = require "perilune.time"

return {
  loaders = {
    users = { batch = data.users, max_batch = 50 },
    posts = data.posts,
    slow_posts = function(ids) time.sleep(0.01) return data.posts(ids) end,
    broken = function(ids)
      if ids[1] > 100 then local nothing = nil; return nothing.x end
      local out = {}
      for i, id in ipairs(ids) do out[i] = id % 2 == 0 and id or errors.not_found("no " .. id) end
      return out
    end,
    held = function()
      local guard <close> = setmetatable({}, { __close = function() log.info "batch closed" end })
      log.info "batch begun"
      time.sleep(60)
    end,
  },
  interceptors = { function(ctx, next)
    local id = tonumber(ctx.headers["x-user"])
    ctx.user = id and ctx.loaders.users:load(id)
    return next(ctx)
  end },
  timers = { tick = { every = 0.2, run = function(ctx)
    local names = {}
    for _, user in ipairs(ctx.loaders.users:load_many { 3, 4 }) do names[#names + 1] = user.name end
    log.info("tick", { names = table.concat(names, "+") })
  end } },
}
"""

RESOLVERS = """
local data = require "lib.data"
local time = require "perilune.time"

return {
  Query = {
    users = function(_, args) return data.query("SELECT * FROM users ORDER BY id LIMIT ?", args.limit) end,
    user = function(_, args, ctx) return ctx.loaders.users:load(args.id) end,
    many = function(_, args, ctx) return ctx.loaders.users:load_many(args.ids) end,
    broken = function(_, args, ctx) return ctx.loaders.broken:load(args.id) end,
    held = function(_, args, ctx) return ctx.loaders.held:load(args.id) end,
    whoami = function(_, _, ctx) return ctx.user and ctx.user.name end,
    statements = function() local list = data.statements; data.statements = {}; return list end,
  },
  Mutation = {
    rename = function(_, args, ctx)
      local before = ctx.loaders.users:load(args.id)
      data.db:exec("UPDATE users SET name = ? WHERE id = ?", args.name, args.id)
      return ctx.loaders.users:clear(args.id):load(args.id)
    end,
  },
  User = {
    posts = function(user, _, ctx) return ctx.loaders.posts:load(user.id) end,
    late = function(user, _, ctx) time.sleep(0.02) return ctx.loaders.slow_posts:load(user.id) end,
    bestFriend = function(user, _, ctx) return ctx.loaders.users:load(user.friend) end,
  },
  Post = { author = function(post, _, ctx) return ctx.loaders.users:load(post.author) end },
}
"""

BUNDLE = {
    "schema/schema.graphql": SCHEMA,
    "lib/data.lua": DATABASE,
    "app.lua": APP,
    "resolvers/all.lua": RESOLVERS,
}
WITHOUT_TIMER = BUNDLE | {"app.lua": APP.replace("every = 0.2", "every = 3600")}

USERS = "SELECT * FROM users ORDER BY id LIMIT ?"
USERS_IN = "SELECT * FROM users WHERE id IN (?)"
POSTS_IN = "SELECT * FROM posts WHERE author IN (?)"


@pytest.fixture(scope="module")
def server(start_shared):
    return start_shared(WITHOUT_TIMER)


def statements(server):
    return server.data("{ statements }")["statements"]


def test_one_batch_for_each_level(server):
    statements(server)
    data = server.data("{ users { id posts { title author { name posts { author { bestFriend { name } } } } } } }")
    assert [user["id"] for user in data["users"]] == list(range(1, 11))
    for user in data["users"]:
        assert [post["title"] for post in user["posts"]] == [f"post {n} of {user['id']}" for n in (1, 2, 3)]
        assert {post["author"]["name"] for post in user["posts"]} == {f"user {user['id']}"}
        friend = user["posts"][0]["author"]["posts"][2]["author"]["bestFriend"]["name"]
        assert friend == f"user {user['id'] % 10 + 1}"
    # Further down all keys have been loaded before.
    assert statements(server) == [USERS, POSTS_IN, USERS_IN]


def test_levels_with_sleeps_in_between(server):
    statements(server)
    data = server.data("{ users { late { author { bestFriend { late { author { name } } } } } } }")
    assert len(data["users"]) == 10
    assert statements(server) == [USERS, POSTS_IN, USERS_IN]


def test_requests_do_not_share(server):
    statements(server)
    for _ in range(3):
        server.data("{ a: user(id: 1) { name } b: user(id: 1) { name } c: user(id: 2) { name } }")
    assert statements(server) == [USERS_IN] * 3


def test_not_found_and_lists(server):
    data = server.data("{ many(ids: [3, 77, 3, 1]) { id } none: user(id: 99) { id } }")
    assert data == {"many": [{"id": 3}, None, {"id": 3}, {"id": 1}], "none": None}


def test_after_a_mutation(server):
    data = server.data('mutation { a: rename(id: 9, name: "nine") { name } b: rename(id: 9, name: "user 9") { name } }')
    assert data == {"a": {"name": "nine"}, "b": {"name": "user 9"}}


def test_errors_by_key(server):
    response = server.graphql("{ a: broken(id: 2) b: broken(id: 3) c: broken(id: 4) }")
    assert response["data"] == {"a": 2, "b": None, "c": 4}
    assert [error["path"] for error in response["errors"]] == [["b"]]
    assert code_of(response) == "NOT_FOUND"


def test_a_batch_that_breaks(server):
    response = server.graphql("{ a: broken(id: 101) b: broken(id: 103) hello: whoami }")
    assert response["data"] == {"a": None, "b": None, "hello": None}
    assert [code_of(response, i) for i in (0, 1)] == ["INTERNAL", "INTERNAL"]
    assert "nothing" not in str(response["errors"])
    line = server.wait_log("loader failed", '"loader":"broken"')
    assert "app.lua" in line
    assert "traceback" in line


def test_in_interceptors(server):
    response = server.post({"query": "{ whoami }"}, headers={"x-user": "7"})
    assert response.json() == {"data": {"whoami": "user 7"}}


def test_in_timers(start):
    start(BUNDLE).wait_log('"tick"', "user 3+user 4")


def test_a_client_that_leaves(start):
    server = start(WITHOUT_TIMER)
    with server.connect() as connection:
        connection.sendall(http1({"query": "{ held(id: 1) other: held(id: 2) user(id: 1) { posts { title } } }"}))
        server.wait_log("batch begun")
    server.wait_log("batch closed")
    assert server.data("{ user(id: 1) { name } }") == {"user": {"name": "user 1"}}
    wait_until(lambda: server.status()["generations"][0]["requests"] == 0, what="no request is left")


def test_many_waiting_requests_at_once(server):
    with httpx.Client(timeout=30 * SLOWNESS) as client:
        query = {"query": "{ users { late { author { name } } } }"}
        expected = client.post(server.url, json=query).text
        answers = []

        def ask():
            for _ in range(20):
                answers.append(client.post(server.url, json=query).text)

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(answers) == 160
    assert set(answers) == {expected}


ENDLESS = {
    "schema/schema.graphql": "type Query { endless: Int hello: String }",
    "app.lua": """
return {
  graphql = { timeout = 1 },
  loaders = { fresh = { cache = false, batch = function(ids) return ids end } },
}
""",
    "resolvers/all.lua": """
return { Query = {
  endless = function(_, _, ctx) for i = 1, math.huge do ctx.loaders.fresh:load(i) end end,
  hello = function() return "hello" end,
} }
""",
}


def test_endless_loads_leave_the_loop_to_others(start):
    server = start(ENDLESS)
    answers = []
    endless = threading.Thread(target=lambda: answers.append(server.graphql("{ endless }")))
    endless.start()
    with httpx.Client(timeout=30 * SLOWNESS) as client:
        served = 0
        while endless.is_alive():
            assert client.post(server.url, json={"query": "{ hello }"}).json() == {"data": {"hello": "hello"}}
            served += endless.is_alive()
    assert served >= 3  # with the loop held up it would be one, of before
    assert code_of(answers[0]) == "DEADLINE_EXCEEDED"


def versioned(version):
    """Every part of an answer says which version of the code it comes from."""
    return {
        "schema/schema.graphql": "type Query { parts: [Part!]! } type Part { version: String! parts: [Part!]! }",
        "app.lua": f"""
local time = require "perilune.time"
return {{ loaders = {{ parts = {{ max_batch = 7, batch = function(keys)
  time.sleep(0.003)
  local out = {{}}
  for i, key in ipairs(keys) do out[i] = {{ {{ key = key .. "a" }}, {{ key = key .. "b" }} }} end
  return out
end }}, versions = function(keys) local out = {{}} for i in ipairs(keys) do out[i] = "{version}" end return out end }} }}
""",
        "resolvers/all.lua": """
return {
  Query = { parts = function(_, _, ctx) return ctx.loaders.parts:load "" end },
  Part = {
    parts = function(part, _, ctx) return ctx.loaders.parts:load(part.key) end,
    version = function(part, _, ctx) return ctx.loaders.versions:load(part.key) end,
  },
}
""",
    }


def test_reloads_with_loads_in_flight(start, bundle):
    directory = bundle(versioned("v1"))
    server = start(directory, workers=2)
    query = {"query": "{ parts { version parts { version parts { version parts { version } } } } }"}
    stop, wrong, seen = threading.Event(), [], set()

    def ask():
        with httpx.Client(timeout=30 * SLOWNESS) as client:
            while not stop.is_set():
                response = client.post(server.url, json=query)
                one = response.text.replace("v2", "v1")
                if response.status_code != 200 or "errors" in one or ("v1" in response.text) == ("v2" in response.text):
                    wrong.append(response.text[:500])
                seen.add(response.text)

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    end = time.monotonic() + 2 * SLOWNESS
    version = 1
    while time.monotonic() < end:
        version = 3 - version
        write_bundle(directory, versioned(f"v{version}"))
        server.reload()
    stop.set()
    for thread in threads:
        thread.join()
    assert not wrong, wrong[0]
    assert len(seen) == 2
    wait_until(lambda: len(server.status()["generations"]) == 1, what="old generations are gone")
