# SPDX-License-Identifier: MIT
"""Limits on operations, their cost, and clients' budgets: what settings do, and what a client is told."""

import json
import time

import httpx
import pytest

from harness import SLOWNESS, code_of, run_cli
from streams import WebSocket

pytestmark = pytest.mark.core

SCHEMA = """
    type Query {
      hello: String
      old: String @deprecated(reason: "Say hello.")
      self: Query
      sum(of: [Int!]!): Int
      ids(of: [ID!]): Int
      users(first: Int, last: Int): [User!] @listSize(slicingArguments: ["first", "last"])
      day(of: Date): String
    }
    type Mutation { set(n: Int): Int }
    type User @cost(weight: "2") { id: ID friends: [User!] }
    scalar Date
"""
RESOLVERS = """
    return {
      Query = {
        hello = function() return "world" end,
        self = function() return {} end,
        sum = function(_, args) local n = 0 for _, v in ipairs(args.of) do n = n + v end return n end,
        users = function(_, args) return {} end,
        day = function(_, args) return args.of end,
      },
      Mutation = { set = function(_, args) return args.n end },
    }
"""


def bundle_with(settings, more=""):
    return {
        "app.lua": f"return {{ graphql = {{ {settings} }}, {more} }}",
        "schema/schema.graphql": SCHEMA,
        "resolvers/all.lua": RESOLVERS,
    }


def refusal(server, query, variables=None, **options):
    """The one error of a request that is refused."""
    response = server.post({"query": query, "variables": variables}, **options)
    body = response.json()
    assert "data" not in body, body
    (error,) = body["errors"]
    return error


def nested(levels, leaf="hello"):
    return "{" + "self{" * (levels - 1) + leaf + "}" * levels


# -- limits --
@pytest.fixture(scope="module")
def narrow(start_shared):
    return start_shared(
        bundle_with(
            "max_depth = 3, max_aliases = 2, max_root_fields = 3, max_directives = 2, max_list_items = 4, "
            "refuse_deprecated = true"
        )
    )


@pytest.mark.parametrize(
    ("query", "limit", "value", "maximum"),
    [
        (nested(4), "max_depth", 4, 3),
        ("{ ...F } fragment F on Query { self { self { self { hello } } } }", "max_depth", 4, 3),
        ("{ a: hello b: hello c: hello }", "max_aliases", 3, 2),
        ("{ hello self { hello } sum(of: []) users { id } }", "max_root_fields", 4, 3),
        ("query($w: Boolean = true) { hello @skip(if: $w) self @skip(if: $w) { hello @skip(if: $w) } }", "max_directives", 3, 2),
        ("{ sum(of: [1, 2, 3, 4, 5]) }", "max_list_items", 5, 4),
    ],
)
def test_limit(narrow, query, limit, value, maximum):
    error = refusal(narrow, query)
    assert error["extensions"] == {"code": "RESOURCE_EXHAUSTED", "limit": limit, "value": value, "maximum": maximum}
    assert f"graphql.{limit} allows {maximum}" in error["message"]
    assert str(value) in error["message"]
    assert error["locations"][0]["line"] == 1
    accept = {"accept": "application/graphql-response+json"}
    assert narrow.post({"query": query}, headers=accept).status_code == 400


def test_what_is_within_the_limits_runs(narrow):
    assert narrow.data(nested(3)) == {"self": {"self": {"hello": "world"}}}
    assert narrow.data("{ a: hello b: hello sum(of: [1, 2, 3, 4]) }") == {"a": "world", "b": "world", "sum": 10}
    assert narrow.data("{ __schema { queryType { fields { type { ofType { ofType { name } } } } } } }")["__schema"]


def test_lists_in_variables(narrow):
    error = refusal(narrow, "query($of: [Int!]!) { sum(of: $of) }", {"of": [1, 2, 3, 4, 5]})
    assert error["extensions"]["code"] == "INVALID_ARGUMENT"
    assert "The list has 5 items; graphql.max_list_items allows 4." in error["message"]
    assert narrow.data("query($of: [Int!]!) { sum(of: $of) }", {"of": [1, 2, 3, 4]}) == {"sum": 10}


def test_deprecated(narrow):
    assert refusal(narrow, "{ old }")["message"] == "The field Query.old is deprecated. Say hello."


