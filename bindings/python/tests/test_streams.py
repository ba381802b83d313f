# SPDX-License-Identifier: MIT
"""Generators of the program's: subscriptions, lists, and methods with streams in both directions."""

import asyncio
import contextlib
import json
import socket
import threading
import urllib.request

import grpc
import pytest

import perilune
from perilune.testing import Bundle

FILES = {
    "schema/a.graphql": """
        type Query { list(n: Int!): [Int]  slow(n: Int!): [Int] }
        type Subscription { count(to: Int!): Int  later(to: Int!): Int  forever: Int  wrong: Int }""",
    "proto/t.proto": """
        syntax = "proto3";
        package t.v1;
        message Number { int32 n = 1; }
        service Numbers {
          rpc Count(Number) returns (stream Number);
          rpc Later(Number) returns (stream Number);
          rpc Sum(stream Number) returns (Number);
          rpc Double(stream Number) returns (stream Number);
          rpc First(stream Number) returns (Number);
          rpc Plain(stream Number) returns (Number);
          rpc Wrong(Number) returns (stream Number);
          rpc Forever(Number) returns (stream Number);
        }""",
}
pytestmark = [pytest.mark.core, pytest.mark.tsan]


class Ends:
    """What has been closed."""

    def __init__(self):
        self.names, self._news = [], threading.Condition()

    def add(self, name):
        with self._news:
            self.names.append(name)
            self._news.notify_all()

    def wait(self, name):
        with self._news:
            assert self._news.wait_for(lambda: name in self.names, 20), self.names


@pytest.fixture(scope="module")
def ends():
    return Ends()


def register(app, ends):
    register_lists(app)

    @app.resolver("Subscription", "count")
    def count(parent, args):
        try:
            yield from range(args["to"])
        finally:
            ends.add("count")

    @app.resolver("Subscription", "forever")
    async def forever(parent, args):
        try:
            while True:
                yield 1
                await asyncio.sleep(0.005)
        finally:
            ends.add("forever")

    register_service(app, ends)


def register_lists(app):
    @app.resolver("Query", "list")
    def plain_list(parent, args):
        yield from range(args["n"])

    @app.resolver("Query", "slow")
    async def slow_list(parent, args):
        for number in range(args["n"]):
            await asyncio.sleep(0)
            yield number

    @app.resolver("Subscription", "later")
    async def later(parent, args):
        for number in range(args["to"]):
            await asyncio.sleep(0)
            yield number

    @app.resolver("Subscription", "wrong")
    async def wrong(parent, args):
        yield 1
        raise perilune.DataLoss("no more")


def register_service(app, ends):
    async def forever(request):
        try:
            while True:
                yield {"n": 1}
                await asyncio.sleep(0.005)
        finally:
            ends.add("Forever")

    app.service("t.v1.Numbers")(Numbers)
    app.method("t.v1.Numbers", "Forever")(forever)


class Numbers:
    def count(self, request):
        for number in range(request["n"]):
            yield {"n": number}

    async def later(self, request, ctx):
        for number in range(request["n"]):
            await asyncio.sleep(0)
            yield {"n": number}

    async def sum(self, requests):
        return {"n": sum([request["n"] async for request in requests])}

    async def double(self, requests, ctx):
        async for request in requests:
            yield {"n": request["n"] * 2}
            if request["n"] == 7:
                yield {"n": 77}
        yield {"n": -1}

    async def first(self, requests):
        async for request in requests:
            return request
        raise perilune.InvalidArgument("there is none")

    def plain(self, requests):
        return {"n": 1}

    async def wrong(self, request):
        yield {"n": 1}
        raise perilune.Aborted("half way")


@pytest.fixture(scope="module")
def bundle(ends):
    with Bundle(files=FILES, setup=lambda app: register(app, ends), log_level="error") as made:
        yield made


@contextlib.contextmanager
def events_of(bundle, query):
    body = json.dumps({"query": query}).encode()
    headers = {"content-type": "application/json", "accept": "text/event-stream"}
    request = urllib.request.Request(f"http://{bundle.server.http}/graphql", body, headers)
    with urllib.request.urlopen(request, timeout=30) as response:
        yield (json.loads(line[6:]) for line in response if line.startswith(b"data: ") and len(line) > 7)


def test_lists(bundle):
    data = bundle.data("{ list(n: 100) slow(n: 50) empty: slow(n: 0) none: list(n: 0) }")
    assert data == {"list": list(range(100)), "slow": list(range(50)), "empty": [], "none": []}


@pytest.mark.parametrize("field", ["count", "later"])
def test_subscriptions(bundle, field, ends):
    with events_of(bundle, f"subscription {{ {field}(to: 5) }}") as events:
        assert [event["data"][field] for event in events if event] == [0, 1, 2, 3, 4]
    if field == "count":
        ends.wait("count")


