# SPDX-License-Identifier: MIT
"""Topics that are read without a consumer group: events:read and events:subscribe, on the embedded broker."""

import subprocess
import threading

import pytest

from harness import SLOWNESS, wait_until
from streams import EventStream, WebSocket

SCHEMA = """
type Query {
  ping: String
  read(topic: String!, from: Int, partition: Int, format: String): [String!]
  places(topic: String!): String
}
"""
RESOLVERS = """
local proto = require "perilune.proto"
return { Query = {
  ping = function() return "pong" end,
  read = function(_, args, ctx)
    local list = {}
    local reader <close> = ctx.events:read(args.topic, { to = "end", from = args.from, partition = args.partition,
      format = args.format, timeout = 0.5 })
    for msg, event in reader do
      local value = event == nil and "gone" or type(event) == "table" and event.text or event
      list[#list + 1] = ("%s %s %s"):format(msg.key, value, msg.headers.trace)
    end
    return list
  end,
  places = function(_, args, ctx)
    local first = ctx.events:read(args.topic, { to = "end", partition = 0 })
    first() first()
    local second = ctx.events:read(args.topic, { to = "end", partition = 0, from = { offsets = first:position() } })
    local msg, event = second:next()
    local id, where = msg.id, second:position()[0]
    first:close() second:close()
    assert(first:next() == nil)
    return ("%s %s %d"):format(id, event.text, where)
  end,
} }
"""
BUNDLE = {
    "app.lua": """return { kafka = { brokers = "embedded", linger = 0,
      topics = { ["as-protobuf"] = { message = "pay.v1.Event" } } } }""",
    "proto/pay.proto": 'syntax = "proto3"; package pay.v1; message Event { string text = 1; }',
    "schema/s.graphql": SCHEMA,
    "resolvers/r.lua": RESOLVERS,
}


def produce(broker, topic, lines, *options):
    """By a client that is not ours: lines are key:value."""
    command = ["kcat", "-b", broker, "-t", topic, "-P", "-K", ":", *options]
    text = "".join(f"{line}\n" for line in lines)
    subprocess.run(command, check=True, input=text.encode(), timeout=30 * SLOWNESS)


def consume_keys(broker, topic):
    command = ["kcat", "-b", broker, "-t", topic, "-C", "-e", "-q", "-f", "%k\\n"]
    return sorted(subprocess.run(command, check=True, capture_output=True, timeout=30 * SLOWNESS).stdout.decode().split())


@pytest.fixture(scope="module")
def server(start_shared):
    return start_shared(BUNDLE, workers=2)


def read(server, topic, **arguments):
    passed = "".join(
        f", {name}: {value if isinstance(value, int) else chr(34) + value + chr(34)}" for name, value in arguments.items()
    )
    return server.graphql(f'{{ read(topic: "{topic}"{passed}) }}')


def test_a_topic_is_read_to_its_end(server):
    produce(server.ready["kafka"], "orders", [f'k{i}:{{"text":"{i}"}}' for i in range(500)], "-H", "trace=t1", "-p", "0")
    produce(server.ready["kafka"], "orders", ["x:"], "-Z", "-p", "1")
    lines = read(server, "orders")["data"]["read"]
    assert len(lines) == 501
    assert [line for line in lines if line[0] == "k"] == [f"k{i} {i} t1" for i in range(500)]
    assert "x gone nil" in lines
    assert read(server, "orders", partition=0, **{"from": 497})["data"]["read"] == [f"k{i} {i} t1" for i in range(497, 500)]
    assert server.data('{ places(topic: "orders") }')["places"] == "orders/0/2 2 3"


def test_values_are_read_as_app_lua_says(server):
    produce(server.ready["kafka"], "as-protobuf", ["k:\x0a\x06hello"], "-D", "|", "-p", "0")
    answer = read(server, "as-protobuf", partition=0)
    assert answer["data"]["read"] == ["k hello\n nil"], answer


def test_what_cannot_be_read_is_an_error_with_its_place(server):
    produce(server.ready["kafka"], "odd", ["a:{"], "-p", "2")
    answer = read(server, "odd")
    assert answer["errors"][0]["extensions"]["code"] == "INVALID_ARGUMENT"
    assert answer["errors"][0]["message"].startswith("odd/2/0 is no json: ")
    assert read(server, "odd", format="bytes")["data"]["read"] == ["a { nil"]
    answer = read(server, "odd", partition=0, **{"from": 7})
    assert answer["errors"][0]["extensions"]["code"] == "OUT_OF_RANGE"
    answer = read(server, "odd", partition=77)
    assert answer["errors"][0]["extensions"]["code"] == "NOT_FOUND"


