# SPDX-License-Identifier: MIT
"""Caching: what HTTP is told, responses that are found instead of executed again, and purges."""

import concurrent.futures
import json

import pytest

from harness import run_cli, wait_until, write_bundle

pytestmark = pytest.mark.core

APP = 'return { graphql = { cache = { size = "8MB", session = "header:authorization" } } }'
SCHEMA = """
type Query {
  user(id: ID!): User @cacheControl(maxAge: 600)
  users: [User!]! @cacheControl(maxAge: 600)
  short: Int @cacheControl(maxAge: 1)
  me: User @cacheControl(maxAge: 600, scope: PRIVATE)
  slow(seconds: Float!): Int @cacheControl(maxAge: 600)
  big(n: Int!): String @cacheControl(maxAge: 600)
  plain: Int
  fails: Int @cacheControl(maxAge: 600)
  hinted(age: Int, scope: String): Int
  later(age: Int!): Int
}
type Mutation {
  rename(id: ID!, name: String!): User
  purge(type: String!, id: ID): Int
  purgeAll: Int
}
type User { id: ID! name: String! calls: Int! }
"""
RESOLVERS = """
local cache = require "perilune.cache"
local shared = require "perilune.shared"
local time = require "perilune.time"
local data = shared.dict "data"

local function calls() return data:incr("calls", 1, { initial = 0 }) end
local function user(id) return { id = id, name = data:get("name" .. id) or "user " .. id, calls = calls() } end

return {
  Query = {
    user = function(_, args) return user(args.id) end,
    users = function() return { user "1", user "2" } end,
    short = calls,
    me = function(_, _, ctx) return user(ctx.headers.authorization or "nobody") end,
    slow = function(_, args) time.sleep(args.seconds) return calls() end,
    big = function(_, args) return ("x"):rep(args.n) end,
    plain = calls,
    fails = function() calls() error "no" end,
    hinted = function(_, args, ctx)
      ctx.cache:hint{ max_age = args.age, scope = args.scope }
      return calls()
    end,
    later = function(_, args, ctx)
      time.sleep(0.01)
      ctx.cache:hint{ max_age = args.age }
      return calls()
    end,
  },
  Mutation = {
    rename = function(_, args)
      data:set("name" .. args.id, args.name)
      cache.purge{ type = "User", id = args.id }
      return user(args.id)
    end,
    purge = function(_, args) return cache.purge{ type = args.type, id = args.id } end,
    purgeAll = function(_, _, ctx) return ctx.cache:purge_all() end,
  },
}
"""
BUNDLE = {"app.lua": APP, "schema/schema.graphql": SCHEMA, "resolvers/query.lua": RESOLVERS}
COUNTS = ("entries", "hits", "misses", "joined", "stored", "purged", "evicted", "expired")


@pytest.fixture
def server(start):
    return start(BUNDLE)


def get(server, query, headers=None, **params):
    headers = {"x-requested-with": "test"} | (headers or {})
    return server.get("/graphql", params={"query": query} | params, headers=headers)


def cached(server):
    return server.status()["response_cache"]


def calls_of(response):
    """The only number in it."""
    value = response.json()["data"]
    while isinstance(value, dict):
        value = value["calls"] if "calls" in value else next(iter(value.values()))
    return value


# -- what HTTP is told --
@pytest.mark.parametrize(
    ("query", "control"),
    [
        ("{ users { id } }", "max-age=600, public"),
        ("{ users { id } short }", "max-age=1, public"),
        ("{ users { id } plain }", "no-store"),
        ("{ me { id } }", "max-age=600, private"),
        ("{ fails }", "no-store"),
        ("{ nonsense }", "no-store"),
        ("mutation { purgeAll }", "no-store"),
        ("{ hinted(age: 5) }", "max-age=5, public"),
        ('{ hinted(age: 5, scope: "PRIVATE") }', "max-age=5, private"),
        ('{ hinted(scope: "PRIVATE") }', "no-store"),
        ("{ later(age: 7) }", "max-age=7, public"),
        ("{ a: later(age: 7) b: later(age: 6) }", "max-age=6, public"),
    ],
)
def test_cache_control(server, query, control):
    response = server.post({"query": query})
    assert response.headers["cache-control"] == control
    assert ("vary" in response.headers) == (control != "no-store")


