# SPDX-License-Identifier: MIT
"""What scripts may do wrong: a resolver fails, the answer says so, and the worker goes on."""

import asyncio
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from harness import SLOWNESS, code_of, http1, wait_until

pytestmark = pytest.mark.core

SCHEMA = """
type Query {
  run(what: String!): String
  sleep(seconds: Float!, tag: String): String
  guarded(tag: String!): String
  hello: String
  int(what: String!): Int
  boolean(what: String!): Boolean
  list(what: String!): [Int]
  color(what: String!): Color
  pair(what: String!): Pair
  thing(what: String!): Thing
}
type Mutation { sleep(seconds: Float!): String }
enum Color { RED GREEN }
type Pair { a: Int b: Int }
type A { a: Int }
type B { b: Int }
union Thing = A | B
"""

RESOLVERS = """
local errors = require "perilune.errors"
local time = require "perilune.time"

local values = {
  string = "text", number = 1, float = 1.5, integral = 2.0, table = {}, yes = true, huge = 2^53, inf = math.huge, nan = 0/0,
  fn = print, list = { 1, 2, 3 }, holes = { 1, nil, 3 }, RED = "RED", BLUE = "BLUE", pair = { a = 1, b = "x" },
  A = { __typename = "A", a = 1 }, C = { __typename = "C" }, ["true"] = true, thread = coroutine.create(print),
}
local function value(_, args) return values[args.what] end

local run = {}
function run.string() error "secret text" end
function run.table() error { secret = "secret text" } end
function run.number() error(42) end
function run.nothing() error(nil) end
function run.method() local t = {}; t:nothing() end
function run.expected() error(errors.failed_precondition "not now") end
function run.wrapped() local ok, e = pcall(error, errors.not_found "gone"); error(e) end
function run.violations() error(errors.invalid_argument("bad", { field = "too long" })) end
function run.overflow() local function f() return 1 + f() end; return f() end
function run.cycle() local t = {}; t.t = t; return t end

local function spin() while true do end end
function run.spin() spin() end
function run.spin_in_pcall() while true do pcall(spin) end end
function run.spin_in_xpcall() xpcall(spin, function() spin() end); spin() end
function run.spin_in_coroutine() while true do pcall(coroutine.wrap(spin)) end end
function run.spin_in_metamethod() return setmetatable({}, { __index = function() spin() end }).x end
function run.spin_in_sort() table.sort({ 3, 2, 1 }, function() spin() end) end
function run.spin_in_gsub() return (("x"):gsub("x", spin)) end
function run.spin_in_close()
  local guard <close> = setmetatable({}, { __close = spin })
  error "left"
end
function run.spin_and_spin_in_close()
  local guard <close> = setmetatable({}, { __close = spin })
  spin()
end
function run.pattern() return tostring((("a"):rep(50000)):find((".-"):rep(20) .. "b")) end

local function eat() local t = {}; for i = 1, math.huge do t[i] = { i } end end
function run.eat() eat() end
function run.eat_in_pcall() while true do pcall(eat) end end
function run.eat_strings() local s = "x"; while true do s = s .. s end end
function run.rep() return ("x"):rep(1 << 40) end
function run.rep_in_pcall() while true do pcall(string.rep, "x", 1 << 33) end end
function run.concat() local t = {}; for i = 1, 1000 do t[i] = ("x"):rep(1 << 20) end; return table.concat(t) end

return {
  Query = {
    run = function(_, args) return run[args.what]() end,
    hello = function() return "world" end,
    int = value, boolean = value, list = value, color = value, pair = value, thing = value,
    sleep = function(_, args) time.sleep(args.seconds); return args.tag or "slept" end,
    guarded = function(_, args)
      local guard <close> = setmetatable({}, { __close = function() print("closed " .. args.tag) end })
      print("waiting " .. args.tag)
      time.sleep(60)
    end,
  },
  Mutation = { sleep = function(_, args) time.sleep(args.seconds); return "slept" end },
}
"""
BUNDLE = {"schema/schema.graphql": SCHEMA, "resolvers/all.lua": RESOLVERS}
RUN = "query ($what: String!) { run(what: $what) }"


