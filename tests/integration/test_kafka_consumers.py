# SPDX-License-Identifier: MIT
"""Consumers on a real Apache Kafka: what its groups see of reloads, slow handlers and ends, and that failed events are all
accounted for. Short as a rule; PERILUNE_SOAK=1 runs them at length."""

import json
import random
import subprocess
import threading
import time
from collections import Counter

import confluent_kafka
import pytest

from harness import FULL, SLOWNESS, run_cli, wait_until, write_bundle

# Handlers publish what they have handled to `out`, with the version of the code.
COPY = """
return {{ topic = "{topic}", group = "{group}", format = "bytes", {options}
  handler = function(value, msg, ctx)
    ctx.events:publish("{out}", value, {{ key = msg.key, format = "bytes", headers = {{ version = require "lib.version" }} }})
  end }}
"""


def app(limits="", **properties):
    given = {"session.timeout.ms": 6000, "heartbeat.interval.ms": 300, **properties}
    lines = ", ".join(f'["{name}"] = {json.dumps(value)}' for name, value in given.items())
    return {"app.lua": f"return {{ kafka = {{ linger = 0.001, properties = {{ {lines} }} }}, limits = {{ {limits} }} }}"}


def version(number):
    return {"lib/version.lua": f'return "{number}"'}


def copy(topic, group, out, options=""):
    return {"events/copy.lua": COPY.format(topic=topic, group=group, out=out, options=options)}


@pytest.fixture
def serve(start, kafka):
    return lambda files, workers=1: start(files, "--kafka", kafka.brokers, workers=workers)


def totals(server):
    """The sums of all workers' consumers."""
    sums = Counter()
    for worker in server.status()["workers"]:
        sums.update(worker["consumers"])
    return sums


def wait_assigned(server, partitions, seconds=20):
    wait_until(lambda: totals(server)["partitions"] == partitions, seconds, f"{partitions} partitions")


def wait_consumed(server):
    """Something. The partitions of one that was killed come when its session is over."""
    wait_until(lambda: totals(server)["consumed_total"] > 0, 40, "an event")


def values(events):
    return [event.value.decode() for event in events]


@pytest.mark.core
@pytest.mark.tsan
@pytest.mark.parametrize("options", ["", 'delivery = "exactly_once", ordering = "key",'], ids=["plain", "exactly_once"])
def test_reloads_under_load_cause_no_rebalance_and_lose_nothing(kafka, serve, options):
    """And handle nothing twice; what comes after a reload is handled by the new code."""
    topic, out, group = kafka.topic(partitions=4), kafka.topic(partitions=4), kafka.name("group")
    server = serve(app() | version(0) | copy(topic, group, out, options), workers=2)
    wait_assigned(server, 4)
    wait_until(lambda: [len(p) for p in kafka.members(group).values()] == [2, 2], 20, "two members")
    wait_assigned(server, 4)
    members, rebalances = kafka.members(group), totals(server)["rebalances_total"]
    reloads = 100 if SLOWNESS <= 2 else 30
    ended, sent = threading.Event(), []

    def load():
        while not ended.is_set():
            more = [{"key": str(i % 20), "value": str(len(sent) + i)} for i in range(100)]
            kafka.produce(topic, more)
            sent.extend(one["value"] for one in more)

    thread = threading.Thread(target=load)
    thread.start()
    try:
        for number in range(1, reloads + 1):
            write_bundle(server.bundle, version(number))
            server.reload()
    finally:
        ended.set()
        thread.join()
    kafka.produce(topic, ["last"])
    kafka.wait_committed(group, topic)
    events = kafka.read(out)
    assert sorted(values(events)) == sorted(sent + ["last"])
    for partition in range(4):
        versions = [int(dict(event.headers)["version"]) for event in events if event.partition == partition]
        assert len(set(versions)) > 3 or not versions
    last = next(event for event in events if event.value == b"last")
    assert dict(last.headers)["version"] == str(reloads).encode()
    assert kafka.members(group) == members
    assert totals(server)["rebalances_total"] == rebalances


