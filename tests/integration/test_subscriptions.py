# SPDX-License-Identifier: MIT
"""Subscriptions over every transport: events between workers and generations, slow clients, and what clients do wrong."""

import contextlib
import json
import time

import httpx
import pytest
from websockets.exceptions import InvalidStatus

from harness import SLOWNESS, wait_until, write_bundle
from streams import EventStream, MultipartStream, WebSocket
from subscription_bundle import APP, BUNDLE, RESOLVERS, SCHEMA, in_hand

pytestmark = pytest.mark.core

SAID = "subscription { said { text number } }"


@pytest.fixture
def server(start):
    return start(BUNDLE)


@pytest.fixture
def two_workers(start):
    return start(BUNDLE, workers=2)


def say(server, *texts):
    for text in texts:
        assert server.data("mutation ($text: String!) { say(text: $text) }", {"text": text}) == {"say": True}


def texts(payloads):
    return [payload["data"]["said"]["text"] for payload in payloads]


# --- the transports ---


def test_server_sent_events(server):
    with EventStream(server, "subscription { count(to: 3) }") as stream:
        assert stream.response.headers["content-type"].startswith("text/event-stream")
        assert "no-cache" in stream.response.headers["cache-control"]
        assert stream.rest() == [{"data": {"count": i}} for i in (1, 2, 3)]
        assert stream.completed


def test_server_sent_events_over_http2(server):
    with EventStream(server, "subscription { count(to: 2, pause: 0.01) }", http2=True) as stream:
        assert stream.response.http_version == "HTTP/2"
        assert stream.rest() == [{"data": {"count": i}} for i in (1, 2)]


def test_queries_by_server_sent_events(server):
    with EventStream(server, "{ hello }") as stream:
        assert stream.rest() == [{"data": {"hello": "world"}}]
        assert stream.completed
    with EventStream(server, "{ nope }") as stream:
        [refusal] = stream.rest()
        assert "nope" in refusal["errors"][0]["message"]


def test_multipart(server):
    accept = 'multipart/mixed;boundary="graphql";subscriptionSpec=1.0, application/json'
    with MultipartStream(server, "subscription { count(to: 2, pause: 0.01) }", accept) as stream:
        assert stream.rest() == [{"payload": {"data": {"count": i}}} for i in (1, 2)]
        assert stream.completed


@pytest.mark.parametrize("protocol", ["graphql-transport-ws", "graphql-ws"])
def test_websocket(server, protocol):
    with WebSocket(server, protocol=protocol) as socket:
        assert socket.socket.subprotocol == protocol
        socket.subscribe("subscription { count(to: 2, pause: 0.01) }", id="a")
        assert [socket.next("a"), socket.next("a")] == [{"data": {"count": 1}}, {"data": {"count": 2}}]
        assert socket.receive() == {"type": "complete", "id": "a"}
        socket.subscribe("query ($x: Boolean!) { hello @include(if: $x) }", {"x": True}, id="a")
        assert socket.next("a") == {"data": {"hello": "world"}}
        assert socket.receive() == {"type": "complete", "id": "a"}


def test_several_operations_on_one_socket(server):
    with WebSocket(server) as socket:
        for id_ in ("x", "y"):
            socket.subscribe(f'subscription {{ said(has: "{id_}") {{ text }} }}', id=id_)
        socket.subscribe("{ hello }", id="z")
        assert [socket.receive()["type"], socket.receive()["type"]] == ["next", "complete"]
        say(server, "an x", "a y", "neither")
        assert socket.next("x") == {"data": {"said": {"text": "an x"}}}
        assert socket.next("y") == {"data": {"said": {"text": "a y"}}}
        socket.send(id="x", type="complete")
        say(server, "an x", "x and y")
        assert socket.next("y") == {"data": {"said": {"text": "x and y"}}}


def test_subscriptions_need_a_transport(server):
    response = server.post({"query": "subscription { never }"})
    message = response.json()["errors"][0]["message"]
    assert "cannot be executed over this transport" in message
    assert "Accept: text/event-stream" in message
    assert server.graphql("{ hello }") == {"data": {"hello": "world"}}


