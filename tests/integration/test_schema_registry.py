# SPDX-License-Identifier: MIT
"""Events whose schemas are in a schema registry."""

import json
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from harness import SLOWNESS, go_tool, run_cli, wait_until, write_bundle
from schema_registry import SchemaRegistry, basic, hang_up, slow, status

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
  registry = {{ {"" if "url =" in settings else f'url = "{registry.url}",'} {settings} }}, topics = {{ {topics} }} }} }}""",
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


# --- what may go wrong with a registry ---
PAYMENTS = '["payments"] = { message = "pay.v1.Event", registry = true }'


def encode(server):
    return call(server, "encode", topic="payments", text="x")


def test_of_several_addresses_one_that_answers_is_asked(start, registry):
    with SchemaRegistry() as other:
        server = start(files_with(registry, f'url = {{ "{registry.url}", "{other.url}" }}', PAYMENTS))
        registry.always = status(500)
        assert encode(server) == "00000000030202" + "0a0178"
        assert len(registry.requests) == 1 and list(other.subjects)[-1] == "payments-value"


def test_a_registry_that_recovers_is_asked_again(start, registry):
    server = start(files_with(registry, topics=PAYMENTS))
    registry.failures = [status(503), hang_up, status(429)]
    assert encode(server).startswith("0000000003")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (status(500), "status 500"),
        (status(200, b"<html>"), "is none"),
        (status(200, b'{"id":"seven"}'), "id or version is not there"),
        (status(200, b'{"id":4294967296}'), "id or version is not there"),
        (status(302, headers=[("Location", "http://127.0.0.1:1/")]), "it leads elsewhere"),
        (status(404, b"not found"), "is none (status 404"),
        (status(200, b'"' + b"x" * (9 << 20) + b'"'), "too large"),
        (status(200, b"[" * 100_000), "deep"),
        (slow(5), "does not answer"),
        (hang_up, "does not answer"),
    ],
    ids=["500", "html", "no-id", "large-id", "redirect", "404", "huge", "deep", "slow", "hang-up"],
)
def test_a_registry_that_is_none_delays_events_and_nothing_else(hostile, wrong, message):
    server, registry = hostile
    registry.always = wrong
    failure = encode(server)
    assert failure["extensions"]["code"] in ("UNAVAILABLE", "RESOURCE_EXHAUSTED"), failure
    assert message in failure["message"]
    assert server.data("{ ping }") == {"ping": "pong"}


@pytest.fixture(scope="module")
def hostile(start_shared):
    with SchemaRegistry() as registry:
        yield start_shared(files_with(registry, "timeout = 0.6", PAYMENTS)), registry


def test_schemas_that_are_refused(start, registry):
    server = start(files_with(registry, topics=PAYMENTS))
    registry.incompatible["payments-value"] = ["field 1 has another type"]
    failure = encode(server)
    assert failure["extensions"]["code"] == "FAILED_PRECONDITION"
    assert "proto/pay.proto (subject payments-value)" in failure["message"] and "field 1 has another type" in failure["message"]
    registry.incompatible.clear()
    registry.failures = [status(422, {"error_code": 42201, "message": "Invalid schema"})]
    assert encode(server)["extensions"]["code"] == "INVALID_ARGUMENT"
    assert encode(server).startswith("0000000003")


def test_credentials(start):
    with SchemaRegistry(authorization=basic("me", "pass:word")) as registry:
        assert encode(start(files_with(registry, 'user = "me", password = "pass:word"', PAYMENTS))).startswith("00")
    with SchemaRegistry(authorization="Bearer t0ken") as registry:
        assert encode(start(files_with(registry, 'token = "t0ken"', PAYMENTS))).startswith("00")
        server = start(files_with(registry, 'token = "s3cret"', PAYMENTS))
        failure = encode(server)
        # A token that has run out must not make dead letters of all that comes.
        assert failure["extensions"]["code"] == "UNAVAILABLE" and "refuses the credentials" in failure["message"]
        assert "s3cret" not in server.log_text() + str(failure)


def test_what_is_not_there_is_asked_for_again_after_a_while(start, registry):
    server = start(files_with(registry, "missing_ttl = 0.5, auto_register = false", PAYMENTS))
    failure = encode(server)
    assert failure["extensions"]["code"] == "FAILED_PRECONDITION" and "perilune schemas register" in failure["message"]
    asked = len(registry.requests)
    assert encode(server)["extensions"]["code"] == "FAILED_PRECONDITION"
    assert len(registry.requests) == asked
    for subject, schema in (("common/unit.proto", UNIT), ("common/money.proto", MONEY)):
        references = [{"name": "common/unit.proto", "subject": "common/unit.proto", "version": 1}] if schema == MONEY else ()
        registry.register(subject, schema, references=references)
    reference = {"name": "common/money.proto", "subject": "common/money.proto", "version": 1}
    registry.register("payments-value", EVENT, references=[reference])
    wait_until(lambda: str(encode(server)).startswith("0000000003"))


def test_those_who_ask_the_same_share_one_question(start, registry):
    server = start(files_with(registry, topics=PAYMENTS))
    registry.register("other", 'syntax = "proto3"; package pay.v1; message Event { string text = 1; }')
    registry.failures = [slow(0.5)]
    query = 'mutation { decode(topic: "t", hex: "0000000001000a0178") }'
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: server.graphql(query), range(20)))
    assert all("pay.v1.Event" in answer["data"]["decode"] for answer in answers)
    assert len(registry.asked("/schemas/ids/1")) == 1
    # What is known survives a reload, and needs no registry.
    registry.always = status(500)
    server.reload()
    assert "pay.v1.Event" in server.graphql(query)["data"]["decode"]


# --- other people's clients, and a registry that is not ours ---
def messages():
    files = descriptor_pb2.FileDescriptorSet()
    with tempfile.TemporaryDirectory() as folder:
        write_bundle(folder, {"pay.proto": EVENT, "common/money.proto": MONEY, "common/unit.proto": UNIT})
        command = ["protoc", f"-I{folder}", "--include_imports", "--descriptor_set_out=/dev/stdout", "pay.proto"]
        files.ParseFromString(subprocess.run(command, check=True, capture_output=True).stdout)
    pool = descriptor_pool.DescriptorPool()
    for file in files.file:
        pool.Add(file)
    return lambda name: message_factory.GetMessageClass(pool.FindMessageTypeByName(name))


@pytest.fixture
def foreign():
    process = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", go_tool("schemaregistry")], stdout=subprocess.PIPE, text=True)
    try:
        yield SimpleNamespace(url=process.stdout.readline().strip())
    finally:
        process.kill()
        process.wait()


@pytest.mark.filterwarnings("ignore")
def test_clients_of_confluent_read_what_we_write_and_the_other_way_round(start, foreign):
    from confluent_kafka.schema_registry import SchemaRegistryClient
    from confluent_kafka.schema_registry.json_schema import JSONDeserializer, JSONSerializer
    from confluent_kafka.schema_registry.protobuf import ProtobufDeserializer, ProtobufSerializer
    from confluent_kafka.serialization import MessageField, SerializationContext

    topics = PAYMENTS + ', ["orders"] = { schema = "o.schema.json", registry = true }'
    server = start(files_with(foreign, topics=topics) | {"o.schema.json": ORDER})
    client, named = SchemaRegistryClient({"url": foreign.url}), messages()
    of, modern = (lambda topic: SerializationContext(topic, MessageField.VALUE)), {"use.deprecated.format": False}
    # A message inside of another one, behind a map, whose entries count.
    for topic, name in (("payments", "pay.v1.Event"), ("inner", "pay.v1.Head.Inner")):
        theirs = ProtobufSerializer(named(name), client, modern)(named(name)(text="from python"), of(topic))
        assert json.loads(call(server, "decode", topic=topic, hex=theirs.hex())) == {
            "value": {"text": "from python"},
            "name": name,
        }
        assert call(server, "publish", topic=topic, message=name, text="from lua") == "ok"
        ours = consume(server.ready["kafka"], topic)
        assert ProtobufDeserializer(named(name), modern)(ours, of(topic)).text == "from lua"
    theirs = JSONSerializer(ORDER, client)({"text": "py"}, of("orders"))
    assert json.loads(call(server, "decode", topic="orders", hex=theirs.hex()))["value"] == {"text": "py"}
    assert call(server, "publish", topic="orders", text="lua") == "ok"
    ours = consume(server.ready["kafka"], "orders")
    assert ours[:5] == theirs[:5]
    assert JSONDeserializer(ORDER, schema_registry_client=client)(ours, of("orders")) == {"text": "lua"}


BUNDLE_TEST = """
local test = require "perilune.test"
test.test("events with schemas need no registry in tests", function()
  local result = test.events("payments", { text = "seen" })
  assert(result.status == "processed", result.error and result.error.message)
  assert(test.published("payments-out", { registry = true })[1].value.text == "seen")
  assert(test.events("payments", "nothing", { raw = true }).error.code == "INVALID_ARGUMENT")
end)
test.test("consumers whose dead letters are in sequence have schemas, too", function()
  for _, topic in ipairs { "registered", "checked" } do
    local result = test.events(topic, { text = "seen" }, { key = "k" })
    assert(result.status == "processed", result.error and result.error.message)
    assert(test.events(topic, "{}", { key = "k", raw = true }).error.code == "INVALID_ARGUMENT")
  end
end)
"""
IN_SEQUENCE = """
local function consumer(topic, registry)
  return { topic = topic, group = topic, schema = "schemas/order.schema.json", registry = registry, retry = false,
    dead_letter = { topic = topic .. "-dlq", sequenced = true },
    handler = function(event) assert(event.text == "seen") end }
end
return { consumer("registered", true), consumer("checked") }
"""
TESTED = """return { topic = "payments", group = "g", registry = true, message = "pay.v1.Event", retry = false,
  handler = function(event, _, ctx)
    ctx.events:publish("payments-out", event, { message = "pay.v1.Event", registry = true })
  end }"""


def test_tests_of_a_bundle_have_a_registry_of_their_own(bundle):
    nowhere = SimpleNamespace(url="http://127.0.0.1:1")
    files = {"events/e.lua": TESTED, "events/s.lua": IN_SEQUENCE, "tests/events_test.lua": BUNDLE_TEST}
    files["schemas/order.schema.json"] = ORDER
    result = run_cli("test", bundle(files_with(nowhere) | files))
    assert result.returncode == 0, result.stdout + result.stderr