def test_a_handler_slower_than_the_poll_interval_causes_no_rebalance(kafka, serve):
    topic, out, group = kafka.topic(partitions=2), kafka.topic(), kafka.name("group")
    handler = f"""
local time = require "perilune.time"
return {{ topic = "{topic}", group = "{group}", format = "bytes", handler = function(value, msg, ctx)
  if value == "slow" then time.sleep(6) end
  ctx.events:publish("{out}", value, {{ format = "bytes" }})
end }}
"""
    settings = {"session.timeout.ms": 1500, "heartbeat.interval.ms": 300, "max.poll.interval.ms": 2000}
    server = serve(app(**settings) | {"events/slow.lua": handler})
    wait_assigned(server, 2)
    members, rebalances = kafka.members(group), totals(server)["rebalances_total"]
    kafka.produce(topic, [{"value": "slow", "partition": 0}, {"value": "behind it", "partition": 0}])
    kafka.produce(topic, [{"value": "beside it", "partition": 1}])
    events = kafka.wait_for(out, 3, seconds=30)
    assert values(events) == ["beside it", "slow", "behind it"]
    kafka.wait_committed(group, topic)
    assert kafka.members(group) == members
    assert totals(server)["rebalances_total"] == rebalances


@pytest.mark.core
def test_the_end_during_a_backoff_is_quick_and_loses_nothing(kafka, serve):
    topic, out, group = kafka.topic(), kafka.topic(), kafka.name("group")
    handler = f"""
local errors = require "perilune.errors"
return {{ topic = "{topic}", group = "{group}", format = "bytes",
  retry = {{ attempts = 5, initial = 60, max = 60, jitter = false }},
  handler = function(value, msg, ctx)
    if value == "fails" and require "lib.version" == "0" then error(errors.unavailable "not now") end
    ctx.events:publish("{out}", value, {{ format = "bytes" }})
  end }}
"""
    files = app() | version(0) | {"events/fails.lua": handler}
    server = serve(files)
    kafka.produce(topic, ["first", "fails", "behind it"])
    wait_until(lambda: totals(server)["failed_total"] == 1, 20, "the handler to fail")
    begin = time.monotonic()
    server.stop()
    assert time.monotonic() - begin < 2 * SLOWNESS
    assert kafka.committed(group, topic) == {0: 1}
    assert kafka.members(group) == {}
    server = serve(files | version(1))
    kafka.wait_committed(group, topic)
    assert values(kafka.read(out)) == ["first", "fails", "behind it"]


def test_kafkas_own_tool_knows_the_group(kafka, serve):
    topic, out, group = kafka.topic(partitions=2), kafka.topic(), kafka.name("group")
    server = serve(app(**{"client.id": "our-client"}) | version(0) | copy(topic, group, out))
    kafka.produce(topic, [{"key": str(i), "value": str(i)} for i in range(10)])
    kafka.wait_committed(group, topic)
    assert kafka.members(group) == {member: parts for member, parts in kafka.members(group).items() if len(parts) == 2}
    printed = kafka.tool("consumer-groups", "--describe", "--group", group)
    rows = [line.split() for line in printed.splitlines() if topic in line]
    assert sorted(row[2] for row in rows) == ["0", "1"]
    assert sum(int(row[3]) for row in rows) == 10  # committed
    assert [row[5] for row in rows] == ["0", "0"]  # lag
    assert totals(server)["lag"] == 0


TELL = """
local json = require "perilune.json"
return {{ {what}, group = "{group}", format = "bytes", {options}
  handler = function(value, msg, ctx)
    local told = {{ value = value, key = msg.key, headers = msg.headers, topic = msg.topic, partition = msg.partition,
      offset = msg.offset, timestamp = msg.timestamp, attempt = msg.attempt, id = msg.id }}
    ctx.events:publish("{out}", told, {{ key = "one partition" }})
  end }}
"""


def told(events):
    return [json.loads(event.value) for event in events]


