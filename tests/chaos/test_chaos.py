# SPDX-License-Identifier: MIT
"""Nothing is lost, and what is promised to be there once is, whatever happens to brokers and servers: three brokers, faults all
the time (nemesis.py), every value unique, and in the end a comparison (history.py).

A smoke of some seconds as a rule. CHAOS_SECONDS is how long things go wrong, CHAOS_SEED repeats a run's faults. What a run has
written is kept in build/chaos/TEST: history.jsonl, faults.jsonl and the servers' logs; the brokers' data and logs
in build/chaos/cluster."""

import itertools
import os
import random
import shutil
import threading
import time

import confluent_kafka
import httpx
import pytest

from harness import ROOT, SLOWNESS
from history import History, Read, check, value_of
from kafka import Kafka
from nemesis import Nemesis, broker_faults, server_faults
from servers import Servers

SECONDS = int(os.environ.get("CHAOS_SECONDS", "10"))
SEED = int(os.environ.get("CHAOS_SEED", random.randrange(1 << 30)))
LONG = SECONDS >= 120
# A broker that is away for longer than a session is fenced, and leaders change.
AWAY = 10 if LONG else 3

pytestmark = pytest.mark.timeout(2 * SECONDS + 300 * SLOWNESS)

SCHEMA = """
type Query { ping: String }
type Mutation { publish(topic: String!, key: String!, values: [String!]!): Answer }
type Answer { failed: [Int!]!, codes: [String!]! }
"""
# The answer says which are not acknowledged, by their places.
RESOLVERS = """
return { Query = { ping = function() return "pong" end }, Mutation = {
  publish = function(_, args, ctx)
    local sent, failed, codes = {}, {}, {}
    for i, value in ipairs(args.values) do
      sent[i] = ctx.events:publish_async(args.topic, value, { key = args.key, format = "bytes" })
    end
    for i, one in ipairs(sent) do
      local ok, why = pcall(one.wait, one)
      if not ok then
        failed[#failed + 1] = i - 1
        codes[#codes + 1] = type(why) == "table" and why.code or tostring(why)
      end
    end
    return { failed = failed, codes = codes }
  end,
} }
"""
PUBLISH = "mutation ($t: String!, $k: String!, $v: [String!]!) { publish(topic: $t, key: $k, values: $v) { failed codes } }"


@pytest.fixture(scope="module")
def cluster():
    directory = ROOT / "build" / "chaos" / "cluster"
    shutil.rmtree(directory, ignore_errors=True)
    cluster = Kafka(directory, nodes=3)
    yield cluster
    cluster.stop()


@pytest.fixture
def place(request):
    """Where the run is written down."""
    directory = ROOT / "build" / "chaos" / request.node.name
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    print(f"CHAOS_SEED={SEED} CHAOS_SECONDS={SECONDS}, written down in {directory}")
    return directory


def reads_of(events, aborted=lambda event: False):
    return [Read(one.partition, one.offset, one.key.decode(), one.value.decode(), aborted(one)) for one in events]


def check_topic(cluster, topic, history, aborted=lambda event: False, once=True):
    """Compares what is there in the end. A partition whose leader has just changed shows less for a moment, and one with a
    transaction that nobody will end until that is aborted: what seems to be lost is looked for again."""
    cluster.wait_healed(topic)
    end = time.monotonic() + 90 * SLOWNESS
    for attempt in itertools.count(1):
        report = check(history, reads_of(cluster.read(topic), aborted), once=once)
        if "lost" not in report.problems or time.monotonic() > end:
            print(f"{topic}, reading {attempt}: {report}")
            return report
        time.sleep(1)


class Publisher(threading.Thread):
    """Publishes values of its own keys through the servers, a few at a time, and writes down what became of them."""

    def __init__(self, number, servers, topic, history, until):
        super().__init__(name=f"publisher-{number}")
        self.keys = [f"p{number}k{i}" for i in range(5)]
        self.servers, self.topic, self.history, self.until = servers, topic, history, until
        self.chance, self.failure, self.codes = random.Random(number), None, set()

    def run(self):
        ordinals = dict.fromkeys(self.keys, 0)
        try:
            while time.monotonic() < self.until:
                key = self.chance.choice(self.keys)
                values = [value_of(key, ordinals[key] + i) for i in range(self.chance.randrange(1, 20))]
                ordinals[key] += len(values)
                self.publish(key, values)
        except Exception as problem:  # noqa: BLE001 - whatever fails in a thread fails the test
            self.failure = problem

    def publish(self, key, values):
        server = self.servers[self.chance.randrange(len(self.servers))]
        if server is None:
            self.history.lose_sight_of(values)
            time.sleep(0.01)
            return
        payload = {"query": PUBLISH, "variables": {"t": self.topic, "k": key, "v": values}}
        try:
            answer = httpx.post(server.url, json=payload, timeout=60 * SLOWNESS).json()
        except httpx.TransportError:
            self.history.lose_sight_of(values)
            return
        assert "errors" not in answer, answer
        failed = answer["data"]["publish"]["failed"]
        self.codes.update(answer["data"]["publish"]["codes"])
        self.history.acknowledge(value for i, value in enumerate(values) if i not in failed)
        if failed:
            self.history.lose_sight_of(values[i] for i in failed)