def test_a_subscription_that_fails(bundle):
    with events_of(bundle, "subscription { wrong }") as events:
        answers = [event for event in events if event]
    assert answers[0] == {"data": {"wrong": 1}}
    assert answers[-1]["errors"][0]["extensions"]["code"] == "DATA_LOSS"


def test_a_subscriber_that_leaves_closes_the_generator(bundle, ends):
    host, port = bundle.server.http.rsplit(":", 1)
    with socket.create_connection((host, int(port))) as client:
        query = "query=subscription%7Bforever%7D"
        client.sendall(f"GET /graphql?{query} HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\n\r\n".encode())
        received = b""
        while received.count(b"forever") < 3:
            received += client.recv(1000)
    ends.wait("forever")


def test_methods_with_streaming_answers(bundle):
    for method in ("Count", "Later"):
        assert bundle.grpc(f"t.v1.Numbers/{method}", {"n": 20}) == [{"n": number} for number in range(20)]
        assert bundle.grpc(f"t.v1.Numbers/{method}", {}) == []
    with pytest.raises(perilune.Aborted, match="half way"):
        bundle.grpc("t.v1.Numbers/Wrong")


def test_methods_with_streaming_requests(bundle):
    numbers = [{"n": number} for number in range(1, 11)]
    assert bundle.grpc("t.v1.Numbers/Sum", numbers) == {"n": 55}
    assert bundle.grpc("t.v1.Numbers/Sum", []) == {"n": 0}
    assert bundle.grpc("t.v1.Numbers/First", numbers) == {"n": 1}
    with pytest.raises(perilune.InvalidArgument, match="there is none"):
        bundle.grpc("t.v1.Numbers/First", [])
    doubled = [each["n"] for each in bundle.grpc("t.v1.Numbers/Double", numbers)]
    assert doubled == [2, 4, 6, 8, 10, 12, 14, 77, 16, 18, 20, -1]
    with pytest.raises(perilune.Internal):
        bundle.grpc("t.v1.Numbers/Plain", numbers)


def test_bidirectional_in_turns(bundle):
    """Each answer is there before the next request is sent."""
    pool = bundle.protos
    more, over = threading.Semaphore(1), object()
    queue = [1, 2, 3, over]

    def requests():
        for each in queue:
            more.acquire()
            if each is over:
                return
            yield {"n": each}

    with bundle.channel() as channel:
        call = channel.stream_stream(
            "/t.v1.Numbers/Double",
            lambda value: pool.encode("t.v1.Number", value),
            lambda data: pool.decode("t.v1.Number", data)["n"],
        )
        seen = []
        for number in call(requests(), timeout=30):
            seen.append(number)
            more.release()
    assert seen == [2, 4, 6, -1]


def test_a_client_that_cancels_closes_the_generator(bundle, ends):
    pool = bundle.protos
    with bundle.channel() as channel:
        call = channel.unary_stream("/t.v1.Numbers/Forever", lambda value: pool.encode("t.v1.Number", value), lambda data: data)(
            {}
        )
        for _, _ in zip(range(3), call, strict=False):
            pass
        call.cancel()
        with pytest.raises(grpc.RpcError):
            for _ in call:
                pass
    ends.wait("Forever")


def test_streams_end_with_the_app(ends):
    with Bundle(files=FILES, setup=lambda app: register(app, ends), log_level="none", drain=0.1) as bundle:
        with events_of(bundle, "subscription { forever }") as events:
            next(events)
            bundle.app.close()
    ends.wait("forever")


def test_a_generator_that_is_at_work_when_nobody_wants_more(app):
    """On another thread of its lane; it ends when it has come to a yield."""
    entered, go, ended = threading.Event(), threading.Event(), threading.Event()
    made = app(files={"schema/a.graphql": "type Query { a: Int } type Subscription { slow: Int }"}, threads=2, log_level="none")
    made.resolver("Query", "a")(lambda: 1)

    @made.resolver("Subscription", "slow")
    def slow():
        try:
            entered.set()
            go.wait(20)
            yield 1
        finally:
            ended.set()

    with made.serve("127.0.0.1:0") as server:
        host, port = server.http.rsplit(":", 1)
        with socket.create_connection((host, int(port))) as client:
            body = b'{"query": "subscription { slow }"}'
            head = f"POST /graphql HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
            client.sendall(head.encode() + b"Accept: text/event-stream\r\n\r\n" + body)
            assert entered.wait(10)
        made.graphql("{ a }")
        for _ in range(200):  # the second thread has seen the end by then
            made.graphql("{ a }")
        go.set()
        assert ended.wait(20)