# --- events ---


@pytest.mark.tsan
def test_all_workers_publish_to_all(two_workers):
    server = two_workers
    streams = [EventStream(server, SAID) for _ in range(6)]
    try:
        for stream in streams:
            stream.__enter__()
        for i in range(20):  # each on a connection of its own, so on both workers
            query = {"query": f'mutation {{ say(text: "{i}") }}'}
            assert httpx.post(server.url, json=query).json() == {"data": {"say": True}}
        for stream in streams:
            got = texts(stream.next() for _ in range(20))
            assert sorted(got, key=int) == [str(i) for i in range(20)]
    finally:
        for stream in streams:
            stream.__exit__(None, None, None)


def test_an_operation_has_a_ctx_for_each_event(server):
    with EventStream(server, "subscription { said { by } }", headers={"x-user": "ada"}) as stream:
        say(server, "a", "b")
        assert [stream.next(), stream.next()] == [{"data": {"said": {"by": "ada"}}}] * 2


@pytest.mark.parametrize(("field", "code"), [("bad", "INTERNAL"), ("refused", "PERMISSION_DENIED"), ("missing", "UNIMPLEMENTED")])
def test_no_source(server, field, code):
    with WebSocket(server) as socket:
        socket.subscribe(f"subscription {{ {field} }}")
        message = socket.receive()
        assert (message["type"], message["id"]) == ("error", "1")
        assert message["payload"][0]["extensions"]["code"] == code
        assert message["payload"][0]["path"] == [field]


def test_a_source_that_fails(server):
    with EventStream(server, "subscription { fails }") as stream:
        first, second = stream.rest()
        assert first == {"data": {"fails": 1}}
        assert second["errors"] == [{"message": "the tape is torn", "extensions": {"code": "DATA_LOSS"}}]
        assert stream.completed


def test_a_source_that_never_comes(server):
    with WebSocket(server) as socket:
        socket.subscribe("subscription { slow }")
        assert socket.receive()["payload"][0]["extensions"]["code"] == "DEADLINE_EXCEEDED"


def mark(server, name):
    """A counter of the bundle's, read through a server that is reloaded with a field for it."""
    return server.data(f'{{ mark(name: "{name}") }}')["mark"]


@pytest.fixture
def marked(start):
    schema = SCHEMA.replace("type Query {", "type Query { mark(name: String!): Int ")
    resolvers = RESOLVERS.replace("Query = {", "Query = { mark = function(_, args) return marks:get(args.name) or 0 end,", 1)
    return start(BUNDLE | {"schema/schema.graphql": schema, "resolvers/resolvers.lua": resolvers})


def test_a_disconnect_ends_the_source(marked):
    def ended(count):
        wait_until(lambda: mark(marked, "never_closed") == count, what=f"source {count} is closed")

    with EventStream(marked, "subscription { never }"):
        assert mark(marked, "never_open") == 1
        assert mark(marked, "never_closed") == 0
    ended(1)
    with EventStream(marked, "subscription { never }", http2=True):
        pass
    ended(2)
    with WebSocket(marked) as socket:
        socket.subscribe("subscription { never }", id="1")
        socket.subscribe("subscription { never }", id="2")
        wait_until(lambda: mark(marked, "never_open") == 4, what="both are open")
        socket.send(id="1", type="complete")
        ended(3)
    ended(4)
    wait_until(lambda: in_hand(marked) == 0, what="quiet")


def test_many_events_at_once(server):
    with EventStream(server, "subscription { count(to: 20000) }") as stream:
        assert [payload["data"]["count"] for payload in stream.rest()] == list(range(1, 20001))


# --- slow clients ---