def test_what_was_acknowledged_is_there_once_and_in_order(cluster, place):
    """The producer: two servers that publish for ten clients."""
    topic = cluster.topic(partitions=6)
    files = {
        "app.lua": "return { kafka = { timeout = 20 } }",
        "schema/s.graphql": SCHEMA,
        "resolvers/r.lua": RESOLVERS,
    }
    history = History(place / "history.jsonl")
    with Servers(place, files, cluster.brokers) as servers:
        until = time.monotonic() + SECONDS
        publishers = [Publisher(number, servers, topic, history, until) for number in range(4)]
        lanes = {"brokers": broker_faults(cluster, AWAY), "servers": server_faults(servers)}
        with Nemesis(SEED, place / "faults.jsonl", lanes) as nemesis:
            for publisher in publishers:
                publisher.start()
            for publisher in publishers:
                publisher.join()
    history.close()
    assert [one.failure for one in publishers if one.failure] == [] and nemesis.failure() is None
    print(nemesis.counts(), set.union(*[one.codes for one in publishers]))
    report = check_topic(cluster, topic, history)
    assert report.good, str(report)
    assert report.acknowledged > SECONDS


# -- consume, handle, produce --
# One of 97 events fails at its first attempt, after it has published: with transactions nobody may see that.
COPY = """
local errors = require "perilune.errors"
local function copy(value, msg, ctx)
  ctx.events:publish("%(out)s", value, { key = msg.key, format = "bytes", headers = { attempt = tostring(msg.attempt) } })
  if msg.attempt == 1 and tonumber(value:match "%%d+$") %% 97 == 0 then error(errors.unavailable "at first") end
end
local version = require "lib.version"
return { topic = "%(topic)s", group = "%(group)s", format = "bytes", delivery = "%(delivery)s", circuit = false,
  retry = { attempts = 100000, initial = 0.02, max = 1 }, timeout = 30, %(options)s
  handler = copy }
"""
SESSION = 6000 if LONG else 3000


class Source(threading.Thread):
    """Publishes through a client that is not ours: so many values a second of some keys, until it is told to end."""

    def __init__(self, brokers, topic, history, rate, keys=40):
        super().__init__(name="source")
        settings = {"enable.idempotence": True, "acks": "all", "linger.ms": 5, "delivery.timeout.ms": 300_000, "log_level": 0}
        self.producer = confluent_kafka.Producer({"bootstrap.servers": brokers} | settings)
        self.topic, self.history, self.rate, self.ending, self.left = topic, history, rate, threading.Event(), None
        self.ordinals = {f"k{i}": 0 for i in range(keys)}

    def on_delivery(self, error, message):
        value = message.value().decode()
        self.history.lose_sight_of(value) if error else self.history.acknowledge(value)

    def run(self):
        chance, keys, begin, sent = random.Random(1), list(self.ordinals), time.monotonic(), 0
        while not self.ending.wait(0.02):
            due = int((time.monotonic() - begin) * self.rate)
            while sent < due and len(self.producer) < 50_000:
                key = chance.choice(keys)
                self.producer.produce(self.topic, value_of(key, self.ordinals[key]), key, on_delivery=self.on_delivery)
                self.ordinals[key] += 1
                sent += 1
            self.producer.poll(0)
        self.left = self.producer.flush(300)


def run_copy(cluster, place, delivery, options, rate):
    """Copies under faults. Returns the history of what was to be copied, what was read in the end, and the faults."""
    topic, out, group = cluster.topic("source", partitions=6), cluster.topic("out", partitions=6), cluster.name("group")
    parts = {"topic": topic, "out": out, "group": group, "delivery": delivery, "options": options}
    properties = f'["session.timeout.ms"] = {SESSION}, ["heartbeat.interval.ms"] = 1000'
    files = {
        "app.lua": f"return {{ kafka = {{ timeout = 20, properties = {{ {properties} }} }} }}",
        "lib/version.lua": "return 0",
        "events/copy.lua": COPY % parts,
    }
    history = History(place / "history.jsonl")
    source = Source(cluster.brokers, topic, history, rate)
    with Servers(place, files, cluster.brokers) as servers:
        source.start()
        try:
            lanes = {"brokers": broker_faults(cluster, AWAY), "servers": server_faults(servers, SESSION / 1000)}
            with Nemesis(SEED, place / "faults.jsonl", lanes) as nemesis:
                end = time.monotonic() + SECONDS
                while time.monotonic() < end and not nemesis.failure():
                    time.sleep(0.1)
        finally:
            source.ending.set()
            source.join()
        assert nemesis.failure() is None
        begin = time.monotonic()
        cluster.wait_committed(group, topic, seconds=180 if LONG else 90)
        print(f"{nemesis.counts()}\nall was committed {time.monotonic() - begin:.1f} s after the last fault")
    history.close()
    assert source.left == 0
    check_source(cluster, topic, history)
    return history, out


def check_source(cluster, topic, history):
    """What is to be copied is right itself, or else the comparison would mean nothing."""
    report = check_topic(cluster, topic, history)
    assert report.good and report.unknown == 0, str(report)


def aborted(event):
    """The copy of an attempt that has failed afterwards."""
    return int(event.value.decode().rpartition("-")[2]) % 97 == 0 and dict(event.headers)["attempt"] == b"1"


def test_at_least_once_loses_nothing(cluster, place):
    history, out = run_copy(cluster, place, "at_least_once", 'ordering = "key", concurrency = 20,', rate=200)
    report = check_topic(cluster, out, history, once=False)
    assert report.good, str(report)
    assert report.acknowledged > 50 * SECONDS


def test_exactly_once_loses_nothing_and_copies_nothing_twice(cluster, place):
    history, out = run_copy(cluster, place, "exactly_once", 'ordering = "key", concurrency = 20,', rate=200)
    report = check_topic(cluster, out, history, aborted)
    written = cluster.read(out, committed=False)
    print(f"{len(written) - report.read} events of transactions that were aborted")
    assert all(batch.transactional for part in range(6) for batch in cluster.batches(out, part))
    assert report.good, str(report)
    assert report.acknowledged > 50 * SECONDS
