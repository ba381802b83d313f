# SPDX-License-Identifier: MIT
"""Events published to a real Apache Kafka: what its log, its own tools and other clients see of them."""

import json
import subprocess
import threading
import time

import pytest

from harness import SLOWNESS, code_of, wait_until, write_bundle
from kafka import Kafka

SCHEMA = """
type Query { ping: String }
type Mutation {
  publish(topic: String!, value: String, key: String, headers: [[String!]!], timestamp: Float): String
  flood(topic: String!, first: Int!, count: Int!, wait: Boolean): Int
}
"""
RESOLVERS = """
return { Query = { ping = function() return "pong" end }, Mutation = {
  publish = function(_, args, ctx)
    local ack = ctx.events:publish(args.topic, args.value,
      { key = args.key, headers = args.headers, timestamp = args.timestamp, format = "bytes" })
    return ack.partition .. "/" .. ack.offset
  end,
  flood = function(_, args, ctx)
    local sent = {}
    for i = args.first, args.first + args.count - 1 do
      sent[#sent + 1] = ctx.events:publish_async(args.topic, tostring(i), { key = tostring(i % 10), format = "bytes" })
    end
    if args.wait then for _, one in ipairs(sent) do one:wait() end end
    return #sent
  end,
} }
"""
FILES = {"schema/s.graphql": SCHEMA, "resolvers/r.lua": RESOLVERS}


def app(**settings):
    """app.lua with these settings of kafka."""

    def lua(value):
        if isinstance(value, dict):
            return "{" + ", ".join(f'["{name}"] = {lua(one)}' for name, one in value.items()) + "}"
        return json.dumps(value)

    return {"app.lua": f"return {{ kafka = {lua(settings)} }}"}


@pytest.fixture
def serve(start, kafka):
    """serve(linger=0, …) runs a server that publishes to the real Kafka."""
    return lambda workers=1, **settings: start(FILES | app(**settings), "--kafka", kafka.brokers, workers=workers)


@pytest.fixture(scope="module")
def server(start_shared, kafka):
    return start_shared(FILES | app(linger=0), "--kafka", kafka.brokers)


def publish(server, topic, **arguments):
    """The whole answer."""
    names = {"value": "String", "key": "String", "headers": "[[String!]!]", "timestamp": "Float"}
    declared = "".join(f", ${name}: {names[name]}" for name in arguments)
    passed = "".join(f", {name}: ${name}" for name in arguments)
    return server.graphql(
        f"mutation ($topic: String!{declared}) {{ publish(topic: $topic{passed}) }}", {"topic": topic} | arguments
    )


def published(server, topic, **arguments):
    """(partition, offset)"""
    answer = publish(server, topic, **arguments)
    assert "errors" not in answer, answer
    return tuple(int(part) for part in answer["data"]["publish"].split("/"))


def flood(server, topic, first, count, wait=True):
    query = "mutation ($t: String!, $f: Int!, $c: Int!, $w: Boolean) { flood(topic: $t, first: $f, count: $c, wait: $w) }"
    assert server.data(query, {"t": topic, "f": first, "c": count, "w": wait}) == {"flood": count}


def numbers(events):
    return [int(event.value) for event in events]


def assert_once_and_in_order(events, count):
    """What flood has sent: each number once, and those of a key in order."""
    assert sorted(numbers(events)) == list(range(count))
    for key in range(10):
        own = [int(event.value) for event in events if event.key == b"%d" % key]
        assert own == sorted(own)


def test_every_codec_is_used_and_understood(kafka, serve):
    topic = kafka.topic()
    server = serve(linger=0)
    codecs = ["none", "gzip", "snappy", "lz4", "zstd"]
    for codec in codecs:
        write_bundle(server.bundle, app(linger=0, compression=codec))
        server.reload()
        published(server, topic, value=codec + " " + "x" * 2000)
    assert [batch.codec for batch in kafka.batches(topic)] == codecs
    printed = kafka.tool("console-consumer", "--topic", topic, "--from-beginning", "--max-messages", 5)
    assert [line.split()[0] for line in printed.splitlines()] == codecs


def test_without_acknowledgements_nothing_is_known_of_the_place(kafka, serve):
    topic = kafka.topic()
    server = serve(linger=0, acks=0, idempotence=False)
    partition, _ = published(server, topic, value="gone and forgotten")
    assert partition == 0
    wait_until(lambda: kafka.ends(topic) == {0: 1}, what="what nobody has acknowledged")


