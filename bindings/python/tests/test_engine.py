# SPDX-License-Identifier: MIT
"""Python as an engine: functions of the program, called from a bundle."""

import asyncio
import dataclasses
import datetime
import decimal
import enum
import json
import logging
import socket
import sys
import threading
import time
import urllib.request
import uuid

import pytest

import perilune

SCHEMA = """
    scalar Any
    type Query { a: String  b: Any  c(x: Any): Any  user(id: ID!): User  users: [User!]  slow(n: Int): Int  lua(n: Int): Int }
    type User { id: ID!  name: String  friends(first: Int): [User!] }
"""
LUA = "return { Query = { lua = function(_, args) return args.n end } }"
pytestmark = [pytest.mark.core, pytest.mark.tsan]


@pytest.fixture
def bundle(app):
    def make(**options):
        return app(files={"schema/a.graphql": SCHEMA, "resolvers/a.lua": LUA}, log_level="none", **options)

    return make


def test_resolvers_get_parent_and_arguments(bundle):
    app = bundle()
    seen = []

    @app.resolver("Query", "user")
    def user(parent, args):
        seen.append((parent, args))
        return {"id": args["id"], "name": "Ada"}

    @app.resolver("User", "friends")
    def friends(parent, args, ctx):
        return [{"id": f"{parent['id']}.{n}"} for n in range(args["first"])]

    query = 'query Q { user(id: "1") { id name friends(first: 2) { id friends(first: 1) { id } } } lua(n: 3) }'
    assert app.graphql(query) == {
        "data": {
            "user": {
                "id": "1",
                "name": "Ada",
                "friends": [{"id": "1.0", "friends": [{"id": "1.0.0"}]}, {"id": "1.1", "friends": [{"id": "1.1.0"}]}],
            },
            "lua": 3,
        }
    }
    assert seen == [(None, {"id": "1"})] or seen == [({}, {"id": "1"})]


def test_the_context(bundle):
    app = bundle()
    seen = []

    @app.resolver("Query", "a")
    def a(parent, args, ctx, info):
        seen.append((ctx, info))
        return ctx.protocol

    assert app.graphql("query Named { a }")["data"] == {"a": "graphql"}
    ctx, info = seen[0]
    assert ctx.operation_name == "Named" and ctx.operation_kind == "query" and ctx.request_id and ctx.headers == {}
    assert ctx.get("user") is None and "user" not in ctx
    with pytest.raises(AttributeError, match="interceptors"):
        print(ctx.user)
    assert info["field_name"] == "a"


def test_async_functions_run_side_by_side(bundle):
    app = bundle()
    running = most = 0

    @app.resolver("Query", "slow")
    async def slow(parent, args):
        nonlocal running, most
        running += 1
        most = max(most, running)
        while most < 3:
            await asyncio.sleep(0.001)
        running -= 1
        return args["n"]

    assert app.graphql("{ x: slow(n: 1) y: slow(n: 2) z: slow(n: 3) }")["data"] == {"x": 1, "y": 2, "z": 3}
    assert most == 3


def test_async_functions_on_the_programs_own_loop(bundle):
    async def main():
        app = bundle(loop=asyncio.get_running_loop())
        here = threading.get_ident()

        @app.resolver("Query", "a")
        async def a():
            await asyncio.sleep(0)
            return str(threading.get_ident() == here)

        result = await asyncio.gather(*(app.graphql_async("{ a }") for _ in range(5)))
        await asyncio.to_thread(app.close)
        return result

    assert asyncio.run(main()) == [{"data": {"a": "True"}}] * 5


def test_a_plain_function_may_return_an_awaitable(bundle):
    app = bundle()

    async def later():
        return "later"

    app.resolver("Query", "a")(lambda: later())
    assert app.graphql("{ a }") == {"data": {"a": "later"}}


class Color(enum.Enum):
    RED = "red"


