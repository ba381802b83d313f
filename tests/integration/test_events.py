# SPDX-License-Identifier: MIT
"""Events published from scripts, read back by kcat from the embedded broker."""

import json
import socket
import subprocess

import pytest

from harness import SLOWNESS, run_cli, wait_until

SCHEMA = """
type Query { ping: String }
type Mutation { publish(topic: String!, value: String, key: String, headers: Boolean, format: String): String }
"""
RESOLVERS = """
local proto = require "perilune.proto"
return { Query = { ping = function() return "pong" end }, Mutation = {
  publish = function(_, args, ctx)
    local options = { key = args.key, headers = args.headers and { { "one", "1" }, { "two", "2" } } or nil }
    local value = args.value and { text = args.value }
    if args.format == "protobuf" then options.message = "pay.v1.Event" end
    if args.format == "async" then return ctx.events:publish_async(args.topic, value, options) and "sent" end
    if args.format == "batch" then
      local list = {}
      for i = 1, 100 do list[i] = { value = i, partition = 0 } end
      local acks = ctx.events:publish_batch(args.topic, list)
      return #acks .. " " .. acks[1].offset .. " " .. acks[100].offset
    end
    local ack = ctx.events:publish(args.topic, value, options)
    return ("%s/%d/%d"):format(ack.topic, ack.partition, ack.offset)
  end,
} }
"""
PROTO = 'syntax = "proto3"; package pay.v1; message Event { string text = 1; }'
BUNDLE = {
    "app.lua": 'return { kafka = { brokers = "embedded", linger = 0, max_message = "64 KiB" } }',
    "schema/s.graphql": SCHEMA,
    "resolvers/r.lua": RESOLVERS,
    "proto/pay.proto": PROTO,
}


def publish(server, topic, **arguments):
    names = {"value": "String", "key": "String", "headers": "Boolean", "format": "String"}
    declared = "".join(f", ${name}: {names[name]}" for name in arguments)
    passed = "".join(f", {name}: ${name}" for name in arguments)
    query = f"mutation ($topic: String!{declared}) {{ publish(topic: $topic{passed}) }}"
    return server.graphql(query, {"topic": topic} | arguments)


def consume(broker, topic, pattern="%p %o %k %h %s\\n"):
    """All that is in the topic, by a client that is not ours."""
    command = ["kcat", "-b", broker, "-t", topic, "-C", "-e", "-q", "-f", pattern]
    return subprocess.run(command, check=True, capture_output=True, timeout=30 * SLOWNESS).stdout.decode().splitlines()


@pytest.fixture(scope="module")
def server(start_shared):
    return start_shared(BUNDLE, workers=2)


def test_real_clients_read_what_was_published(server):
    answer = publish(server, "orders", value="hello", key="k1", headers=True)
    topic, partition, offset = answer["data"]["publish"].split("/")
    assert topic == "orders"
    assert consume(server.ready["kafka"], "orders") == [f'{partition} {offset} k1 one=1,two=2 {{"text":"hello"}}']


def test_a_key_has_one_partition_and_keeps_the_order(server):
    for i in range(20):
        publish(server, "by-key", value=str(i), key="same")
    lines = [line.split(" ", 2) for line in consume(server.ready["kafka"], "by-key", "%p %o %s\\n")]
    assert len({partition for partition, _, _ in lines}) == 1
    assert [int(offset) for _, offset, _ in lines] == list(range(20))
    assert [json.loads(value)["text"] for _, _, value in lines] == [str(i) for i in range(20)]


def test_tombstones_and_protobuf(server):
    publish(server, "kinds", key="gone")
    publish(server, "kinds", key="pb", value="x", format="protobuf")
    assert sorted(consume(server.ready["kafka"], "kinds", "%k %S\\n")) == ["gone -1", "pb 3"]
    assert "\x01x" in consume(server.ready["kafka"], "kinds", "%s\\n")  # behind the tag, which is a newline


def test_a_batch(server):
    assert publish(server, "batches", format="batch")["data"]["publish"] == "100 0 99"
    assert consume(server.ready["kafka"], "batches", "%s\\n") == [str(i) for i in range(1, 101)]


def test_what_cannot_be_published_is_an_error_of_its_field(server):
    answer = publish(server, "orders", value="x" * 100_000)
    assert answer["data"] == {"publish": None}
    assert answer["errors"][0]["extensions"]["code"] == "INVALID_ARGUMENT"
    assert answer["errors"][0]["message"].startswith("orders: ")


def test_the_producer_stays_over_reloads(start):
    server = start(BUNDLE)
    publish(server, "orders", value="1", key="k")
    server.bundle.joinpath("lib.lua").write_text("return 1")
    server.reload()
    threads = server.threads()
    publish(server, "orders", value="2", key="k")
    assert server.threads() == threads
    server.bundle.joinpath("app.lua").write_text('return { kafka = { linger = 0.001, client_id = "another" } }')
    server.reload()
    publish(server, "orders", value="3", key="k")
    assert [line[-4:-2] for line in consume(server.ready["kafka"], "orders", "%s\\n")] == ['"1', '"2', '"3']


def test_the_end_of_the_server_waits_for_what_is_under_way(start):
    server = start(BUNDLE | {"app.lua": "return { kafka = { linger = 0.5 } }"}, "--kafka", start(BUNDLE).ready["kafka"])
    assert publish(server, "late", value="x", format="async")["data"]["publish"] == "sent"
    server.stop()
    assert consume(server.command[-1], "late", "%s\\n") == ['{"text":"x"}']


def test_a_dead_broker_is_an_error_after_the_timeout_and_nothing_else_suffers(start):
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        server = start(
            BUNDLE | {"app.lua": "return { kafka = { timeout = 0.5 } }"}, "--kafka", f"127.0.0.1:{nobody.getsockname()[1]}"
        )
        assert "kafka" not in server.ready
        assert publish(server, "orders", value="x", format="async")["data"]["publish"] == "sent"
        assert server.data("{ ping }") == {"ping": "pong"}
        answer = publish(server, "orders", value="x")
        assert answer["errors"][0]["extensions"]["code"] == "DEADLINE_EXCEEDED"
        server.wait_log("event not delivered")
        wait_until(lambda: server.status()["workers"][0]["published"]["failed_total"] == 2, what="both to fail")


def test_without_brokers_the_error_says_what_to_do(start):
    server = start(BUNDLE, "--kafka", "off")
    assert "kafka" not in server.ready
    answer = publish(server, "orders", value="x")
    assert answer["errors"][0]["extensions"]["code"] == "FAILED_PRECONDITION"
    assert "kafka = { brokers" in answer["errors"][0]["message"]
    plain = start({"schema/s.graphql": "type Query { a: Int }"})
    assert "kafka" not in plain.ready


def test_wrong_settings_are_found_by_check(bundle):
    directory = bundle({"app.lua": 'return { kafka = { compression = "rar" } }'})
    result = run_cli("check", directory)
    assert result.returncode == 1
    assert 'kafka.compression: Invalid value "rar"' in result.stderr + result.stdout


def test_reloads_under_load_lose_no_event(start):
    server = start(BUNDLE, workers=2)
    sent = []
    for i in range(200):
        sent.append(publish(server, "load", value=str(i), key=str(i))["data"]["publish"])
        if i % 20 == 0:
            server.bundle.joinpath("lib.lua").write_text(f"return {i}")
            server.reload()
    assert len(set(sent)) == 200
    lines = consume(server.ready["kafka"], "load", "%k\\n")
    assert sorted(lines, key=int) == [str(i) for i in range(200)]
