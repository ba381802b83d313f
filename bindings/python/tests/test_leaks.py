# SPDX-License-Identifier: MIT
"""References: whatever is done many times, and however it ends, leaves as many objects as there were.

AddressSanitizer looks for memory that nobody refers to; here it is what is referred to once too often.
"""

import asyncio
import collections
import contextlib
import datetime
import decimal
import gc
import logging
import sys
import threading
import time
import types

import grpc
import pytest

import perilune
from perilune import _core

FILES = {
    "schema/a.graphql": """
        scalar When
        type Query {
          plain(a: [Int]): [Int]  later(a: Int): Int  raises: Int  raises_later: Int  many: [Int]  endless: [Int]
          wrong: [Int]  when(at: When): When  waits: Int  cancelled: Int
        }
        type Subscription { ticks: Int }""",
    "proto/t.proto": """
        syntax = "proto3";
        package t.v1;
        message Number { int32 n = 1; }
        service Numbers { rpc Half(Number) returns (Number);  rpc Count(Number) returns (stream Number); }""",
}
WARM, ROUNDS = 15, 60
pytestmark = pytest.mark.core


def register(app):
    app.scalar("When", parse=datetime.date.fromisoformat, serialize=datetime.date.isoformat)
    app.resolver("Query", "plain")(lambda parent, args, ctx, info: args["a"])
    app.resolver("Query", "when")(lambda parent, args: args["at"] if args["at"].year > 2000 else "text")
    app.resolver("Query", "many")(lambda: (n for n in range(10)))
    app.resolver("Query", "wrong")(lambda: {"a": [1, {"b": (n for n in [decimal.Decimal(1)])}]})

    @app.resolver("Query", "later")
    async def later(parent, args):
        await asyncio.sleep(0)
        return args["a"]

    @app.resolver("Query", "raises")
    def raises():
        raise perilune.InvalidArgument("no", {"field": "why"})

    @app.resolver("Query", "raises_later")
    async def raises_later():
        await asyncio.sleep(0)
        raise ValueError("x" * 100)

    @app.resolver("Query", "endless")
    async def endless():
        for number in range(20):
            if number == 10:
                raise perilune.Aborted("enough")
            yield number

    @app.resolver("Query", "waits")
    def waits():
        time.sleep(0.002)

    @app.resolver("Query", "cancelled")
    async def cancelled():
        raise asyncio.CancelledError