def test_handlers_see_what_other_clients_have_written(kafka, serve):
    topic, out, group = kafka.topic(), kafka.topic(), kafka.name("group")
    for codec in ("gzip", "snappy", "lz4", "zstd"):
        kafka.produce(topic, [{"key": codec, "value": "x" * 2000}], **{"compression.type": codec})
    kafka.produce(topic, [{"key": b"gone", "timestamp": 1700000000123, "headers": [("a", "1"), ("b", b"\xc3\xa9"), ("a", "2")]}])
    properties = ("--property", "parse.key=true", "--property", "parse.headers=true")
    kafka.tool("console-producer", "--topic", topic, *properties, text="h1:v1,h2:v2\tkey\tvalue of Java\n")
    subprocess.run(
        ["kcat", "-b", kafka.brokers, "-t", topic, "-P", "-H", "from=kcat", "-K", ":"], input=b"k:of kcat", check=True, timeout=60
    )
    serve(app() | {"events/tell.lua": TELL.format(what=f'topic = "{topic}"', group=group, out=out, options="")})
    kafka.wait_committed(group, topic)
    all_of_them = told(kafka.read(out))
    assert [(one["key"], one["value"]) for one in all_of_them[:4]] == [
        (codec, "x" * 2000) for codec in ("gzip", "snappy", "lz4", "zstd")
    ]
    gone, java, kcat = all_of_them[4:]
    assert gone == {
        "key": "gone",
        "headers": {"a": "2", "b": "é"},
        "topic": topic,
        "partition": 0,
        "offset": 4,
        "timestamp": 1700000000.123,
        "attempt": 1,
        "id": f"{topic}/0/4",
    }
    assert (java["key"], java["value"], java["headers"]) == ("key", "value of Java", {"h1": "v1", "h2": "v2"})
    assert (kcat["key"], kcat["value"], kcat["headers"]) == ("k", "of kcat", {"from": "kcat"})


def test_aborted_events_are_not_handled_and_markers_are_no_lag(kafka, serve):
    topic, out, group = kafka.topic(), kafka.topic(), kafka.name("group")
    producer = confluent_kafka.Producer(
        {"bootstrap.servers": kafka.brokers, "transactional.id": kafka.name("id"), "log_level": 0}
    )
    producer.init_transactions()
    for value, end in (("a", "commit"), ("b", "abort"), ("c", "commit"), ("d", "abort")):
        producer.begin_transaction()
        producer.produce(topic, value)
        producer.flush()
        getattr(producer, f"{end}_transaction")()
    server = serve(app() | {"events/tell.lua": TELL.format(what=f'topic = "{topic}"', group=group, out=out, options="")})
    events = kafka.wait_for(out, 2)
    assert [one["value"] for one in told(events)] == ["a", "c"]
    kafka.wait_committed(group, topic)
    wait_until(lambda: totals(server)["lag"] == 0, what="no lag")


def test_a_group_begins_where_it_is_told(kafka, serve):
    """By a time, and only where it has committed nothing."""
    topic, out, group = kafka.topic(partitions=2), kafka.topic(), kafka.name("group")
    for part in (0, 1):
        kafka.produce(
            topic, [{"value": f"{part}-{i}", "partition": part, "timestamp": 1_700_000_000_000 + 1000 * i} for i in range(4)]
        )
    declared = {"what": f'topic = "{topic}"', "group": group, "out": out}
    files = app() | {"events/tell.lua": TELL.format(**declared, options="from = 1700000002,")}
    server = serve(files)
    kafka.wait_committed(group, topic)
    assert sorted(one["value"] for one in told(kafka.read(out))) == ["0-2", "0-3", "1-2", "1-3"]
    server.stop()
    kafka.produce(topic, [{"value": "0-4", "partition": 0}])
    serve(files | {"events/tell.lua": TELL.format(**declared, options="from = 1700000000,")})
    kafka.wait_committed(group, topic)
    assert len(kafka.read(out)) == 5