def test_settings_of_a_wrong_kind(bundle):
    directory = bundle(bundle_with('max_depth = 0, max_cost = "much", rate_limit = { capacity = 5, refill = 1, by = "moon" }'))
    result = run_cli("check", directory)
    assert result.returncode == 1
    text = result.stdout + result.stderr
    assert "graphql.max_depth must be a whole number from 1" in text
    assert "graphql.max_cost must be a whole number from 1" in text
    assert 'graphql.rate_limit.by must be "peer", "user" or "header:NAME"' in text


def test_wrong_weights_are_told_with_their_place(bundle):
    files = bundle_with("") | {"schema/more.graphql": 'extend type Query {\n  more: Int @cost(weight: "heavy")\n}\n'}
    result = run_cli("check", bundle(files))
    assert result.returncode == 1
    assert "schema/more.graphql:2:27" in result.stdout + result.stderr
    assert "The weight of @cost must be a number" in result.stdout + result.stderr


def test_literals_of_ready_made_scalars_are_checked_before_anything_runs(narrow):
    error = refusal(narrow, '{ day(of: "yesterday") }')
    assert error["message"].startswith('Expected value of type "Date", found "yesterday"; ')
    assert error["locations"] == [{"line": 1, "column": 11}]
    assert narrow.data('{ day(of: "2025-09-01") }') == {"day": "2025-09-01"}


# -- cost --
@pytest.fixture(scope="module")
def costly(start_shared):
    return start_shared(bundle_with("max_cost = 1000, default_list_size = 5"))


REPORT = {"graphql-cost": "report"}


def cost(server, query, variables=None, mode="report"):
    body = server.post({"query": query, "variables": variables}, headers={"graphql-cost": mode}).json()
    assert "errors" not in body, body
    return body["extensions"]["cost"]["requestedQueryCost"]


def test_cost_is_reported_on_request(costly):
    assert costly.post({"query": "{ hello }"}).json() == {"data": {"hello": "world"}}
    assert costly.post({"query": "{ hello }"}, headers=REPORT).json() == {
        "data": {"hello": "world"},
        "extensions": {"cost": {"requestedQueryCost": 0, "maximumQueryCost": 1000}},
    }
    assert cost(costly, "{ users(first: 4) { id friends { id } } }") == 4 * (2 + 5 * 2)
    assert cost(costly, "mutation { set(n: 1) }") == 10
    assert cost(costly, "query($n: Int) { users(first: $n) { id } }", {"n": 7}) == 14


def test_cost_without_execution(costly):
    body = costly.post({"query": "mutation { set(n: 1) }"}, headers={"graphql-cost": "validate"}).json()
    assert body == {"extensions": {"cost": {"requestedQueryCost": 10, "maximumQueryCost": 1000}}}


def test_max_cost(costly):
    query = "query($n: Int) { users(first: $n) { id } }"
    assert costly.data(query, {"n": 500}) == {"users": []}
    error = refusal(costly, query, {"n": 501})
    assert error["message"] == "The operation costs 1002; graphql.max_cost allows 1000."
    assert error["extensions"] == {"code": "RESOURCE_EXHAUSTED", "limit": "max_cost", "value": 1002, "maximum": 1000}


def test_one_slicing_argument(costly):
    error = refusal(costly, "{ users { id } }")
    assert error["message"] == 'Field "users" needs a number for exactly one of its arguments "first", "last", but has 0.'
    assert error["locations"] == [{"line": 1, "column": 3}]
    assert refusal(costly, "{ users(first: 1, last: 1) { id } }")["extensions"]["code"] == "INVALID_ARGUMENT"


def test_slicing_is_not_asked_for_where_nothing_is_limited(narrow):
    assert narrow.data("{ users { id } }") == {"users": []}


# -- rate limits --
def test_rate_limit_by_address(start):
    server = start(bundle_with("rate_limit = { capacity = 100, refill = 0.5 }"), workers=2)
    query = "{ users(first: 20) { id } }"
    statuses = []
    for _ in range(4):
        with httpx.Client(timeout=30) as client:  # a connection each, so that both workers are met
            statuses.append(client.post(server.url, json={"query": query}))
    assert [response.status_code for response in statuses] == [200, 200, 429, 429]
    (error,) = statuses[3].json()["errors"]
    assert "data" not in statuses[3].json()
    assert error["extensions"]["code"] == "RESOURCE_EXHAUSTED"
    assert error["extensions"]["limit"] == "rate_limit"
    assert 36 < error["extensions"]["retryAfter"] <= 40
    assert 36 < int(statuses[3].headers["retry-after"]) <= 40
    assert "Try again in" in error["message"]
    # what costs nothing is free, and what is left is told
    free = server.post({"query": "{ hello }"}, headers=REPORT).json()
    status = free["extensions"]["cost"]["throttleStatus"]
    assert status["maximumAvailable"] == 100
    assert 20 <= status["currentlyAvailable"] <= 22
    assert status["restoreRate"] == 0.5