@pytest.mark.parametrize(("policy", "last"), [("drop_oldest", True), ("drop_newest", False)])
def test_a_slow_client_loses_events_not_silently(start, policy, last):
    server = start(BUNDLE, env={"ON_FULL": policy})
    with WebSocket(server) as socket, EventStream(server, SAID) as quick:
        socket.subscribe(SAID)
        for i in range(2000):
            say(server, f"{i} " + "x" * 5000)
            assert texts([quick.next()])[0].startswith(f"{i} ")  # others are unaffected
        entry = server.wait_log("subscriber is slow", "dropped")
        assert policy in entry
        say(server, "end")
        got = []
        while not got or (got[-1] != "end" if last else len(got) < 10):
            got.append(socket.next()["data"]["said"]["text"])
        numbers = [int(text.split()[0]) for text in got if text != "end"]
        assert numbers == sorted(numbers)
        assert len(numbers) < 2000


BIG = {
    "app.lua": "return { limits = { memory = '64MB', run_time = 20 } }",
    "schema/schema.graphql": """
        type Query { hello: String }
        type Mutation { say(topic: Int!, size: Int!): Boolean }
        type Subscription { said(topic: Int!, queue: Int, bytes: Int, full: String): Int  wrong: Int }
    """,
    "resolvers/all.lua": """
        return {
          Query = { hello = function() return "world" end },
          Mutation = { say = function(_, args, ctx)
            ctx.pubsub:publish("said" .. args.topic, { text = ("x"):rep(args.size) })
            return true
          end },
          Subscription = {
            said = {
              subscribe = function(_, args, ctx)
                return ctx.pubsub:subscribe("said" .. args.topic, nil,
                  { queue = args.queue, max_bytes = args.bytes, on_full = args.full })
              end,
              resolve = function(event) return #event.text end,
            },
            wrong = function(_, _, ctx) return ctx.pubsub:subscribe("said", nil, { on_ful = "close" }) end,
          },
        }
    """,
}


def dropped(server):
    return sum(worker["events_dropped"] for worker in server.status()["workers"])


def say_big(server, size, topic=1):
    answer = server.graphql(f"mutation {{ say(topic: {topic}, size: {size}) }}")
    assert answer == {"data": {"say": True}}


# Few large events take as much memory as many small ones. Nobody takes them, as all are published within one call.
def test_large_events_do_not_wait_in_thousands(start):
    server = start(
        BIG
        | {
            "resolvers/more.lua": """
        return { Mutation = { flood = function(_, args, ctx)
          for topic = 1, args.topics do
            for _ = 1, args.count do ctx.pubsub:publish("said" .. topic, { text = ("x"):rep(100000) }) end
          end
          return true
        end } }""",
            "schema/more.graphql": "extend type Mutation { flood(topics: Int!, count: Int!): Boolean }",
        }
    )
    with contextlib.ExitStack() as stack:
        streams = [stack.enter_context(EventStream(server, f"subscription {{ said(topic: {i}) }}")) for i in range(1, 10)]
        assert server.graphql("mutation { flood(topics: 1, count: 100) }") == {"data": {"flood": True}}
        first = wait_until(lambda: dropped(server), what="the bound of one queue")
        assert 50 <= first <= 65  # 4 MB remain
        assert [streams[0].next()["data"]["said"] for _ in range(100 - first)] == [100000] * (100 - first)
        assert server.graphql("mutation { flood(topics: 9, count: 60) }") == {"data": {"flood": True}}
        total = wait_until(lambda: dropped(server) > first + 300 and dropped(server), what="the bound of all queues")
        say_big(server, 7)
        while streams[0].next()["data"]["said"] != 7:
            pass
        assert total - first < 540
        assert server.graphql("{ hello }") == {"data": {"hello": "world"}}
    server.wait_log("subscriber is slow", "bytes")


def test_a_bound_of_bytes(start):
    server = start(BIG)
    with WebSocket(server) as socket:
        socket.subscribe("subscription { said(topic: 1, bytes: 1) }")  # one event always has room
        for _ in range(3):
            say_big(server, 100000)
            assert socket.next()["data"]["said"] == 100000


def test_options_that_do_not_exist(start):
    server = start(BIG)
    with WebSocket(server) as socket:
        socket.subscribe("subscription { wrong }")
        assert socket.receive()["type"] == "error"
    server.wait_log("there is no option on_ful")


