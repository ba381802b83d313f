# SPDX-License-Identifier: MIT
"""Events whose schemas are in a schema registry."""

import json
import subprocess

import pytest

from harness import SLOWNESS, run_cli, wait_until
from schema_registry import SchemaRegistry, status

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


def files_with(registry, settings="", topics=""):
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
    server = start(files_with(registry, topics='["payments"] = { message = "pay.v1.Event", registry = true }'), workers=2)
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


CONSUMERS = """
local log = require "perilune.log"
local function consumer(topic, more)
  local declared = { topic = topic, group = "g-" .. topic, registry = true, retry = { attempts = 2, initial = 0.05 },
    handler = function(event, msg) log.info("handled", { text = event and event.text or "nothing", topic = msg.topic }) end }
  for name, value in pairs(more) do declared[name] = value end
  return declared
end
return {
  consumer("payments", { format = "protobuf", message = "pay.v1.Event" }),
  consumer("any", { retry = { attempts = 1000, initial = 0.05, max = 0.1 }, circuit = false }),
  consumer("batches", { format = "protobuf", batch = { size = 10, wait = 0.5 }, handler = function(events, msgs)
    for i, event in ipairs(events) do
      log.info("handled", { text = event.text, topic = msgs[i].topic })
      if event.text == "fails" then return { [i] = "the handler does not like it" } end
    end
  end }),
}
"""


def produce(broker, topic, *values):
    for value in values:
        command = ["kcat", "-b", broker, "-t", topic, "-P", "-p", "0", "-D", "\x1f"]
        subprocess.run(command, check=True, input=value, timeout=30 * SLOWNESS)


def dead(broker, topic):
    """What is in a dead-letter topic: (value in hex, code, message)."""
    command = ["kcat", "-b", broker, "-t", topic, "-C", "-e", "-q", "-J"]
    lines = subprocess.run(command, check=True, capture_output=True, timeout=30 * SLOWNESS).stdout.decode().splitlines()
    found = []
    for line in map(json.loads, lines):
        headers = dict(zip(line["headers"][::2], line["headers"][1::2], strict=True))
        found.append((headers["kafka_dlt-exception-fqcn"], headers["kafka_dlt-exception-message"]))
    return found


def test_consumers_read_what_the_schema_of_an_event_says(start, registry):
    registry.register("x", "syntax = 'proto3'; message Other {}")
    later = 'syntax = "proto3"; package pay.v1; message Event { string text = 1; string more = 9; }'
    id = registry.register("payments-value", later)
    server = start(files_with(registry) | {"events/e.lua": CONSUMERS}, workers=2)
    broker = server.ready["kafka"]
    head = bytes([0, 0, 0, 0, id, 0])
    # What a later version of the message has is passed over, or goes along.
    produce(broker, "payments", head + b"\x0a\5first\x4a\1x")
    server.wait_log("handled", "first")
    # Without a schema; of a schema that is not there; of another message; a message that is broken.
    produce(broker, "payments", b'{"text":1}', b"\0\0\0\0\x63\0", b"\0\0\0\0\1\0", head + b"\x0a\x63", head + b"\x0a\4last")
    server.wait_log("handled", "last")
    codes = wait_until(lambda: len(dead(broker, "payments-dlq")) == 4 and dead(broker, "payments-dlq"))
    assert sorted(code for code, _ in codes) == ["INVALID_ARGUMENT"] * 3 + ["NOT_FOUND"]
    for part in ("not with the byte 0", "no schema 99", "the value is a Other (schema 1), not a pay.v1.Event"):
        assert part in str(codes)
    produce(broker, "batches", head + b"\x0a\3one", b"poison", head + b"\x0a\5fails", head + b"\x0a\3two")
    wait_until(lambda: len(dead(broker, "batches-dlq")) == 2)
    assert "does not like it" in str(dead(broker, "batches-dlq"))


def test_events_wait_while_the_registry_is_down(start, registry):
    server = start(files_with(registry, "timeout = 1") | {"events/e.lua": CONSUMERS})
    id = registry.register("any-value", EVENT)
    registry.always = status(503)
    produce(server.ready["kafka"], "any", bytes([0, 0, 0, 0, id, 2, 2]) + b"\x0a\4kept")
    wait_until(lambda: len(registry.asked("/schemas/ids")) >= 4)
    assert "kept" not in server.log_text()
    registry.always = None
    server.wait_log("handled", "kept")


ORDER = """{ "$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Order", "type": "object",
  "properties": { "text": { "type": "string", "maxLength": 5 } }, "required": ["text"] }"""
JSON_CONSUMERS = """
local log = require "perilune.log"
local function handler(event, msg) log.info("handled", { text = event.text, topic = msg.topic }) end
return {
  { topic = "orders", group = "a", registry = true, format = "json", schema = "schemas/order.schema.json", handler = handler },
  { topic = "plain", group = "b", schema = "schemas/order.schema.json", retry = false, handler = handler },
}
"""