@dataclasses.dataclass
class Point:
    x: int
    at: datetime.datetime


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        (True, True),
        (-(2**63), -(2**63)),
        (1.5, 1.5),
        ("ä\x00😀", "ä\x00😀"),
        (b"bytes", "bytes"),
        ([1, [2, None], {"a": []}], [1, [2, None], {"a": []}]),
        ((n for n in (1, 2)), [1, 2]),
        ((1, 2), [1, 2]),
        (Color.RED, "red"),
        (Point(1, datetime.datetime(2024, 2, 29, tzinfo=datetime.UTC)), {"x": 1, "at": "2024-02-29T00:00:00+00:00"}),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (list(range(1000)), list(range(1000))),
        ({str(n): n for n in range(100)}, {str(n): n for n in range(100)}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_values(bundle, value, expected):
    app = bundle()
    app.resolver("Query", "b")(lambda: value)
    assert app.graphql("{ b }") == {"data": {"b": expected}}


@pytest.mark.parametrize(
    "value", [None, True, 0, -1, 127, -33, 2**31, -(2**63), 2**63 - 1, 1.25, "", "a" * 31, "a" * 32, "ä" * 70000]
)
def test_arguments(bundle, value):
    app = bundle()
    seen = []
    app.resolver("Query", "c")(lambda parent, args: seen.append(args["x"]))
    given = [value, {"deep": [value] * 20, "null": None}]
    app.graphql("query ($x: Any) { c(x: $x) }", {"x": given})
    assert seen == [given]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (2**63, r"Query.b: result: a value of type int is beyond 64 bits"),
        ({"a": [1, {"b": decimal.Decimal(1)}]}, r"Query.b: result\.a\[1\]\.b: a value of type Decimal cannot be one"),
        ({"a": {(1, 2): 1}}, r"Query.b: result\.a: a value of type tuple is no key of a map"),
    ],
)
def test_values_that_cannot_be_results_name_their_place(bundle, value, message, caplog):
    app = bundle()
    app._log_level = "error"
    app.resolver("Query", "b")(lambda: value)
    response = app.graphql("{ b }")
    assert response["data"] == {"b": None}
    assert response["errors"][0]["extensions"]["code"] == "INTERNAL" and "result" not in response["errors"][0]["message"]
    app.close()
    assert message.replace("\\", "") in caplog.text


def test_a_result_that_contains_itself(bundle):
    app = bundle()
    value = []
    value.append(value)
    app.resolver("Query", "b")(lambda: value)
    assert app.graphql("{ b }")["errors"][0]["extensions"]["code"] == "INTERNAL"


def test_errors_have_their_codes_and_violations(bundle):
    app = bundle()

    @app.resolver("Query", "a")
    def a():
        raise perilune.InvalidArgument("that is no name", {"name": "must not be empty"})

    @app.resolver("Query", "b")
    async def b():
        raise perilune.NotFound("nothing here")

    errors = {error["path"][0]: error for error in app.graphql("{ a b }")["errors"]}
    assert errors["a"]["message"] == "that is no name"
    assert errors["a"]["extensions"]["code"] == "INVALID_ARGUMENT"
    assert "must not be empty" in str(errors["a"]["extensions"]["violations"])
    assert errors["b"]["extensions"]["code"] == "NOT_FOUND" and errors["b"]["message"] == "nothing here"


@pytest.mark.parametrize("kind", ["plain", "async"])
def test_other_exceptions_are_in_the_log_alone(bundle, caplog, kind):
    app = bundle()
    app._log_level = "error"

    def wrong():
        raise ValueError("secret")

    async def wrong_later():
        wrong()

    app.resolver("Query", "a")(wrong if kind == "plain" else wrong_later)
    with caplog.at_level(logging.ERROR, "perilune"):
        error = app.graphql("{ a }")["errors"][0]
        app.close()
    assert error["extensions"]["code"] == "INTERNAL" and "secret" not in str(error)
    record = next(record for record in caplog.records if "secret" in record.getMessage())
    assert 'raise ValueError("secret")' in record.getMessage() and "in wrong" in record.getMessage()
    assert any(str(value) in str(error) for value in record.perilune.values() if value)  # the id is in both


def test_a_full_queue_is_an_error(bundle):
    app = bundle(queue=2)
    go, entered = threading.Event(), threading.Event()

    @app.resolver("Query", "slow")
    def slow(parent, args):
        entered.set()
        go.wait(10)
        return args["n"]

    async def main():
        first = asyncio.create_task(app.graphql_async("{ slow(n: 1) }"))
        assert await asyncio.to_thread(entered.wait, 10)
        rest = asyncio.create_task(app.graphql_async("{ " + " ".join(f"x{n}: slow(n: {n})" for n in range(5)) + " }"))
        await asyncio.sleep(0)
        assert (await app.graphql_async("{ lua(n: 1) }"))["data"] == {"lua": 1}  # the loop goes on
        go.set()
        return [await first, await rest]

    results = asyncio.run(main())
    codes = [error["extensions"]["code"] for result in results for error in result.get("errors", [])]
    assert codes == ["RESOURCE_EXHAUSTED"] * 3
    assert results[1]["data"] == {"x0": 0, "x1": 1, "x2": None, "x3": None, "x4": None}
    assert app.graphql("{ slow(n: 7) }")["data"] == {"slow": 7}