def test_rate_limit_refills(start):
    server = start(bundle_with("rate_limit = { capacity = 4, refill = 20 }"))
    query = {"query": "{ users(first: 2) { id } }"}
    assert server.post(query).status_code == 200
    refused = server.post(query)
    if refused.status_code == 429:  # a slow machine may have waited long enough
        time.sleep(refused.json()["errors"][0]["extensions"]["retryAfter"])
        assert server.post(query).status_code == 200


def test_rate_limit_by_header_and_across_a_reload(start):
    settings = 'rate_limit = { capacity = 10, refill = 0.001, by = "header:X-API-Key" }'
    server = start(bundle_with(settings))

    def status(key):
        return server.post({"query": "{ users(first: 5) { id } }"}, headers={"x-api-key": key} if key else {}).status_code

    assert [status("a"), status("a"), status("b"), status(None), status(None)] == [200, 429, 200, 200, 429]
    server.reload()
    assert [status("a"), status("b"), status("c")] == [429, 429, 200]


def test_rate_limit_by_user(start):
    settings = 'rate_limit = { capacity = 10, refill = 0.001, by = "user" }'
    interceptor = """interceptors = { function(ctx, next)
        local name = ctx.headers["x-user"]
        if name then ctx.user = { id = name } end
        return next(ctx)
    end }"""
    server = start(bundle_with(settings, interceptor))

    def status(user):
        headers = {"x-user": user} if user else {}
        return server.post({"query": "{ users(first: 5) { id } }"}, headers=headers).status_code

    assert [status("ann"), status("ann"), status("bob"), status(None), status(None)] == [200, 429, 200, 200, 429]


def test_a_subscription_is_paid_for_once(start):
    files = bundle_with("rate_limit = { capacity = 5, refill = 0.001 }")
    files["schema/schema.graphql"] += 'type Subscription { tick: Int @cost(weight: "3") }'
    files["resolvers/tick.lua"] = """
        return {
          Mutation = { set = function(_, args, ctx) ctx.pubsub:publish("ticks", args.n) return args.n end },
          Subscription = {
            tick = {
              subscribe = function(_, _, ctx) return ctx.pubsub:subscribe("ticks") end,
              resolve = function(n) return n end,
            },
          },
        }
    """
    files["resolvers/all.lua"] = RESOLVERS.replace("Mutation = { set = function(_, args) return args.n end },", "")
    server = start(files)
    with WebSocket(server) as socket:
        socket.subscribe("subscription { tick }", id="1")
        socket.subscribe("subscription { tick }", id="2")
        message = socket.receive()
        assert (message["type"], message["id"]) == ("error", "2")
        assert message["payload"][0]["extensions"]["limit"] == "rate_limit"
        for _ in range(3):
            server.reload()  # it goes over to the newer generation, without paying again
        socket.subscribe("{ hello }", id="3")
        assert {socket.receive()["type"] for _ in range(2)} == {"next", "complete"}


def test_more_than_a_budget_holds(start):
    server = start(bundle_with("rate_limit = { capacity = 10, refill = 5 }"))
    response = server.post({"query": "{ users(first: 6) { id } }"})
    assert response.status_code == 429
    assert "retry-after" not in response.headers
    assert response.json()["errors"][0]["message"] == (
        "The operation costs 12, more than graphql.rate_limit.capacity, which is 10."
    )


# -- errors --
def test_number_of_errors_and_masked_errors(start):
    files = bundle_with("max_errors = 2")
    files["resolvers/all.lua"] = files["resolvers/all.lua"].replace('return "world"', 'error "secret: password123"')
    server = start(files)
    assert len(server.graphql("{ a b c d }")["errors"]) == 2
    response = server.graphql("{ hello }")
    assert "password123" not in json.dumps(response)
    assert code_of(response) == "INTERNAL"
    number = response["errors"][0]["extensions"]["id"]
    assert "password123" in server.wait_log(number)


# -- attacks: each ends with a clear refusal (or an answer), in time, and the server is as well as before --
def fragments(count, each, last):
    parts = "".join(f"fragment F{i} on Query {{ {each.format(i + 1)} }}" for i in range(count))
    return parts + f"fragment F{count} on Query {{ {last} }}"