@pytest.fixture(scope="module")
def server(start_shared):
    return start_shared(BUNDLE)


@pytest.fixture(autouse=True)
def still_well(server):
    yield
    assert server.data("{ hello }") == {"hello": "world"}


# -- results of a wrong type --
@pytest.mark.parametrize(
    ("field", "what", "selection"),
    [
        ("int", "string", ""),
        ("int", "float", ""),
        ("int", "huge", ""),
        ("int", "inf", ""),
        ("int", "nan", ""),
        ("int", "table", ""),
        ("int", "fn", ""),
        ("int", "thread", ""),
        ("boolean", "string", ""),
        ("list", "string", ""),
        ("list", "number", ""),
        ("color", "BLUE", ""),
        ("color", "number", ""),
        ("thing", "C", "{ __typename }"),
        ("thing", "table", "{ __typename }"),
        ("thing", "string", "{ __typename }"),
    ],
)
def test_wrong_type(server, field, what, selection):
    response = server.graphql(f'{{ hello {field}(what: "{what}") {selection} }}')
    assert response["data"] == {"hello": "world", field: None}
    assert len(response["errors"]) == 1
    assert response["errors"][0]["path"] == [field]


def test_right_types(server):
    query = """{ a: int(what: "integral") b: int(what: "nothing") c: boolean(what: "true") d: list(what: "list")
                 e: color(what: "RED") f: thing(what: "A") { ... on A { a } } }"""
    assert server.data(query) == {"a": 2, "b": None, "c": True, "d": [1, 2, 3], "e": "RED", "f": {"a": 1}}


def test_wrong_type_deep_inside(server):
    response = server.graphql('{ pair(what: "pair") { a b } }')
    assert response["data"] == {"pair": {"a": 1, "b": None}}
    assert response["errors"][0]["path"] == ["pair", "b"]


# -- errors --
@pytest.mark.parametrize("what", ["string", "table", "number", "nothing", "method"])
def test_unexpected_errors_are_internal_and_tell_nothing(server, what):
    before = len(server.log_text())
    response = server.graphql(RUN, {"what": what})
    assert response["data"] == {"run": None}
    assert code_of(response) == "INTERNAL"
    for secret in ("secret", "resolvers", "stack", "attempt", "42"):
        assert secret not in response["errors"][0]["message"]
    wait_until(lambda: "resolvers/all.lua" in server.log_text()[before:], what="the error in the log")


def test_endless_recursion(server):
    assert code_of(server.graphql(RUN, {"what": "overflow"})) in ("INTERNAL", "RESOURCE_EXHAUSTED")


def test_unexpected_error_is_in_the_log_with_its_line(server):
    line = next(i for i, text in enumerate(RESOLVERS.splitlines(), 1) if "function run.string" in text)
    server.graphql(RUN, {"what": "string"})
    server.wait_log(f"resolvers/all.lua:{line}", "secret text")


def test_expected_errors(server):
    response = server.graphql(RUN, {"what": "expected"})
    assert code_of(response) == "FAILED_PRECONDITION"
    assert response["errors"][0]["message"] == "not now"
    assert code_of(server.graphql(RUN, {"what": "wrapped"})) == "NOT_FOUND"


def test_violations(server):
    error = server.graphql(RUN, {"what": "violations"})["errors"][0]
    assert error["extensions"]["code"] == "INVALID_ARGUMENT"
    assert "field" in str(error["extensions"]["violations"]) and "too long" in str(error["extensions"]["violations"])


def test_cyclic_table_as_a_string(server):
    assert server.graphql(RUN, {"what": "cycle"})["data"] == {"run": None}


# -- endless work --
SPINS = ["spin", "spin_in_pcall", "spin_in_xpcall", "spin_in_coroutine", "spin_in_metamethod", "spin_in_sort", "spin_in_gsub"]
SPINS += ["spin_in_close", "spin_and_spin_in_close", "pattern", "spin"]