def test_json_is_what_its_schema_says(start, registry):
    topics = '["orders"] = { schema = "schemas/order.schema.json", registry = true }, '
    topics += '["plain"] = { schema = "schemas/order.schema.json" }'
    files = {"schemas/order.schema.json": ORDER, "events/e.lua": JSON_CONSUMERS}
    server = start(files_with(registry, 'strategy = "topic_record_name"', topics) | files)
    broker = server.ready["kafka"]
    assert call(server, "publish", topic="orders", text="hi") == "ok"
    assert call(server, "publish", topic="plain", text="ho") == "ok"
    assert registry.subjects == {"orders-Order": [1]}
    assert registry.schemas[0] == {"schema": ORDER, "schemaType": "JSON"}
    assert consume(broker, "orders") == b'\0\0\0\0\1{"text":"hi"}'
    assert consume(broker, "plain") == b'{"text":"ho"}'
    refused = call(server, "publish", topic="orders", text="too long")
    assert refused["extensions"]["code"] == "INVALID_ARGUMENT"
    assert "/text: has 8 characters" in refused["message"]
    server.wait_log("handled", '"hi"')
    server.wait_log("handled", '"ho"')
    produce(broker, "orders", b'\0\0\0\0\1{"text":7}')
    produce(broker, "plain", b'{"tex":7}')
    wait_until(lambda: dead(broker, "orders-dlq") and dead(broker, "plain-dlq"))
    assert "/text: must be string" in dead(broker, "orders-dlq")[0][1]
    assert 'must have "text"' in dead(broker, "plain-dlq")[0][1]


def test_what_cannot_be_is_found_by_check(bundle):
    def errors(files):
        result = run_cli("check", bundle(files))
        assert result.returncode == 1
        return result.stdout

    topics = """["p"] = { message = "pay.v1.Evnt" }, ["q"] = { schema = "a.schema.json" }, ["r"] = { schema = "b.schema.json" }"""
    app = f'return {{ name = "a", kafka = {{ topics = {{ {topics} }} }} }}'
    found = errors({"app.lua": app, "b.schema.json": '{ "properties": { "a": { "patern": "x" } } }'})
    assert "b.schema.json: /properties/a/patern: this keyword is not supported" in found
    found = errors({"app.lua": app, "b.schema.json": "{}"})
    assert 'kafka.topics["p"]: there is no message "pay.v1.Evnt"' in found
    assert 'kafka.topics["q"]: there is no file a.schema.json' in found
    assert '"r"' not in found
    consumer = 'return { topic = "t", registry = true, handler = print }'
    found = errors({"app.lua": 'return { name = "a", kafka = {} }', "events/e.lua": consumer})
    assert "events/e.lua: registry is true, but there is no schema registry" in found
    registry = '{ url = "http://a:b@c", user = "x", token = "y" }'
    found = errors({"app.lua": f'return {{ name = "a", kafka = {{ registry = {registry} }} }}'})
    assert "must not hold a user or password" in found and "has a user and a token" in found


def test_schemas_are_compared_and_registered(bundle, registry):
    topics = '["payments"] = { message = "pay.v1.Event", registry = true }, '
    topics += '["heads"] = { message = "pay.v1.Head", registry = true }'
    made = bundle(files_with(registry, "auto_register = false", topics))
    result = run_cli("check", made, "--registry")
    assert result.returncode == 0, result.stdout
    assert "common/unit.proto: new (proto/common/unit.proto)" in result.stdout
    assert registry.subjects == {}
    result = run_cli("schemas", "register", made)
    assert result.returncode == 0, result.stdout
    assert "payments-value: id 3 (proto/pay.proto)" in result.stdout
    assert set(registry.subjects) == {"common/unit.proto", "common/money.proto", "heads-value", "payments-value"}
    result = run_cli("schemas", "check", made)
    assert result.stdout.count(": compatible (") == 4
    registry.incompatible["payments-value"] = ["field 1 has become a number"]
    result = run_cli("check", made, "--registry")
    assert result.returncode == 1
    assert "proto/pay.proto: subject payments-value: it is not compatible" in result.stdout
    assert "field 1 has become a number" in result.stdout and "no errors" not in result.stdout
    assert run_cli("check", made).returncode == 0


def test_a_registry_that_cannot_be_asked_is_no_incompatible_schema(bundle, registry):
    made = bundle(files_with(registry, "timeout = 1, check = true", '["p"] = { message = "pay.v1.Event", registry = true }'))
    registry.always = status(503)
    result = run_cli("check", made)
    assert result.returncode == 1
    assert "app.lua: kafka.registry: the schema registry answers with status 503" in result.stdout