def test_a_slow_client_may_be_closed(start):
    server = start(BUNDLE, env={"ON_FULL": "close"})
    with WebSocket(server) as socket:
        socket.subscribe(SAID)
        socket.subscribe("{ hello }", id="2")
        assert {socket.receive()["type"] for _ in range(2)} == {"next", "complete"}
        for i in range(2000):
            say(server, f"{i} " + "x" * 5000)
        message = socket.receive()
        while message["type"] == "next":
            message = socket.receive()
        assert message["type"] == "error"
        assert message["payload"][0]["extensions"]["code"] == "RESOURCE_EXHAUSTED"


# --- connections ---


def test_connection_parameters(server):
    with WebSocket(server, params={"user": "grace"}) as socket:
        socket.subscribe("{ who }")
        assert socket.next() == {"data": {"who": "grace"}}
        assert socket.receive()["type"] == "complete"
        socket.subscribe("subscription { said { by } }", id="2")
        socket.subscribe("{ hello }", id="3")
        assert {socket.receive()["type"] for _ in range(2)} == {"next", "complete"}
        say(server, "x")
        assert socket.next("2") == {"data": {"said": {"by": "grace"}}}


@pytest.mark.parametrize(
    ("user", "code", "reason"), [("mallory", 4403, "no mallory here"), ("broken", 4500, "Internal server error")]
)
def test_refused_connections(server, user, code, reason):
    with WebSocket(server, init=False) as socket:
        socket.send(type="connection_init", payload={"user": user})
        assert socket.closed() == (code, reason)


def test_refused_connections_of_the_older_protocol(server):
    with WebSocket(server, protocol="graphql-ws", init=False) as socket:
        socket.send(type="connection_init", payload={"user": "mallory"})
        assert socket.receive() == {"type": "connection_error", "payload": {"message": "no mallory here"}}
        assert socket.closed()[0] == 1011


def test_credentials_end(server):
    with WebSocket(server, params={"user": "ada", "expires_in": 0.3}) as socket:
        socket.subscribe(SAID)
        assert socket.closed() == (4403, "The credentials of the connection have expired")
    with WebSocket(server, params={"user": "ada", "expires_in": 0.3}, protocol="graphql-ws") as socket:
        assert socket.closed()[0] == 1008
    with WebSocket(server, init=False) as socket:
        socket.send(type="connection_init", payload={"expires_in": -1})
        assert socket.closed()[0] == 4403


