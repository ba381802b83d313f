# SPDX-License-Identifier: MIT
"""Topics read without a group, subscriptions fed by them, and dead letters, on a real Apache Kafka: what the embedded broker
does not have (transactions, times, topics that come and grow, a broker that stands still, deletion)."""

import json
import time

import confluent_kafka
import pytest
from confluent_kafka.admin import NewPartitions, NewTopic

from harness import SLOWNESS, run_cli, wait_until
from streams import EventStream

FILES = {
    "app.lua": """return { kafka = { linger = 0.001,
      properties = { ["topic.metadata.refresh.interval.ms"] = 500 } } }""",
    "schema/s.graphql": """
type Query { read(topic: String!, since: Float, uncommitted: Boolean): [String!] }
type Mutation { publish(topic: String!, text: String!): Int }
type Subscription { events(topic: String!, since: Float): String }
""",
    "resolvers/r.lua": """
return {
  Query = { read = function(_, args, ctx)
    local list = {}
    local reader <close> = ctx.events:read(args.topic, { to = "end", format = "bytes", uncommitted = args.uncommitted,
      from = args.since and { timestamp = args.since } })
    for msg in reader do list[#list + 1] = msg.value end
    return list
  end },
  Mutation = { publish = function(_, args, ctx)
    return ctx.events:publish(args.topic, args.text, { format = "bytes" }).offset
  end },
  Subscription = { events = {
    subscribe = function(_, args, ctx)
      return ctx.events:subscribe(args.topic, nil, { format = "bytes", from = args.since and { timestamp = args.since } })
    end,
    resolve = function(event) return event end,
  } },
}
""",
}
EVENTS = "subscription ($topic: String!, $since: Float) { events(topic: $topic, since: $since) }"


@pytest.fixture
def server(start, kafka):
    return start(FILES, "--kafka", kafka.brokers, workers=2)


def read(server, topic, **arguments):
    passed = "".join(f", {name}: {json.dumps(value)}" for name, value in arguments.items())
    return server.data(f"{{ read(topic: {json.dumps(topic)}{passed}) }}")["read"]


def event_of(payload):
    return payload["data"]["events"]


def test_only_what_was_committed_and_from_a_time_on(kafka, server):
    topic = kafka.topic()
    settings = {"bootstrap.servers": kafka.brokers, "transactional.id": kafka.name("txn"), "log_level": 0}
    producer = confluent_kafka.Producer(settings)
    producer.init_transactions(60 * SLOWNESS)
    for i, commits in enumerate((True, False, True)):
        producer.begin_transaction()
        producer.produce(topic, f"t{i}".encode())
        if commits:
            producer.commit_transaction(60 * SLOWNESS)
        else:
            producer.flush(60 * SLOWNESS)
            producer.abort_transaction(60 * SLOWNESS)
    assert read(server, topic) == ["t0", "t2"]
    assert read(server, topic, uncommitted=True) == ["t0", "t1", "t2"]


def test_from_a_time_on(kafka, server):
    topic = kafka.topic()
    kafka.produce(topic, [{"value": f"t{i}", "timestamp": 1_700_000_000_000 + i * 1000} for i in range(3)])
    assert read(server, topic, since=1_700_000_000.5) == ["t1", "t2"]
    assert read(server, topic, since=1_700_000_005) == []
    with EventStream(server, EVENTS, {"topic": topic, "since": 1_700_000_002}) as stream:
        assert event_of(stream.next()) == "t2"
        server.data(f'mutation {{ publish(topic: "{topic}", text: "live") }}')
        assert event_of(stream.next()) == "live"
    other = kafka.topic()
    kafka.produce(other, [{"value": "old", "timestamp": 1_700_000_000_000}])
    with EventStream(server, EVENTS, {"topic": other, "since": 1_700_000_005}) as stream:
        server.data(f'mutation {{ publish(topic: "{other}", text: "after nothing") }}')
        assert event_of(stream.next()) == "after nothing"