def test_wrong_hints(server):
    for arguments in ("age: -1", 'scope: "MINE"'):
        assert "errors" in server.graphql(f"{{ hinted({arguments}) }}")


def test_etag(server):
    first = get(server, "{ users { id } }")
    etag = first.headers["etag"]
    assert first.status_code == 200 and etag.startswith('"')
    again = get(server, "{ users { id } }", {"if-none-match": etag})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == etag
    assert again.headers["cache-control"] == "max-age=600, public"
    assert "accept" in again.headers["vary"]
    assert get(server, "{ users { id name } }", {"if-none-match": etag}).status_code == 200
    # Another body of the same response has another tag.
    pretty = server.get("/graphql", params={"query": "{ users { id } }", "pretty": ""}, headers={"x-requested-with": "test"})
    other = get(server, "{ users { id } }", {"accept": "application/graphql-response+json"})
    assert len({etag, pretty.headers["etag"], other.headers["etag"]}) == 3
    # What must not be kept has none, and neither has an answer to a POST.
    assert "etag" not in get(server, "{ plain }").headers
    assert "etag" not in server.post({"query": "{ users { id } }"}).headers


def test_etag_of_a_compressed_body(server):
    query = "{ big(n: 5000) }"
    plain = get(server, query, {"accept-encoding": "identity"})
    zipped = get(server, query, {"accept-encoding": "gzip"})
    assert zipped.headers["content-encoding"] == "gzip"
    assert zipped.headers["etag"] == plain.headers["etag"][:-1] + '-gzip"'
    assert "accept-encoding" in plain.headers["vary"] and "accept-encoding" in zipped.headers["vary"]
    for response in (plain, zipped):
        assert get(server, query, {"if-none-match": response.headers["etag"]}).status_code == 304


def test_scripts_may_say_it_themselves(start):
    resolver = """return { Query = { a = function(_, _, ctx)
      ctx.response_headers["Cache-Control"] = "max-age=3, immutable"; return 1 end } }"""
    server = start({"schema/s.graphql": "type Query { a: Int }", "resolvers/r.lua": resolver})
    assert server.post({"query": "{ a }"}).headers.get_list("cache-control") == ["max-age=3, immutable"]


# -- hits and misses --
def test_hits(server):
    first, second = (server.post({"query": "{ user(id: 1) { calls } }"}) for _ in range(2))
    assert calls_of(first) == calls_of(second) == 1
    assert "age" not in first.headers
    assert second.headers["age"] == "0"
    assert second.headers["cache-control"] == "max-age=600, public"
    assert calls_of(server.post({"query": "{ user(id: 2) { calls } }"})) == 2
    assert calls_of(get(server, "{ user(id: 1) { calls } }")) == 1  # whatever way it comes
    for _ in range(2):
        server.post({"query": "{ plain }"})
        server.post({"query": "{ fails }"})
    counts = cached(server)
    assert {name: counts[name] for name in ("entries", "hits", "stored")} == {"entries": 2, "hits": 2, "stored": 2}
    assert 0 < counts["bytes"] < counts["max_bytes"] == 8 << 20


def test_variables(server):
    query = "query ($id: ID!) { user(id: $id) { calls } }"
    assert [server.data(query, {"id": n})["user"]["calls"] for n in ("1", "2", "1", "2", "3")] == [1, 2, 1, 2, 3]


def test_sessions(server):
    def me(session):
        return calls_of(server.post({"query": "{ me { calls } }"}, {"authorization": session} if session else None))

    assert [me(s) for s in ("ann", "ann", "bob", "ann", "bob")] == [1, 1, 2, 1, 2]
    assert [me(None), me(None)] == [3, 4]  # private, and nobody's
    # What is public is one for all that have a session, and another for those that have none.
    query = {"query": "{ users { id } short: user(id: 1) { calls } }"}
    values = [
        server.post(query, {"authorization": s} if s else None).json()["data"]["short"]["calls"] for s in ("ann", "bob", None)
    ]
    assert values[0] == values[1] != values[2]
    assert "authorization" in server.post(query).headers["vary"]