def test_a_timeout_of_the_caller(bundle):
    app = bundle()
    go = threading.Event()
    app.resolver("Query", "slow")(lambda: go.wait(10) and 1)
    with pytest.raises(perilune.DeadlineExceeded):
        app.graphql("{ slow }", timeout=0.05)
    go.set()
    assert app.graphql("{ slow }", timeout=10)["data"] == {"slow": 1}


def test_closing_ends_what_waits(bundle):
    """Functions that never return hold nothing up."""
    app = bundle(drain=0.05)
    entered, go = threading.Event(), threading.Event()
    results = []
    cancelled = threading.Event()

    @app.resolver("Query", "slow")
    def slow():
        entered.set()
        go.wait(20)

    @app.resolver("Query", "a")
    async def a():
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    def ask():
        try:
            results.append(app.graphql("{ slow a }"))
        except perilune.Error as error:
            results.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    assert entered.wait(10)
    begin = time.monotonic()
    threading.Timer(1, go.set).start()
    app.close()
    thread.join(10)
    assert results and time.monotonic() - begin < 10
    assert cancelled.wait(10)


def test_functions_are_checked_where_they_are_written(bundle):
    app = bundle()
    with pytest.raises(TypeError, match="up to 4 arguments"):
        app.resolver("Query", "a")(lambda a, b, c, d, e: 1)
    with pytest.raises(TypeError, match="'first' has to be named"):

        @app.resolver("Query", "b")
        def b(parent, *, first):
            return first

    with pytest.raises(TypeError, match="no methods"):
        app.service("a.B")(object())


def test_names_are_checked_with_the_bundle(bundle):
    app = bundle()
    app.resolver("Query", "nothing")(lambda: 1)
    with pytest.raises(perilune.InvalidArgument, match="nothing"):
        app.start()
    other = bundle()
    other.resolver("Query", "lua")(lambda: 1)
    with pytest.raises(perilune.InvalidArgument, match=r"resolvers/a\.lua"):
        other.start()
    started = bundle()
    started.start()
    with pytest.raises(perilune.FailedPrecondition, match="has started"):
        started.resolver("Query", "a")(lambda: 1)


def test_reloads_keep_the_functions(bundle):
    app = bundle()
    app.resolver("Query", "a")(lambda: "python")
    files = {"schema/a.graphql": SCHEMA, "resolvers/a.lua": LUA}
    app.start()
    for number in range(20):
        assert app.reload(files | {"resolvers/a.lua": LUA.replace("args.n", f"{number}")})
        assert app.graphql("{ a lua }")["data"] == {"a": "python", "lua": number}
    with pytest.raises(perilune.InvalidArgument, match=r"resolvers/a\.lua:1"):
        app.reload(files | {"resolvers/a.lua": "return {"})
    assert app.generation == 21
    app.rollback()
    assert app.graphql("{ a lua }")["data"] == {"a": "python", "lua": 18}
    assert app.status()["generation"] == app.generation


