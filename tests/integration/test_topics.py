# SPDX-License-Identifier: MIT
"""Topics that are read without a consumer group: events:read and events:subscribe, on the embedded broker."""

import subprocess

import pytest

from harness import SLOWNESS

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
    "app.lua": 'return { kafka = { brokers = "embedded", linger = 0 } }',
    "schema/s.graphql": SCHEMA,
    "resolvers/r.lua": RESOLVERS,
}


def produce(broker, topic, lines, *options):
    """By a client that is not ours: lines are key:value."""
    command = ["kcat", "-b", broker, "-t", topic, "-P", "-K", ":", *options]
    text = "".join(f"{line}\n" for line in lines)
    subprocess.run(command, check=True, input=text.encode(), timeout=30 * SLOWNESS)


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
