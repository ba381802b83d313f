# SPDX-License-Identifier: MIT
"""Events whose schemas are in a schema registry."""

import json
import subprocess

import pytest

from harness import SLOWNESS
from schema_registry import SchemaRegistry

SCHEMA = """
type Query { ping: String }
type Mutation {
  publish(topic: String!, message: String, text: String): String
  encode(topic: String!, message: String, text: String): String
  decode(topic: String!, hex: String!, message: String): String
}
"""
RESOLVERS = """
local registry, json = require "perilune.registry", require "perilune.json"
local function hex(bytes) return (bytes:gsub(".", function(c) return ("%02x"):format(c:byte()) end)) end
local function bytes(text) return (text:gsub("..", function(c) return string.char(tonumber(c, 16)) end)) end
return { Query = { ping = function() return "pong" end }, Mutation = {
  publish = function(_, args, ctx)
    local options = args.message and { message = args.message, registry = true } or {}
    ctx.events:publish(args.topic, { text = args.text }, options)
    return "ok"
  end,
  encode = function(_, args)
    return hex(registry.encode(args.topic, { text = args.text }, args.message and { message = args.message }))
  end,
  decode = function(_, args)
    local value, name = registry.decode(args.topic, bytes(args.hex), { message = args.message })
    return json.encode { value = value, name = name }
  end,
} }
"""
EVENT = """syntax = "proto3";
package pay.v1;
import "common/money.proto";
import "google/protobuf/timestamp.proto";
message Head { map<string, string> tags = 1; message Inner { string text = 1; } }
message Event { string text = 1; common.Money amount = 2; google.protobuf.Timestamp at = 3; }
"""
MONEY = 'syntax = "proto3"; package common; import "common/unit.proto"; message Money { int64 amount = 1; Unit unit = 2; }'
UNIT = 'syntax = "proto3"; package common; message Unit { string name = 1; }'


def bundle(registry, settings="", topics=""):
    return {
        "app.lua": f"""return {{ kafka = {{ brokers = "embedded", linger = 0,
  registry = {{ url = "{registry.url}", {settings} }}, topics = {{ {topics} }} }} }}""",
        "schema/s.graphql": SCHEMA,
        "resolvers/r.lua": RESOLVERS,
        "proto/pay.proto": EVENT,
        "proto/common/money.proto": MONEY,
        "proto/common/unit.proto": UNIT,
    }


@pytest.fixture
def registry():
    with SchemaRegistry() as made:
        yield made


def call(server, name, **arguments):
    declared = ", ".join(f"${key}: String{'!' if key in ('topic', 'hex') else ''}" for key in arguments)
    passed = ", ".join(f"{key}: ${key}" for key in arguments)
    answer = server.graphql(f"mutation ({declared}) {{ {name}({passed}) }}", arguments)
    if "errors" in answer:
        return answer["errors"][0]
    return answer["data"][name]


def consume(broker, topic):
    command = ["kcat", "-b", broker, "-t", topic, "-C", "-e", "-q", "-f", "%s"]
    return subprocess.run(command, check=True, capture_output=True, timeout=30 * SLOWNESS).stdout


def test_a_protobuf_event_has_its_schema_in_front(start, registry):
    server = start(bundle(registry, topics='["payments"] = { message = "pay.v1.Event", registry = true }'), workers=2)
    assert call(server, "publish", topic="payments", text="hi") == "ok"
    # Imports first, each with what it imports itself; the well-known ones are every registry's own.
    assert list(registry.subjects) == ["common/unit.proto", "common/money.proto", "payments-value"]
    kept = registry.schemas[2]
    assert kept["schema"] == EVENT
    assert kept["references"] == [{"name": "common/money.proto", "subject": "common/money.proto", "version": 1}]
    assert consume(server.ready["kafka"], "payments") == b"\0\0\0\0\3\2\2\x0a\2hi"
    asked = len(registry.requests)
    assert call(server, "publish", topic="payments", text="ho") == "ok"
    decoded = json.loads(call(server, "decode", topic="payments", hex="000000000302020a026869"))
    assert decoded == {"name": "pay.v1.Event", "value": {"text": "hi"}}
    assert len(registry.requests) <= asked + 1