@pytest.mark.parametrize("what", SPINS)
def test_endless_loops_end(server, what):
    begin = time.monotonic()
    response = server.graphql(RUN, {"what": what})
    assert response["data"] == {"run": None}
    # The first error counts: spin_in_close has failed by itself before its handler is stopped.
    assert code_of(response) in (("INTERNAL",) if what == "spin_in_close" else ("DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED"))
    assert time.monotonic() - begin < 5 * SLOWNESS


@pytest.mark.parametrize("what", ["eat", "eat_in_pcall", "eat_strings", "rep", "rep_in_pcall", "concat"])
def test_memory_has_a_bound(server, what):
    begin = time.monotonic()
    response = server.graphql(RUN, {"what": what})
    assert response["data"] == {"run": None}
    assert code_of(response) in ("RESOURCE_EXHAUSTED", "DEADLINE_EXCEEDED", "INTERNAL")
    assert time.monotonic() - begin < 10 * SLOWNESS
    assert server.memory() < (400 << 20) * SLOWNESS


def test_the_others_of_an_operation_have_their_results(server):
    response = server.graphql('{ a: hello b: run(what: "spin") c: hello }')
    assert response["data"] == {"a": "world", "b": None, "c": "world"}


def test_memory_comes_back(server):
    for _ in range(5):
        server.graphql(RUN, {"what": "eat"})
    for _ in range(50):
        server.data("{ hello }")
    assert server.memory() < (400 << 20) * SLOWNESS


# -- waiting --
def test_sleep(server):
    begin = time.monotonic()
    assert server.data("{ sleep(seconds: 0.2) }") == {"sleep": "slept"}
    assert 0.2 <= time.monotonic() - begin < 2 * SLOWNESS


def test_fields_of_a_query_wait_together(server):
    fields = " ".join(f'f{i}: sleep(seconds: 0.2, tag: "{i}")' for i in range(20))
    begin = time.monotonic()
    assert server.data("{" + fields + "}") == {f"f{i}": str(i) for i in range(20)}
    assert time.monotonic() - begin < 4  # what it takes one after the other


def test_fields_of_a_mutation_wait_one_after_the_other(server):
    begin = time.monotonic()
    server.data("mutation { a: sleep(seconds: 0.2) b: sleep(seconds: 0.2) }")
    assert time.monotonic() - begin >= 0.4


def test_a_hundred_requests_wait_together(server):
    async def all_of_them():
        async with httpx.AsyncClient(http1=False, http2=True, timeout=30 * SLOWNESS) as client:
            query = {"query": "{ sleep(seconds: 0.2) }"}
            return [r.json() for r in await asyncio.gather(*(client.post(server.url, json=query) for _ in range(100)))]

    begin = time.monotonic()
    assert asyncio.run(all_of_them()) == [{"data": {"sleep": "slept"}}] * 100
    assert time.monotonic() - begin < 20  # what it takes one after the other


def test_others_are_served_while_some_wait(server):
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(httpx.post, server.url, json={"query": "{ sleep(seconds: 1.0) }"}, timeout=30 * SLOWNESS)
        for _ in range(10):
            server.data("{ hello }")
        assert not slow.done()
        assert slow.result().json() == {"data": {"sleep": "slept"}}


# -- clients that leave --
def guarded(tag):
    return {"query": "query ($tag: String!) { guarded(tag: $tag) }", "variables": {"tag": tag}}


@pytest.mark.parametrize("how", ["close", "reset"])
def test_work_ends_when_its_client_leaves(server, how):
    with server.connect() as connection:
        connection.sendall(http1(guarded(how)))
        server.wait_log(f"waiting {how}")
        if how == "reset":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    server.wait_log(f"closed {how}")


def test_work_ends_when_its_http2_stream_is_reset(server):
    async def leave():
        async with httpx.AsyncClient(http1=False, http2=True) as client:
            task = asyncio.create_task(client.post(server.url, json=guarded("stream"), timeout=30 * SLOWNESS))
            await asyncio.to_thread(server.wait_log, "waiting stream")
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    asyncio.run(leave())
    server.wait_log("closed stream")


def test_work_ends_when_the_server_does(start):
    server = start(BUNDLE)
    with server.connect() as connection:
        connection.sendall(http1(guarded("ending")))
        server.wait_log("waiting ending")
    server.wait_log("closed ending")
    server.stop()