def test_topics_by_a_pattern_with_those_that_come_later(kafka, serve):
    prefix, out, group = kafka.name("by-pattern"), kafka.topic(), kafka.name("group")
    first = kafka.topic(prefix + "-a")
    tell = TELL.format(what=f'topic = "^{prefix}-.*"', group=group, out=out, options="")
    server = serve(app(**{"topic.metadata.refresh.interval.ms": 300}) | {"events/tell.lua": tell})
    kafka.produce(first, ["one"])
    kafka.wait_for(out, 1)
    later = kafka.topic(prefix + "-b")
    kafka.produce(later, ["two"])
    assert [(one["topic"], one["value"]) for one in told(kafka.wait_for(out, 2))] == [(first, "one"), (later, "two")]
    assert totals(server)["partitions"] == 2


def test_a_static_member_comes_back_to_its_partitions(kafka, serve):
    """Others notice nothing of a server that ends and is there again before its session is over."""
    topic, out, group = kafka.topic(partitions=4), kafka.topic(), kafka.name("group")
    files = app(**{"session.timeout.ms": 30000}) | version(0)
    one, two = (serve(files | copy(topic, group, out, f'instance = "{name}",')) for name in ("one", "two"))
    wait_until(lambda: totals(one)["partitions"] == totals(two)["partitions"] == 2, 20, "two partitions each")
    rebalances, before = totals(two)["rebalances_total"], sorted(kafka.members(group).values())
    one.crash()
    kafka.produce(topic, [{"value": str(i), "partition": i % 4} for i in range(8)])
    again = serve(files | copy(topic, group, out, 'instance = "one",'))
    wait_assigned(again, 2)
    kafka.wait_committed(group, topic)
    assert sorted(values(kafka.read(out))) == [str(i) for i in range(8)]
    assert sorted(kafka.members(group).values()) == before
    assert totals(two)["rebalances_total"] == rebalances


@pytest.mark.parametrize("assignor", ["range", "cooperative-sticky"])
def test_servers_that_come_and_go_lose_nothing(kafka, serve, assignor):
    """In good order, so that nothing is handled twice either; but librdkafka before 2.4 may begin at old offsets with
    cooperative-sticky."""
    topic, out, group = kafka.topic(partitions=6), kafka.topic(), kafka.name("group")
    files = app() | version(0) | copy(topic, group, out, f'assignor = "{assignor}",')
    one = serve(files)
    sent = [{"value": str(i), "partition": i % 6} for i in range(3000)]
    kafka.produce(topic, sent[:1000])
    two = serve(files)
    kafka.produce(topic, sent[1000:2000])
    wait_until(lambda: totals(one)["partitions"] == totals(two)["partitions"] == 3, 20, "three partitions each")
    one.stop()
    kafka.produce(topic, sent[2000:])
    kafka.wait_committed(group, topic)
    copies = [int(value) for value in values(kafka.read(out))]
    assert set(copies) == set(range(3000))
    assert len(copies) == 3000 or assignor == "cooperative-sticky"


# -- dead letters --
COUNT = 10_000 if FULL else 1_000
RESTARTS = 20 if FULL else 4
KINDS = ["recovers", "unavailable", "invalid", "undecodable", "loops", "eats"]
FAILING = """
local errors = require "perilune.errors"
return {{ topic = "{topic}", group = "{group}", dead_letter = "{dead}", format = "json", circuit = false,
  ordering = "key", concurrency = 16,
  retry = {{ attempts = 3, initial = 0.01, max = 0.02 }},
  handler = function(event, msg, ctx)
    if require "lib.version" == "mended" then event.kind = "good" end
    if event.kind == "recovers" and msg.attempt < 3 then error(errors.unavailable "not yet") end
    if event.kind == "unavailable" then error(errors.unavailable "never") end
    if event.kind == "invalid" then error(errors.invalid_argument "the event is wrong") end
    if event.kind == "loops" then while true do end end
    if event.kind == "eats" then
      local all = {{}}
      while true do all[#all + 1] = ("x"):rep(100000) .. #all end
    end
    ctx.events:publish("{out}", event.id, {{ key = msg.key, format = "bytes" }})
  end }}
"""


def failing_events(chance):
    """Of each ten events one fails, in one way or another."""
    for i in range(COUNT):
        kind = chance.choice(KINDS) if i % 10 == 3 else "good"
        value = json.dumps({"id": str(i), "kind": kind})
        yield kind, {"key": f"k{i % 50}", "value": value[:-1] if kind == "undecodable" else value, "headers": [("id", str(i))]}