def register_others(app):
    @app.service("t.v1.Numbers")
    class Numbers:
        def half(self, request):
            if request["n"] % 2:
                raise perilune.OutOfRange("odd", {"n": "must be even"})
            return {"n": request["n"] // 2}

        def count(self, request):
            yield from ({"n": n} for n in range(request["n"]))

    @app.interceptor
    def before(ctx):
        if ctx.operation_name == "Refused":
            raise perilune.PermissionDenied("not you")

    @app.consumer("events", group="test", format="json")
    def consumer(event, msg, ctx):
        if event["n"] % 2:
            raise ValueError(event)


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    folder = tmp_path_factory.mktemp("proto")
    (folder / "t.proto").write_text(FILES["proto/t.proto"])
    logger = logging.Logger("quiet")
    logger.addHandler(logging.NullHandler())
    with perilune.App(files=FILES, queue=64, kafka="embedded", logger=logger) as app:
        register(app)
        register_others(app)
        with app.serve("127.0.0.1:0", "127.0.0.1:0") as server:
            yield types.SimpleNamespace(app=app, server=server, pool=perilune.proto.Pool(perilune.proto.compile(folder)))


def uses_of_graphql(shop, number):
    shop.app.graphql('{ plain(a: [1, null, 2]) later(a: 1) many endless when(at: "2024-02-29") }')
    shop.app.graphql('{ raises raises_later wrong cancelled a: when(at: "x") b: when(at: "1999-01-01") }')
    with contextlib.suppress(perilune.PermissionDenied):
        shop.app.graphql("query Refused { many }")
    with contextlib.suppress(perilune.Error):
        shop.app.graphql("{ nothing")
    with contextlib.suppress(perilune.DeadlineExceeded):
        shop.app.graphql("{ waits }", timeout=0.001)


def uses_from_event_loops(shop, number):
    async def main():
        tasks = [asyncio.create_task(shop.app.graphql_async("{ later(a: 1) waits }")) for _ in range(3)]
        await asyncio.sleep(0)
        tasks[0].cancel()
        with contextlib.suppress(TimeoutError):
            await shop.app.graphql_async("{ waits }", timeout=0.0001)
        return await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(main())


def queues_that_are_full(shop, number):
    shop.app.graphql("{ " + " ".join(f"x{n}: raises" for n in range(80)) + " }")


def calls_and_events(shop, number):
    with contextlib.suppress(perilune.OutOfRange):
        shop.app.call("t.v1.Numbers/Half", {"n": number})
    with contextlib.suppress(perilune.Error):
        shop.app.call("t.v1.Numbers/Nothing", {"n": "x"})
    with contextlib.suppress(perilune.Error):
        shop.app.handle("events", {"n": number}, key="k", headers={"a": "b"})
    with contextlib.suppress(perilune.Error):
        shop.app.publish("events", {"n": 2})


def streams_that_are_left(shop, number):
    with grpc.insecure_channel(shop.server.grpc) as channel:
        method = channel.unary_stream("/t.v1.Numbers/Count")
        answers = method(b"\x08\x64", timeout=20)
        next(answers)
        answers.cancel()


def wrong_uses_of_the_core(shop, number):
    core, inbox = shop.app._core_app(), _core.Inbox()
    wrong = [
        lambda: _core.App("a", files={"a": 1}),
        lambda: _core.App(files={1: b""}),
        lambda: _core.App(files={"\ud800": b""}),
        lambda: _core.App("a", files={}, lines=object()),
        lambda: _core.App(b"\0"),
        lambda: _core.App(nothing=1),
        lambda: core.execute(object(), 1, b"{}"),
        lambda: core.publish(inbox, 1, "topic", None, b"", ("a", 1)),
        lambda: core.publish(inbox, 1, "topic", None, b"", ("a", "\ud800")),
        lambda: core.resolver("A", "b", print, 1, object()),
        lambda: core.reload({"a": 1}),
        lambda: _core.Lane("x", print, print, print, print, print),
        lambda: _core.Pool(b"nothing"),
        lambda: _core.Call(),
    ]
    for each in wrong:
        with pytest.raises((TypeError, ValueError, perilune.Error)):
            each()


def messages(shop, number):
    pool = shop.pool
    name = "t.v1.Number"
    assert pool.decode(name, pool.encode(name, {"n": number})) == {"n": number}
    assert pool.from_json(name, pool.to_json(name, {"n": number})) == {"n": number}
    for wrong in ({"n": "x"}, {"m": 1}, {"n": 2**40}, [1], {"n": [1]}, {1: 2}):
        with pytest.raises((TypeError, ValueError, perilune.Error)):
            pool.encode(name, wrong)
    for wrong in (b"\x08", b"\xff" * 20):
        with pytest.raises((ValueError, perilune.Error)):
            pool.decode(name, wrong)
    for wrong in ("{", '{"n": "x"}', '{"m": 1}'):
        with pytest.raises((ValueError, perilune.Error)):
            pool.from_json(name, wrong)


def apps_and_reloads(shop, number):
    files = {"schema/a.graphql": "scalar When type Query { a(at: When): When }"}
    if number % 2:
        return
    with perilune.App(files=files, log_level="none") as app:
        app.scalar("When", parse=datetime.date.fromisoformat, serialize=str)
        app.resolver("Query", "a")(lambda parent, args: args["at"])
        app.graphql('{ a(at: "2024-02-29") }')
        app.reload(files | {"resolvers/a.lua": "return {}"})
        app.graphql('{ a(at: "2024-02-29") b: a(at: "x") }')
        with contextlib.suppress(perilune.InvalidArgument):
            app.reload({"resolvers/a.lua": "return {"})
    broken = perilune.App(files={"app.lua": "return"}, log_level="none")
    broken.resolver("A", "b")(lambda: 1)
    with contextlib.suppress(perilune.InvalidArgument):
        broken.start()


CORE = [kind for kind in vars(_core).values() if isinstance(kind, type)]
SINGLE = [*CORE, *perilune.errors.CLASSES.values()]
if sys.version_info < (3, 12):  # from then on these are immortal, and nobody counts
    SINGLE += [None, True, False, (), dict, list, str, int, decimal.Decimal]


def census():
    gc.collect()
    count = collections.Counter(type(each).__qualname__ for each in gc.get_objects())
    count.update({f"references of {each!r}": sys.getrefcount(each) for each in SINGLE})
    count["threads"] = threading.active_count()
    return count


@pytest.mark.parametrize(
    "scenario",
    [
        uses_of_graphql,
        uses_from_event_loops,
        queues_that_are_full,
        calls_and_events,
        streams_that_are_left,
        wrong_uses_of_the_core,
        messages,
        apps_and_reloads,
    ],
    ids=lambda scenario: scenario.__name__,
)
def test_nothing_is_left(shop, scenario):
    for number in range(WARM):
        scenario(shop, number)
    before = census()
    for number in range(ROUNDS):
        scenario(shop, number)
    bound = ROUNDS // 3  # some are done every second time; and caches grow for a while
    until = time.monotonic() + 10
    while True:
        more = {name: count for name, count in (census() - before).items() if count > bound}
        if not more or time.monotonic() > until:
            break
        time.sleep(0.05)  # what was cancelled ends a moment later
    assert not more