def test_session_function_after_interceptors(start):
    app = """return {
      interceptors = { function(ctx, next)
        ctx.user = ctx.headers["x-user"]
        if ctx.headers["x-refuse"] then error(require("perilune.errors").unauthenticated "who are you?") end
        return next(ctx)
      end },
      graphql = { cache = { session = function(ctx) return ctx.user end } },
    }"""
    server = start(BUNDLE | {"app.lua": app})

    def me(**headers):
        return server.post({"query": "{ me { calls } }"}, {k.replace("_", "-"): v for k, v in headers.items()})

    assert [calls_of(me(x_user=u)) for u in ("ann", "ann", "bob")] == [1, 1, 2]
    # An interceptor that refuses comes before what is cached.
    refused = me(x_user="ann", x_refuse="yes")
    assert refused.status_code == 401
    assert refused.headers["cache-control"] == "no-store"


def test_protected_fields_are_private(start):
    app = """return {
      interceptors = { function(ctx, next)
        local role = ctx.headers["x-role"]
        if role then ctx.user = { role = role } end
        return next(ctx)
      end },
      graphql = { cache = { session = "header:x-role" } },
    }"""
    schema = "directive @auth(requires: String) on FIELD_DEFINITION\n" + SCHEMA.replace(
        "users: [User!]! @", 'users: [User!]! @auth(requires: "ADMIN") @'
    )
    server = start(BUNDLE | {"app.lua": app, "schema/schema.graphql": schema})

    def users(role=None):
        return server.post({"query": "{ users { id } }"}, {"x-role": role} if role else None)

    assert users("ADMIN").headers["cache-control"] == "max-age=600, private"
    assert "age" in users("ADMIN").headers
    for role in (None, "READER"):
        refused = users(role)
        assert "errors" in refused.json()
        assert refused.headers["cache-control"] == "no-store"


def test_batches(start):
    server = start(BUNDLE | {"app.lua": APP.replace("graphql =", "http = { batching = true }, graphql =")})
    for _ in range(2):
        response = server.post([{"query": "{ user(id: 1) { calls } }"}, {"query": "{ user(id: 2) { calls } }"}])
        assert [entry["data"]["user"]["calls"] for entry in response.json()] == [1, 2]
        assert response.headers["cache-control"] == "no-store"  # one header cannot speak for all


def test_expiry(server):
    first = server.data("{ short }")
    assert server.data("{ short }") == first
    wait_until(lambda: server.data("{ short }") != first, 5, "the response to expire")
    assert cached(server)["expired"] >= 1


def test_memory_is_bounded(start):
    server = start(BUNDLE | {"app.lua": 'return { graphql = { cache = { size = "1MB" } } }'})
    for n in range(60):
        server.data(f"{{ big(n: {60000 + n}) }}")
    counts = cached(server)
    assert counts["bytes"] <= counts["max_bytes"] == 1 << 20
    assert counts["evicted"] > 30
    assert counts["stored"] == 60
    server.data("{ big(n: 500000) }")  # too large to be kept
    assert cached(server)["refused"] == 1
    assert server.post({"query": "{ big(n: 60059) }"}).headers["age"]


def test_off_and_on(start):
    server = start(BUNDLE | {"app.lua": "return { graphql = { cache = { size = 0, default_max_age = 30 } } }"})
    response = server.post({"query": "{ plain }"})
    assert response.headers["cache-control"] == "max-age=30, public"
    assert calls_of(server.post({"query": "{ plain }"})) == 2
    assert cached(server)["max_bytes"] == 0


def test_settings_are_checked(bundle):

    for setting in ('size = "big"', "default_max_age = -1", 'session = "cookie"', "sizes = 1"):
        result = run_cli("check", bundle(BUNDLE | {"app.lua": f"return {{ graphql = {{ cache = {{ {setting} }} }} }}"}))
        assert result.returncode == 1
        assert f"graphql.cache.{setting.split(' ')[0]}" in result.stdout


# -- several at once --
def test_one_executes_for_all(start):
    server = start(BUNDLE)
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: server.data("{ slow(seconds: 0.5) }"), range(20)))
    assert answers == [{"slow": 1}] * 20
    assert cached(server)["joined"] + cached(server)["hits"] == 19


def test_the_first_one_leaves(server):
    connection = server.connect()
    body = json.dumps({"query": "{ slow(seconds: 1) }"}).encode()
    head = f"POST /graphql HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    connection.sendall(head.encode() + body)
    wait_until(lambda: cached(server)["misses"] == 1)
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        answers = [pool.submit(server.data, "{ slow(seconds: 1) }") for _ in range(3)]
        wait_until(lambda: cached(server)["joined"] == 3)
        connection.close()
        assert [answer.result() for answer in answers] == [{"slow": 1}] * 3