def test_a_topic_that_comes_and_grows_and_a_broker_that_stands_still(kafka, server):
    topic = kafka.name("later")
    with EventStream(server, EVENTS, {"topic": topic}) as stream:
        kafka.admin.create_topics([NewTopic(topic, num_partitions=2)])[topic].result(60 * SLOWNESS)
        kafka.produce(topic, [{"value": "first"}])
        assert event_of(stream.next()) == "first"
        count = 2
        kafka.admin.create_partitions([NewPartitions(topic, count + 1)])[topic].result(60 * SLOWNESS)
        wait_until(lambda: len(kafka.ends(topic)) == count + 1, what="the new partition")
        kafka.produce(topic, [{"value": "in a new partition", "partition": count}])
        assert event_of(stream.next()) == "in a new partition"
        kafka.pause(1)
        time.sleep(2)  # longer than a fetch
        kafka.cont(1)
        kafka.produce(topic, [{"value": f"after {i}"} for i in range(10)])
        assert sorted(event_of(stream.next()) for _ in range(10)) == [f"after {i}" for i in range(10)]


HANDLER = """
local errors = require "perilune.errors"
return {{ topic = "{topic}", group = "{group}", dead_letter = "{dlq}", retry = {{ attempts = 2, initial = 0.01 }},
  handler = function(event, msg, ctx)
    if event.n % 10 == 3 and not require "lib.fixed" then error(errors.failed_precondition("not today")) end
    ctx.events:publish("{out}", event, {{ key = msg.key, headers = {{ of = msg.headers["perilune-replay-of"] or "-" }} }})
  end }}
"""


def test_dead_letters_of_a_consumer_are_replayed_to_it(kafka, start):
    topic, out, dlq, group = kafka.topic(partitions=2), kafka.topic(), kafka.topic("orders-dlq", 2), kafka.name("group")
    handler = HANDLER.format(topic=topic, group=group, dlq=dlq, out=out)
    files = FILES | {"events/e.lua": handler, "lib/fixed.lua": "return false"}
    server = start(files, "--kafka", kafka.brokers)
    kafka.produce(topic, [{"key": str(i), "value": json.dumps({"n": i})} for i in range(100)] + [{"value": "{"}])
    kafka.wait_for(dlq, 11)
    kafka.wait_committed(group, topic)

    def command(verb, *args):
        result = run_cli("dlq", verb, *args, "--brokers", kafka.brokers, "--dir", server.bundle)
        assert result.returncode == 0, result.stderr
        return result.stdout

    rows = [json.loads(line) for line in command("list", "--json").splitlines()]
    counts = {row["code"]: row["waiting"] for row in rows if row["topic"] == dlq}
    assert counts == {"FAILED_PRECONDITION": 10, "INVALID_ARGUMENT": 1}
    shown = [json.loads(line) for line in command("show", dlq, "-f", "code=INVALID_ARGUMENT", "--json").splitlines()]
    assert [(one["value"], one["format"], one["original_topic"], one["group"]) for one in shown] == [("{", "text", topic, group)]
    server.bundle.joinpath("lib/fixed.lua").write_text("return true")
    server.reload()
    assert command("replay", dlq, "-f", "code=FAILED_PRECONDITION").startswith(f"10 events replayed, to {topic} (10); 1 did")
    events = kafka.wait_for(out, 100)
    assert sorted(json.loads(event.value)["n"] for event in events) == list(range(100))
    again = [event for event in events if dict(event.headers)["of"] != b"-"]
    assert sorted(json.loads(event.value)["n"] for event in again) == list(range(3, 100, 10))
    assert {dict(event.headers)["of"].decode().rpartition("/")[0] for event in again} <= {f"{dlq}/0", f"{dlq}/1"}
    assert command("replay", dlq, "-f", "code=FAILED_PRECONDITION").startswith("0 events replayed")
    assert command("drop", dlq, "--all", "--delete").startswith("1 event dropped")
    assert kafka.read(dlq) == []
    assert command("list", dlq) == "There are no dead letters.\n"