def test_many_calls_at_once(bundle):
    app = bundle(workers=2, threads=2)
    app.resolver("Query", "a")(lambda parent, args: "x")

    @app.resolver("Query", "slow")
    async def slow(parent, args):
        return args["n"]

    query = "{ " + " ".join(f"a{n}: a s{n}: slow(n: {n}) l{n}: lua(n: {n})" for n in range(100)) + " }"
    wrong = []

    def work():
        for _ in range(10):
            data = app.graphql(query)["data"]
            if data != {f"{k}{n}": {"a": "x"}.get(k, n) for n in range(100) for k in "asl"}:
                wrong.append(data)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_deadline_reaches_async_functions(app):
    cancelled = threading.Event()
    files = {"schema/a.graphql": "type Query { a: String }", "app.lua": "return { graphql = { timeout = 0.2 } }"}
    made = app(files=files, log_level="none")

    @made.resolver("Query", "a")
    async def a(parent, args, ctx):
        assert ctx.deadline is None  # it is the operation that is timed
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    with made.serve("127.0.0.1:0") as server:
        request = urllib.request.Request(
            f"http://{server.http}/graphql", b'{"query": "{ a }"}', {"content-type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=30) as response:
            body = json.loads(response.read())
    assert body["errors"][0]["extensions"]["code"] == "DEADLINE_EXCEEDED"
    assert cancelled.wait(10)


def test_a_client_that_leaves_cancels_async_functions(app):
    entered, cancelled = threading.Event(), threading.Event()
    made = app(files={"schema/a.graphql": "type Query { a: String }"}, log_level="none")

    @made.resolver("Query", "a")
    async def a():
        entered.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    with made.serve("127.0.0.1:0") as server:
        host, port = server.http.rsplit(":", 1)
        with socket.create_connection((host, int(port))) as client:
            client.sendall(b"GET /graphql?query=%7Ba%7D HTTP/1.1\r\nHost: a\r\nAccept: application/json\r\n\r\n")
            assert entered.wait(10)
        assert cancelled.wait(10)


def test_answers_of_requests_that_were_given_up_do_not_shorten_a_timeout(bundle):
    app = bundle()

    @app.resolver("Query", "slow")
    async def slow(parent, args):
        await asyncio.sleep(args["n"] * 0.02)
        return args["n"]

    for number in range(1, 61):
        with pytest.raises(perilune.DeadlineExceeded):
            app.graphql(f"{{ slow(n: {number}) }}", timeout=0)
    assert app.graphql("{ slow(n: 65) }", timeout=5)["data"] == {"slow": 65}


def test_requests_in_hand_are_bounded(bundle):
    app = bundle(requests=3)
    go = threading.Event()
    app.resolver("Query", "slow")(lambda parent, args: go.wait(20) and args["n"])

    async def main():
        waiting = [asyncio.create_task(app.graphql_async(f"{{ slow(n: {n}) }}")) for n in range(3)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        for refused in (app.graphql_async("{ lua }"), app.call_async("a.B/C"), app.publish_async("t", "x")):
            with pytest.raises(perilune.ResourceExhausted, match=r"3 requests of the program are in hand: App\(requests=\)"):
                await refused
        with pytest.raises(perilune.ResourceExhausted):
            app.graphql("{ lua }")
        go.set()
        return [await task for task in waiting]

    app.start()
    assert [each["data"]["slow"] for each in asyncio.run(main())] == [0, 1, 2]
    assert app.graphql("{ slow(n: 7) }")["data"] == {"slow": 7}
    with pytest.raises(ValueError, match="at least 1"):
        bundle(requests=0)


def test_a_function_in_hand_may_use_the_app_that_is_closed(bundle):
    """It is refused, instead of waiting for the end that waits for it."""
    app = bundle(drain=300, threads=2)
    entered, ended = threading.Event(), []

    @app.resolver("Query", "slow")
    def slow():
        entered.set()
        while not app._closed:
            time.sleep(0.001)
        with pytest.raises(perilune.Error) as caught:
            app.graphql("{ lua(n: 1) }")
        ended.append(caught.value)
        return 1

    thread = threading.Thread(target=app.graphql, args=("{ slow }",))
    thread.start()
    assert entered.wait(10)
    app.close()
    thread.join(20)
    assert isinstance(ended[0], perilune.FailedPrecondition | perilune.Unavailable)


def test_a_core_app_is_closed_by_two_threads():
    for _ in range(30):
        lane = perilune._core.Lane(10, print, print, print, print, print)
        core = perilune._core.App(files={"schema/a.graphql": b"type Query { a: Int }"}, workers=1)
        core.resolver("Query", "a", lambda: 1, 0, lane)
        core.start()
        inbox = perilune._core.Inbox()
        for number in range(50):
            core.execute(inbox, number, b'{"query": "{ a }"}')
        threads = [threading.Thread(target=core.close) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        lane.close()


def test_results_without_an_end(bundle):
    app = bundle()
    app.resolver("Query", "b")(lambda: iter(int, 1))
    app.resolver("Query", "a")(lambda: "x" * (65 << 20))
    for query, what in (("{ b }", "Query.b"), ("{ a }", "Query.a")):
        (error,) = app.graphql(query)["errors"]
        assert error["extensions"]["code"] == "RESOURCE_EXHAUSTED"
        assert error["message"] == f"{what}: the result has more than 64 MB"


def test_ctrl_c_in_a_function_on_the_programs_loop(bundle):
    async def main():
        app = bundle(loop=asyncio.get_running_loop())

        @app.resolver("Query", "a")
        async def a():
            raise KeyboardInterrupt

        await app.graphql_async("{ a }")

    loop = asyncio.new_event_loop()
    try:
        with pytest.raises(KeyboardInterrupt):
            loop.run_until_complete(main())
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0.01))
    finally:
        loop.close()


def test_keys_that_clients_choose_are_not_kept(bundle):
    """As interned strings are for ever in CPython 3.12."""
    app = bundle()
    seen = []
    app.resolver("Query", "c")(lambda parent, args: seen.extend(args["x"]))
    app.graphql("query ($x: Any) { c(x: $x) }", {"x": {"a key that is nowhere else": 1}})
    assert seen == ["a key that is nowhere else"] and sys.getrefcount(seen[0]) < 100