@pytest.mark.timeout(1500 if FULL else 300 * SLOWNESS)
def test_each_event_is_handled_or_a_dead_letter(kafka, start):
    """Whatever fails, and however often the server ends, well or not: none is in neither."""
    topic, out, group = kafka.topic(partitions=4), kafka.topic(partitions=4), kafka.name("group")
    dead = kafka.topic("dead", partitions=4)
    chance = random.Random(11)
    kinds, events = zip(*failing_events(chance), strict=True)
    kafka.produce(topic, events)
    session = {"session.timeout.ms": 1500, "heartbeat.interval.ms": 300}
    files = (
        version("broken")
        | app(**session, limits='run_time = 0.05, call_memory = "8 MiB"')
        | {"events/failing.lua": FAILING.format(topic=topic, group=group, out=out, dead=dead)}
    )
    for restart in range(RESTARTS):
        server = start(files, "--kafka", kafka.brokers, workers=2)
        wait_consumed(server)
        time.sleep(chance.uniform(0.0, 0.5))  # at any time of its work
        if restart % 2:
            server.stop()
        else:
            server.crash()
    server = start(files, "--kafka", kafka.brokers, workers=2)
    kafka.wait_committed(group, topic, seconds=600 if FULL else 120)
    handled = set(values(kafka.read(out)))
    letters = kafka.read(dead)
    dead_ids = {dict(letter.headers)["id"].decode() for letter in letters}
    lands_well = {str(i) for i, kind in enumerate(kinds) if kind in ("good", "recovers")}
    assert handled == lands_well
    assert dead_ids == {str(i) for i in range(COUNT)} - lands_well
    check_letters(letters, kafka.read(topic), kinds, group)

    # With handlers that are right the events are replayed; what is no JSON comes back.
    write_bundle(server.bundle, version("mended"))
    server.reload()
    replay = run_cli("dlq", "replay", dead, "--brokers", kafka.brokers)
    assert replay.returncode == 0, replay.stdout + replay.stderr
    kafka.wait_committed(group, topic, seconds=120)
    undecodable = {str(i) for i, kind in enumerate(kinds) if kind == "undecodable"}
    assert set(values(kafka.read(out))) == {str(i) for i in range(COUNT)} - undecodable
    shown = run_cli("dlq", "show", dead, "--brokers", kafka.brokers, "--json", "--limit", "0").stdout
    assert {dict(json.loads(line)["headers"])["id"] for line in shown.splitlines()} == undecodable
    server.stop()


def check_letters(letters, source, kinds, group):
    """A dead letter says where it comes from and why it is there, and is what it was."""
    origin = {(event.partition, event.offset): event for event in source}
    codes = {}
    for letter in letters:
        headers = {name: value.decode() for name, value in letter.headers}
        event = origin[int(headers["kafka_dlt-original-partition"]), int(headers["kafka_dlt-original-offset"])]
        assert (letter.key, letter.value) == (event.key, event.value)
        assert letter.headers[0] == ("id", headers["id"].encode()) == event.headers[0]
        assert headers["kafka_dlt-original-topic"] == event.topic
        assert headers["kafka_dlt-original-consumer-group"] == group
        assert int(headers["kafka_dlt-original-timestamp"]) == round(event.timestamp * 1000)
        kind = kinds[int(headers["id"])]
        codes.setdefault(kind, set()).add(headers["kafka_dlt-exception-fqcn"])
        if kind == "invalid":
            assert headers["kafka_dlt-exception-message"] == "the event is wrong"
            assert headers["perilune-attempt"] == "1"
        if kind == "unavailable":
            assert headers["perilune-attempt"] == "3"
    assert codes["unavailable"] == {"UNAVAILABLE"}
    assert codes["invalid"] == codes["undecodable"] == {"INVALID_ARGUMENT"}
    assert codes["loops"] == {"DEADLINE_EXCEEDED"}
    assert codes["eats"] <= {"RESOURCE_EXHAUSTED", "DEADLINE_EXCEEDED"}