# -- purges --
def test_purges(start):
    server = start(BUNDLE, workers=2)
    reads = {
        "one": "{ user(id: 1) { id name } }",
        "two": "{ user(id: 2) { id name } }",
        "unnamed": "{ user(id: 2) { name } }",
        "all": "{ users { id name } }",
        "none": "{ big(n: 1) }",
    }

    def left(mutation):
        """What is still there after a mutation; then everything is there again."""
        server.data("mutation { purgeAll }")
        for query in reads.values():
            server.data(query)
        server.data(mutation)
        return {name for name, query in reads.items() if "age" in server.post({"query": query}).headers}

    assert left('mutation { purge(type: "User", id: 1) }') == {"two", "none"}
    assert left('mutation { purge(type: "User", id: 2) }') == {"one", "none"}
    assert left('mutation { purge(type: "User") }') == {"none"}
    assert left('mutation { purge(type: "Query") }') == set()
    assert left("mutation { purgeAll }") == set()
    response = server.graphql('mutation { purge(type: "Usr") }')
    assert 'no object, interface or union type "Usr"' in response["errors"][0]["message"]


def test_nothing_stale_after_a_purge(start):
    """Readers on all workers, beside a writer that purges: what a reader asks for after the mutation's answer is new."""
    server = start(BUNDLE, workers=2)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for n in range(20):
            for _ in range(2):
                pool.submit(server.data, "{ user(id: 1) { id name } }")
            server.data(f'mutation {{ rename(id: 1, name: "n{n}") {{ id }} }}')
            names = list(pool.map(lambda _: server.data("{ user(id: 1) { id name } }")["user"]["name"], range(8)))
            assert names == [f"n{n}"] * 8
    assert cached(server)["hits"] > 0


def test_purge_during_an_execution(server):
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        slow = pool.submit(server.data, "{ slow(seconds: 0.5) user(id: 1) { id } }")
        wait_until(lambda: cached(server)["misses"] == 1)
        server.data('mutation { purge(type: "User") }')
        slow.result()
    assert cached(server)["stored"] == 0
    assert cached(server)["refused"] == 1


# -- reload --
def test_reload(start):
    server = start(BUNDLE)
    assert server.data("{ users { name } }") == server.data("{ users { name } }")
    write_bundle(server.bundle, {"resolvers/query.lua": RESOLVERS.replace('"user "', '"person "')})
    server.reload()
    assert cached(server)["entries"] == 0
    assert server.data("{ users { name } }")["users"][0]["name"] == "person 1"
    server.rollback()
    assert server.data("{ users { name } }")["users"][0]["name"] == "user 1"
    # Another size, and off.
    write_bundle(server.bundle, {"app.lua": 'return { graphql = { cache = { size = "2MB" } } }'})
    server.reload()
    assert cached(server)["max_bytes"] == 2 << 20
    write_bundle(server.bundle, {"app.lua": "return {}"})
    server.reload()
    assert cached(server)["max_bytes"] == 0
    response = server.post({"query": "{ users { name } }"})
    assert response.headers["cache-control"] == "max-age=600, public"  # what the schema says still holds


def test_an_older_generation_keeps_nothing(start):
    server = start(BUNDLE)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        slow = pool.submit(server.data, "{ slow(seconds: 1) }")
        wait_until(lambda: cached(server)["misses"] == 1)
        server.reload()
        assert slow.result() == {"slow": 1}
    assert cached(server)["stored"] == 0
    assert server.data("{ slow(seconds: 0.01) }") == {"slow": 2}


# -- in tests of bundles --
def test_perilune_test(bundle):

    tests = """
      local t = require "perilune.test"
      local cache = require "perilune.cache"
      t.test("hints and purges do no harm", function()
        t.equal(t.graphql("{ hinted(age: 3) }").errors, nil)
        t.equal(cache.purge{ type = "User", id = 1 }, 0)
        t.equal(cache.purge_all(), 0)
        t.equal(pcall(cache.purge, { type = "Usr" }), false)
        t.equal(pcall(cache.purge, { kind = "User" }), false)
        t.equal(pcall(cache.purge, {}), false)
        cache.hint{ max_age = 3 }
      end)"""
    result = run_cli("test", bundle(BUNDLE | {"tests/cache_test.lua": tests}))
    assert result.returncode == 0, result.stdout + result.stderr
