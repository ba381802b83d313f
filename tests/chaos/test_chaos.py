# SPDX-License-Identifier: MIT
"""Nothing is lost, and what is promised to be there once is, whatever happens to brokers and servers: three brokers, faults all
the time (nemesis.py), every value unique, and in the end a comparison (history.py).

A smoke of some seconds as a rule. CHAOS_SECONDS is how long things go wrong, CHAOS_SEED repeats a run's faults. What a run has
written is kept in build/chaos/TEST: history.jsonl, faults.jsonl and the servers' logs."""

import os
import random
import shutil
import threading
import time

import httpx
import pytest

from harness import ROOT, SLOWNESS
from history import History, Read, check, value_of
from kafka import Kafka
from nemesis import Nemesis, broker_faults, server_faults
from servers import Servers

SECONDS = int(os.environ.get("CHAOS_SECONDS", "15"))
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
def cluster(tmp_path_factory):
    cluster = Kafka(tmp_path_factory.mktemp("cluster"), nodes=3)
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
        lanes = {"brokers": broker_faults(cluster, AWAY), "servers": server_faults(servers, rebalances=False)}
        with Nemesis(SEED, place / "faults.jsonl", lanes) as nemesis:
            for publisher in publishers:
                publisher.start()
            for publisher in publishers:
                publisher.join()
    history.close()
    assert [one.failure for one in publishers if one.failure] == [] and nemesis.failure() is None
    report = check(history, reads_of(cluster.read(topic)))
    print(nemesis.counts(), set.union(*[one.codes for one in publishers]), report, sep="\n")
    assert report.good, str(report)
    assert report.acknowledged > 10 * SECONDS