MANY = 20_000
ATTACKS = {
    "repeated fields": ("{ self {" + " hello" * MANY + "} }", None, None),
    "repeated fields beyond the limit": ("{" + " hello" * MANY + "}", "max_root_fields", None),
    "aliases": ("{" + "".join(f" a{i}: hello" for i in range(MANY)) + "}", "max_aliases", None),
    "unknown fields": ("{ self {" + "".join(f" helo{i}" for i in range(MANY)) + "} }", "Cannot query field", None),
    "conflicting arguments": (
        "{ self {" + "".join(f" ids(of: [{i}])" for i in range(10_000)) + "} }",
        "conflict",
        None,
    ),
    "depth": (nested(180), "max_depth", None),
    "nesting": (nested(5_000), "too deep|nest|levels", None),
    "fragments that double": ("{ ...F0 }" + fragments(1_000, "...F{0} self {{ ...F{0} }}", "hello"), "max_depth", None),
    "fragments that double, flat": ("{ ...F0 }" + fragments(1_000, "...F{0} ...F{0}", "hello"), "max_root_fields", None),
    "overlapping fragments": (
        "{ self { ...F0 } self { ...F1 } }" + fragments(600, "self {{ ...F{0} }} self {{ ...F{0} }}", "hello"),
        "max_depth",
        None,
    ),
    "fragment cycle": ("{ ...F0 } fragment F0 on Query { ...F0 }", "Cannot spread fragment", None),
    "long fragment cycle": (
        "{ ...F0 }" + fragments(3_000, "...F{0}", "...F0"),
        "Cannot spread fragment|levels|selections|visits",
        None,
    ),
    "fragment chain": ("{ ...F0 }" + fragments(5_000, "...F{0}", "hello"), "levels", None),
    "introspection": (
        "{ __schema { types {" + " fields { type {" * 8 + " name " + "} }" * 8 + " } } }",
        "Maximum introspection depth exceeded",
        None,
    ),
    "directives": ("{ hello" + " @skip(if: false)" * 10_000 + " }", "max_directives", None),
    "unknown directives": ("{ hello" + "".join(f" @d{i}" for i in range(900)) + " }", "Unknown directive", None),
    "tokens": ("{ hello " + "," * 200_000 + " hello" * 100_001 + "}", "Document contains more than 100000 tokens", None),
    "variables": (
        "query(" + " ".join(f"$v{i}: Int" for i in range(MANY)) + ") { hello }",
        "is never used",
        {f"v{i}": i for i in range(MANY)},
    ),
    "values for unknown variables": ("{ hello }", None, {f"v{i}": i for i in range(50_000)}),
    "list in a literal": ("{ sum(of: [" + "1 " * 40_000 + "]) }", "max_list_items", None),
    "list in a variable": ("query($of: [Int!]!) { sum(of: $of) }", "max_list_items", {"of": [1] * 200_000}),
    "nested lists in a literal": ("{ sum(of: " + "[" * 150 + "]" * 150 + ") }", "Int cannot represent", None),
    "objects in a literal": ("{ sum(of: " + "{a:" * 150 + "1" + "}" * 150 + ") }", "Int cannot represent|null", None),
    "operations": ("".join(f"query Q{i} {{ hello }}" for i in range(10_000)), "Must provide operation name", None),
    "operations of one name": ("query Q { hello }" * 10_000, "There can be only one operation", None),
    "operations and fragments": (
        "".join(f"query Q{i} {{ ...F0 }}" for i in range(2_000)) + fragments(2_000, "...F{0}", "hello"),
        "visits|operation name",
        None,
    ),
}


@pytest.fixture(scope="module")
def attacked(start_shared):
    return start_shared(bundle_with(""))


@pytest.mark.parametrize("name", ATTACKS)
def test_attack(attacked, name):
    query, expected, variables = ATTACKS[name]
    payload = json.dumps({"query": query, "operationName": None, "variables": variables}).encode()
    begin = time.monotonic()
    response = attacked.post(payload)
    took = time.monotonic() - begin
    body = response.json()
    if expected is None:
        assert "errors" not in body
    else:
        text = json.dumps(body)
        assert not body.get("data"), text[:1000]
        assert len(body["errors"]) <= 5
        assert any(word in text for word in expected.split("|")), text[:1000]
    assert took < 5 * SLOWNESS, f"{took * 1000:.0f} ms"  # the steps are counted in the unit test
    assert attacked.data("{ hello }") == {"hello": "world"}