def test_brokers_that_are_gone_are_an_error_and_nothing_else_suffers(start):
    server = start(BUNDLE, "--kafka", "127.0.0.1:1")
    assert read(server, "orders")["errors"][0]["extensions"]["code"] == "UNAVAILABLE"
    assert server.data("{ ping }") == {"ping": "pong"}


# --- subscriptions ---
FED = {
    "app.lua": 'return { kafka = { brokers = os.getenv "BROKERS" or "embedded", linger = 0 } }',
    "schema/s.graphql": """
type Query { ping: String }
type Mutation { publish(topic: String!, text: String!, key: String): Int }
type Subscription { events(topic: String!, from: String, key: String, only: String): Event }
type Event { text: String, where: String }
""",
    "resolvers/r.lua": """
return {
  Query = { ping = function() return "pong" end },
  Mutation = { publish = function(_, args, ctx)
    return ctx.events:publish(args.topic, { text = args.text }, { key = args.key, partition = 0 }).offset
  end },
  Subscription = { events = {
    subscribe = function(_, args, ctx)
      local filter = args.only and function(event, msg)
        return event.text == args.only and msg.topic == args.topic
      end
      return ctx.events:subscribe(args.topic, filter, { from = args.from, key = args.key })
    end,
    resolve = function(event) return event end,
  } },
  Event = { where = function() return "v1" end },
}
""",
}
EVENTS = "subscription ($topic: String!, $from: String, $key: String, $only: String) "
EVENTS += "{ events(topic: $topic, from: $from, key: $key, only: $only) { text } }"


def text_of(payload):
    return payload["data"]["events"]["text"]


@pytest.fixture(scope="module")
def cluster(start_shared):
    first = start_shared(FED, workers=2)
    second = start_shared(FED, "--kafka", first.ready["kafka"], workers=2)
    return first, second


def test_an_event_published_on_one_server_reaches_subscribers_of_all(cluster):
    first, second = cluster
    with (
        EventStream(first, EVENTS, {"topic": "wide"}) as a,
        EventStream(second, EVENTS, {"topic": "wide"}) as b,
        WebSocket(second) as c,
    ):
        c.subscribe(EVENTS, {"topic": "wide", "only": "from second"})
        wait_until(lambda: sum(w["subscribers"] for w in second.status()["workers"]) == 2, what="both to be there")
        first.data('mutation { publish(topic: "wide", text: "from first") }')
        assert [text_of(s.next()) for s in (a, b)] == ["from first"] * 2
        second.data('mutation { publish(topic: "wide", text: "from second") }')
        assert [text_of(s.next()) for s in (a, b, c)] == ["from second"] * 3
        produce(first.ready["kafka"], "wide", ['k:{"text":"from kcat"}', "k:{", 'k:{"text":"last"}'], "-p", "3")
        assert [text_of(s.next()) for s in (a, b) for _ in range(2)] == ["from kcat", "last"] * 2
        first.wait_log("event passed over", "wide/3/1 is no json")


def test_one_reader_for_many_subscribers(cluster):
    server, _ = cluster
    with WebSocket(server) as one, WebSocket(server) as other:
        one.subscribe(EVENTS, {"topic": "many"}, id="first")
        wait_until(lambda: sum(w["subscribers"] for w in server.status()["workers"]) == 1, what="the first to be there")
        wait_until(lambda: sum(w["topics"]["readers"] for w in server.status()["workers"]) >= 1, what="the reader")
        threads = server.threads()
        for i in range(200):
            (one, other)[i % 2].subscribe(EVENTS, {"topic": "many"}, id=str(i))
        wait_until(lambda: sum(w["subscribers"] for w in server.status()["workers"]) == 201, what="all to be there")
        assert server.threads() == threads
        server.data('mutation { publish(topic: "many", text: "x") }')
        assert text_of(one.next(id="first")) == "x"
        for i in range(200):
            assert text_of((one, other)[i % 2].next(id=str(i))) == "x"