def test_credentials_of_a_stream_end(start):
    app = APP.replace("if name then", 'if ctx.headers["x-lives"] then ctx.expires_at = time.now() + 0.3 end\n      if name then')
    server = start(BUNDLE | {"app.lua": app})
    with EventStream(server, "subscription { never }", headers={"x-lives": "shortly"}) as stream:
        [refusal] = stream.rest()
        assert refusal["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
        assert stream.completed
    wait_until(lambda: in_hand(server) == 0, what="the source has gone")


# --- what clients do wrong ---


@pytest.mark.parametrize(
    ("messages", "code"),
    [
        (["not JSON"], 4400),
        (["[1]"], 4400),
        (['{"type":"hello"}'], 4400),
        (["{}"], 4400),
        (['{"type":"connection_init","payload":1}'], 4400),
        (['{"type":"connection_init"}', '{"type":"connection_init"}'], 4429),
        (['{"type":"subscribe","id":"1","payload":{"query":"{ hello }"}}'], 4401),
        (['{"type":"connection_init"}', '{"type":"subscribe","payload":{"query":"{ hello }"}}'], 4400),
        (['{"type":"connection_init"}', '{"type":"subscribe","id":"","payload":{"query":"{ hello }"}}'], 4400),
        (['{"type":"connection_init"}', '{"type":"subscribe","id":1,"payload":{"query":"{ hello }"}}'], 4400),
        (['{"type":"connection_init"}', '{"type":"subscribe","id":"1"}'], 4400),
        (['{"type":"connection_init"}', '{"type":"subscribe","id":"1","payload":{"query":1}}'], 4400),
        (['{"type":"connection_init"}', '{"type":"complete"}'], 4400),
        (['{"type":"connection_init"}', b"{}"], 4400),
        (['{"type":"connection_init"}', '"' + "x" * 1200000 + '"'], 1009),
    ],
)
def test_protocol_errors(server, messages, code):
    with WebSocket(server, init=False) as socket:
        for message in messages:
            socket.socket.send(message)
        assert socket.closed()[0] == code
    assert server.graphql("{ hello }") == {"data": {"hello": "world"}}


def test_a_duplicate_id(server):
    with WebSocket(server) as socket:
        socket.subscribe("subscription { never }")
        socket.subscribe("subscription { never }")
        assert socket.closed() == (4409, "Subscriber for 1 already exists")


def test_a_duplicate_id_of_the_older_protocol_begins_anew(server):
    with WebSocket(server, protocol="graphql-ws") as socket:
        socket.subscribe("subscription { never }")
        socket.subscribe("{ hello }")
        assert socket.next() == {"data": {"hello": "world"}}


def test_no_init(server):
    with WebSocket(server, init=False) as socket:
        assert socket.closed() == (4408, "Connection initialisation timeout")
    with WebSocket(server, init=False) as socket:
        socket.send(type="connection_init", payload={"user": "sleeper"})
        assert socket.closed()[0] == 4408


def test_no_subprotocol(server):
    with WebSocket(server, protocol=None, init=False) as socket:
        assert socket.closed() == (4406, "Subprotocol not acceptable")


def test_a_flood_of_operations(server):
    with WebSocket(server) as socket:
        for i in range(10):
            socket.subscribe("subscription { never }", id=str(i))
        refused = [socket.receive() for _ in range(7)]
        assert {message["type"] for message in refused} == {"error"}
        assert {message["id"] for message in refused} == {str(i) for i in range(3, 10)}
        assert refused[0]["payload"][0]["extensions"]["code"] == "RESOURCE_EXHAUSTED"
        socket.send(id="0", type="complete")
        socket.subscribe("{ hello }", id="again")
        assert socket.next("again") == {"data": {"hello": "world"}}


def test_ping(server):
    with WebSocket(server) as socket:
        socket.send(type="ping", payload={"n": 1})
        assert socket.receive() == {"type": "pong", "payload": {"n": 1}}
        socket.send(type="pong")
        socket.send(type="ping")
        assert socket.receive() == {"type": "pong"}


def test_pages_of_other_sites_open_no_websocket(server):
    with pytest.raises(InvalidStatus) as refused:
        WebSocket(server, origin="https://evil.example")
    assert refused.value.response.status_code == 403
    host = server.url.split("/")[2]
    with WebSocket(server, origin=f"http://{host}") as socket:
        socket.subscribe("{ hello }")
        assert socket.next() == {"data": {"hello": "world"}}


# --- reloads ---


def edit(server, path, *replacements):
    file = server.bundle / path
    text = file.read_text()
    for old, new in replacements:
        assert old in text
        text = text.replace(old, new)
    write_bundle(server.bundle, {path: text})


def generations(server):
    return [generation["id"] for generation in server.status()["generations"]]


def test_a_subscription_goes_over_to_the_new_code(server):
    with EventStream(server, SAID) as stream, WebSocket(server, params={"user": "ada"}) as socket:
        socket.subscribe("subscription { said { text by } }")
        socket.subscribe("{ hello }", id="2")
        assert {socket.receive()["type"] for _ in range(2)} == {"next", "complete"}
        say(server, "before")
        for version in range(2, 5):
            edit(server, "resolvers/resolvers.lua", ("{ text = ", f'{{ text = "v{version} " .. '))
            server.reload()
            wait_until(lambda v=version: set(generations(server)) == {v}, what="the old generation has gone")
            say(server, "after")
        said = ["before", "v2 after", "v3 v2 after", "v4 v3 v2 after"]
        assert texts(stream.next() for _ in range(4)) == said
        assert [socket.next()["data"]["said"] for _ in range(4)] == [{"text": text, "by": "ada"} for text in said]


@pytest.mark.tsan
def test_no_event_is_lost_or_doubled_over_reloads(two_workers):
    server = two_workers
    with EventStream(server, SAID) as first, EventStream(server, SAID) as second:
        for i in range(100):
            say(server, str(i))
            if i % 10 == 5:
                edit(server, "resolvers/resolvers.lua", ("local errors", "-- again\nlocal errors"))
                server.reload()
        for stream in (first, second):
            assert texts(stream.next() for _ in range(100)) == [str(i) for i in range(100)]


def test_a_subscription_that_the_new_schema_does_not_know_ends(server):
    with WebSocket(server) as socket, EventStream(server, "subscription { said { number } }") as other:
        socket.subscribe("subscription { said { text } }")
        socket.subscribe("subscription { said { number } }", id="2")
        socket.subscribe("{ hello }", id="3")
        assert {socket.receive()["type"] for _ in range(2)} == {"next", "complete"}
        edit(server, "schema/schema.graphql", ("type Said { text: String", "type Said { words: String"))
        server.reload()
        message = socket.receive()
        assert (message["type"], message["id"]) == ("error", "1")
        assert 'Cannot query field "text"' in message["payload"][0]["message"]
        say(server, "x")  # the others go on
        assert socket.next("2") == {"data": {"said": {"number": 1}}}
        assert other.next() == {"data": {"said": {"number": 1}}}


def test_a_failed_reload_changes_nothing(server):
    with EventStream(server, SAID) as stream:
        edit(server, "schema/schema.graphql", ("type Said {", "type Sad {"))
        server.reload(ok=False)
        say(server, "still here")
        assert texts([stream.next()]) == ["still here"]


def test_queries_end_on_the_generation_that_they_began_on(start):
    resolvers = (
        "local time = require 'perilune.time' return { Query = { slow = function() print 'began' time.sleep(0.5) return 1 end } }"
    )
    server = start({"schema/s.graphql": "type Query { slow: Int }", "resolvers/r.lua": resolvers})
    with WebSocket(server) as socket:
        socket.subscribe("{ slow }")
        server.wait_log("began")
        edit(server, "resolvers/r.lua", ("return 1", "return 2"))
        server.reload()
        assert socket.next() == {"data": {"slow": 1}}
        assert socket.receive()["type"] == "complete"


def test_the_end_of_the_server(start):
    server = start(BUNDLE)
    with WebSocket(server) as socket, EventStream(server, SAID) as stream:
        socket.subscribe(SAID)
        say(server, "x")
        socket.next()
        stream.next()
        began = time.monotonic()
        server.stop()
        assert time.monotonic() - began < 5 * SLOWNESS
        assert socket.closed()[0] == 1001
        assert stream.rest() == []
        assert not stream.completed  # the client is to come back


def test_statistics(server):
    with WebSocket(server) as socket, EventStream(server, SAID):
        socket.subscribe(SAID)
        socket.subscribe("{ hello }", id="2")
        assert {socket.receive()["type"] for _ in range(2)} == {"next", "complete"}
        say(server, "x")
        socket.next()
        [worker] = server.status()["workers"]
        assert (worker["streams"], worker["websockets"], worker["subscribers"], worker["events"]) == (1, 1, 2, 2)
    wait_until(lambda: server.status()["workers"][0]["subscribers"] == 0, what="nobody is left")
    assert server.status()["workers"][0]["websockets_cut"] == 0


# --- one stream for several operations (graphql-sse's single connection mode) ---

TOKEN = "x-graphql-event-stream-token"


def reserve(server):
    response = httpx.put(server.url)
    assert response.status_code == 201
    assert response.headers["content-type"].startswith("text/plain")
    return response.text


class SharedStream(EventStream):
    """The stream of a token; operations are sent over connections of their own."""

    def __init__(self, server, token=None):
        super().__init__(server, None)
        self.token = token or reserve(server)

    def open(self):
        return self.client.stream("GET", f"{self.server.url}?token={self.token}", headers=self.headers)

    def read(self):
        event = None
        for line in self.response.iter_lines():
            if line.startswith("event: "):
                event = line[7:]
            elif line.startswith("data: "):
                yield event, json.loads(line[6:])

    def operate(self, query, operation_id, status=202):
        payload = {"query": query, "extensions": {"operationId": operation_id}}
        response = httpx.post(self.server.url, json=payload, headers={TOKEN: self.token})
        assert response.status_code == status, response.text

    def stop(self, operation_id, status=200):
        response = httpx.delete(f"{self.server.url}?operationId={operation_id}", headers={TOKEN: self.token})
        assert response.status_code == status, response.text


def test_a_shared_stream(two_workers):
    for _ in range(10):  # each request on a connection of its own: on either worker
        with SharedStream(two_workers) as stream:
            stream.operate("{ hello }", "q")
            assert next(stream.events) == ("next", {"id": "q", "payload": {"data": {"hello": "world"}}})
            assert next(stream.events) == ("complete", {"id": "q"})
            stream.operate('subscription { said(has: "x") { text } }', "x")
            stream.operate("subscription { said { text } }", "all")
            say(two_workers, "y")
            assert next(stream.events) == ("next", {"id": "all", "payload": {"data": {"said": {"text": "y"}}}})
            stream.operate("{ hello }", "x", status=409)
            stream.stop("all")
            say(two_workers, "x")
            assert next(stream.events) == ("next", {"id": "x", "payload": {"data": {"said": {"text": "x"}}}})
            stream.stop("unknown")
    wait_until(lambda: in_hand(two_workers) == 0, what="all have ended")


def test_tokens(two_workers):
    server = two_workers
    for token in ("0" * 32, "short", ""):
        assert httpx.get(f"{server.url}?token={token}", headers={"accept": "text/event-stream"}).status_code == 404
        assert httpx.delete(f"{server.url}?operationId=1", headers={TOKEN: token}).status_code == 404
    token = reserve(server)
    SharedStream(server, token).operate("{ hello }", "1", status=404)  # not open yet
    with SharedStream(server, token) as stream:
        assert httpx.get(f"{server.url}?token={token}", headers={"accept": "text/event-stream"}).status_code == 409
        payload = {"query": "{ hello }"}
        assert httpx.post(server.url, json=payload, headers={TOKEN: token}).status_code == 400
        assert httpx.delete(server.url, headers={TOKEN: token}).status_code == 400
        stream.operate("{ nope }", "1")
        event, data = next(stream.events)
        assert (event, data["id"]) == ("next", "1")
        assert "nope" in data["payload"]["errors"][0]["message"]

    def gone():
        return httpx.post(server.url, json=payload | {"extensions": {"operationId": "1"}}, headers={TOKEN: token}).status_code

    wait_until(lambda: gone() == 404, what="the token has gone with its stream")


def test_a_shared_stream_over_a_reload(server):
    with SharedStream(server) as stream:
        stream.operate(SAID, "1")
        edit(server, "resolvers/resolvers.lua", ("{ text = ", '{ text = "new " .. '))
        server.reload()
        say(server, "x")
        assert next(stream.events)[1]["payload"]["data"]["said"]["text"] == "new x"


def test_as_many_operations_as_the_server_takes_on(start):
    server = start(BUNDLE | {"app.lua": APP.replace("graphql = { timeout = 2 }", "graphql = { max_operations = 2 }")})
    with WebSocket(server) as socket, EventStream(server, "subscription { never }"):
        for id_ in ("1", "2"):
            socket.subscribe("subscription { slow }", id=id_)
        wait_until(lambda: in_hand(server) == 3, what="all are in hand")
        response = server.post({"query": "{ hello }"})
        assert response.status_code == 503
        assert response.json()["errors"][0]["extensions"]["code"] == "UNAVAILABLE"
        socket.send(id="1", type="complete")
        wait_until(lambda: in_hand(server) == 2, what="one has gone")
        assert server.data("{ hello }") == {"hello": "world"}