def test_a_broker_that_stops_answering_gets_nothing_twice(kafka, serve):
    """Requests that were not answered in time are sent again, while the first ones still lie in the broker's socket."""
    topic = kafka.topic()
    server = serve(linger=0, properties={"socket.timeout.ms": 1000, "request.timeout.ms": 1000})
    flood(server, topic, 0, 100)
    kafka.pause(1)
    try:
        flood(server, topic, 100, 200, wait=False)
        assert server.data("{ ping }") == {"ping": "pong"}
        server.wait_log("timed out", seconds=20)
    finally:
        kafka.cont(1)
    flood(server, topic, 300, 10)
    wait_until(lambda: server.status()["workers"][0]["published"]["acknowledged_total"] == 310, 30, "all to be acknowledged")
    assert_once_and_in_order(kafka.read(topic), 310)
    assert all(batch.producer_id >= 0 for batch in kafka.batches(topic))


def test_a_key_has_the_partition_that_javas_client_chooses(kafka, server):
    ours, theirs = kafka.topic(partitions=7), kafka.topic(partitions=7)
    keys = [f"key-{i}" for i in range(50)] + ["", "ключ", "x" * 100]
    kafka.tool(
        "console-producer",
        *("--topic", theirs, "--property", "parse.key=true", "--property", "key.separator=|"),
        text="".join(f"{key}|v\n" for key in keys),
    )
    for key in keys:
        published(server, ours, value="v", key=key)
    chosen = {event.key: event.partition for event in kafka.read(theirs)}
    assert {event.key: event.partition for event in kafka.read(ours)} == chosen
    assert len(chosen) == len(keys)


def test_kafkas_own_consumer_sees_keys_headers_and_tombstones(kafka, server):
    topic = kafka.topic()
    published(server, topic, value="hello", key="k", headers=[["one", "1"], ["two", "zwei €"], ["one", "again"]])
    published(server, topic, key="gone")
    properties = [f"--property=print.{what}=true" for what in ("key", "headers", "offset", "partition")]
    printed = kafka.tool("console-consumer", "--topic", topic, "--from-beginning", "--max-messages", 2, *properties)
    assert printed.splitlines() == [
        "Partition:0\tOffset:0\tone:1,two:zwei €,one:again\tk\thello",
        "Partition:0\tOffset:1\tNO_HEADERS\tgone\tnull",
    ]


def test_timestamps(kafka, server):
    topic = kafka.topic()
    before = time.time()
    published(server, topic, value="now")
    published(server, topic, value="then", timestamp=1700000000.123)
    now, then = kafka.read(topic)
    assert before - 1 <= now.timestamp <= time.time() + 1
    assert then.timestamp == 1700000000.123


def test_a_topic_that_does_not_exist_is_not_found(kafka, serve):
    server = serve(linger=0, properties={"topic.metadata.propagation.max.ms": 500})
    begin = time.monotonic()
    answer = publish(server, kafka.name("nowhere"), value="x")
    assert code_of(answer) == "NOT_FOUND"
    assert "Unknown topic" in answer["errors"][0]["message"]
    assert time.monotonic() - begin < 10 * SLOWNESS


@pytest.mark.core
def test_an_event_that_the_broker_finds_too_large(kafka, server):
    topic = kafka.topic(max_message_bytes=1000)
    answer = publish(server, topic, value="x" * 5000)
    assert code_of(answer) == "INVALID_ARGUMENT"
    assert "Message size too large" in answer["errors"][0]["message"]
    assert published(server, topic, value="small") == (0, 0)


def test_sigterm_waits_until_all_is_acknowledged(kafka, serve):
    topic = kafka.topic(partitions=3)
    server = serve(linger=0.5)
    flood(server, topic, 0, 5000, wait=False)
    server.stop()
    assert_once_and_in_order(kafka.read(topic), 5000)


@pytest.mark.tsan
@pytest.mark.core
def test_reloads_and_new_settings_under_load_lose_nothing(kafka, serve):
    """Each second reload changes settings of Kafka, so that the producer is another one."""
    topic = kafka.topic(partitions=3)
    server = serve(workers=2)
    sent = threading.Event()
    count = 40 if SLOWNESS > 2 else 100

    def load():
        try:
            for i in range(count):
                flood(server, topic, i * 50, 50)
        finally:
            sent.set()

    thread = threading.Thread(target=load)
    thread.start()
    reloads = 0
    while not sent.is_set():
        reloads += 1
        write_bundle(server.bundle, app(client_id=f"after-{reloads // 2}") | {"lib.lua": f"return {reloads}"})
        server.reload()
    thread.join()
    assert reloads > 2
    assert sorted(numbers(kafka.read(topic))) == list(range(count * 50))


def test_nodes_end_with_the_process_that_wanted_them(tmp_path):
    """However it ends; and those that are paused, too."""
    owner = subprocess.Popen(["sleep", "600"])
    try:
        cluster = Kafka(tmp_path, owner=owner.pid)
        cluster.pause(1)
        assert cluster.states() == {1: "paused"}
    finally:
        owner.kill()
        owner.wait()
    wait_until(lambda: cluster.states() == {1: "down"}, what="the node to end")