@pytest.mark.tsan
def test_pubsub_goes_over_all_servers_through_a_topic(start):
    files = FED | {
        "app.lua": 'return { kafka = { brokers = "embedded", linger = 0 }, pubsub = { topic = "bus" } }',
        "resolvers/r.lua": """
return {
  Mutation = { publish = function(_, args, ctx) ctx.pubsub:publish(args.topic, { text = args.text }) end },
  Subscription = { events = {
    subscribe = function(_, args, ctx)
      return ctx.pubsub:subscribe(args.topic, function(event) return event.text ~= "unwanted" end, { queue = 10 })
    end,
    resolve = function(event) return event end,
  } },
}
""",
    }
    first = start(files, workers=2)
    second = start(files, "--kafka", first.ready["kafka"], workers=2)
    with EventStream(first, EVENTS, {"topic": "a"}) as here, EventStream(second, EVENTS, {"topic": "a"}) as there:
        for topic, text in (("b", "of another"), ("a", "unwanted"), ("a", "wanted")):
            second.data(f'mutation {{ publish(topic: "{topic}", text: "{text}") }}')
        assert [text_of(stream.next()) for stream in (here, there)] == ["wanted", "wanted"]
    assert consume_keys(first.ready["kafka"], "bus") == ["a", "a", "b"]


@pytest.mark.tsan
def test_keys_and_what_was_before(cluster):
    first, second = cluster
    for i in range(20):
        first.data(f'mutation {{ publish(topic: "past", text: "{i}", key: "k{i % 2}") }}')
    with EventStream(second, EVENTS, {"topic": "past", "from": "beginning", "key": "k1"}) as stream:
        assert [text_of(stream.next()) for _ in range(10)] == [str(i) for i in range(1, 20, 2)]
        for i in range(20, 24):
            first.data(f'mutation {{ publish(topic: "past", text: "{i}", key: "k{i % 2}") }}')
        assert [text_of(stream.next()) for _ in range(2)] == ["21", "23"]
        second.bundle.joinpath("lib.lua").write_text("return 1")
        second.reload()  # and what was before does not come again
        first.data('mutation { publish(topic: "past", text: "25", key: "k1") }')
        assert text_of(stream.next()) == "25"


def test_what_was_before_goes_on_over_reloads(start):
    server = start(FED, workers=2)
    produce(server.ready["kafka"], "long", [f'k:{{"text":"{i}"}}' for i in range(20_000)], "-p", "0")
    with EventStream(server, EVENTS, {"topic": "long", "from": "beginning"}) as stream:
        got = [text_of(stream.next()) for _ in range(5)]
        for i in range(3):
            server.bundle.joinpath("lib.lua").write_text(f"return {i}")
            server.reload()
            got += [text_of(stream.next()) for _ in range(1000)]
        server.data('mutation { publish(topic: "long", text: "last") }')
        while got[-1] != "last":
            got.append(text_of(stream.next()))
    assert got == [str(i) for i in range(20_000)] + ["last"]


@pytest.mark.tsan
def test_a_reload_loses_nothing(start):
    server = start(FED, workers=2)
    done = threading.Event()
    published = 0

    def reload_again_and_again():
        for i in range(5):
            server.bundle.joinpath("lib.lua").write_text(f"return {i}")
            server.reload()
        done.set()

    with EventStream(server, EVENTS, {"topic": "live"}) as stream:
        reloads = threading.Thread(target=reload_again_and_again)
        reloads.start()
        while not done.is_set() or published < 50:
            server.data(f'mutation {{ publish(topic: "live", text: "{published}") }}')
            published += 1
        reloads.join()
        assert [text_of(stream.next()) for _ in range(published)] == [str(i) for i in range(published)]
        threads = server.threads()
        server.bundle.joinpath("app.lua").write_text('return { kafka = { linger = 0, client_id = "another" } }')
        server.reload()
        server.data('mutation { publish(topic: "live", text: "with other settings") }')
        assert text_of(stream.next()) == "with other settings"
        wait_until(lambda: server.threads() <= threads + 2, what="the old reader's threads to end")


def test_without_brokers_subscribing_is_an_error(start):
    off = start(FED, "--kafka", "off")
    with EventStream(off, EVENTS, {"topic": "orders"}) as stream:
        assert "kafka = { brokers" in stream.next()["errors"][0]["message"]
    gone = start(FED, "--kafka", "127.0.0.1:1")
    with EventStream(gone, EVENTS, {"topic": "orders"}) as stream:
        assert stream.next()["errors"][0]["extensions"]["code"] == "UNAVAILABLE"
