# SPDX-License-Identifier: MIT
"""Topologies on the server: the embedded broker, and a real Kafka where state has to survive."""

import json
import shutil
import subprocess
from collections import Counter

import pytest
from confluent_kafka.admin import ConfigResource

from harness import SLOWNESS, Server, wait_until, write_bundle

SCHEMA = """
type Query { count(store: String!, key: String!): Int, windows(key: String!): [String!] }
"""
RESOLVERS = """
local streams = require "perilune.streams"
return { Query = {
  count = function(_, args) return streams.store("clicks", args.store):get(args.key) end,
  windows = function(_, args)
    local list = {}
    for i, one in ipairs(streams.store("clicks", "minutes"):fetch(args.key)) do
      list[i] = ("%d-%d: %d"):format(one.window.start, one.window.stop, one.value)
    end
    return list
  end,
} }
"""
CLICKS = """
local streams = require "perilune.streams"
return streams.topology("clicks", function(b)
  local clicks = b:stream("clicks", { timestamp = function(click) return click.at end })
  clicks:group_by_key():count { store = "per-user" }:to "clicks-per-user"
  clicks:group_by_key():window(streams.tumbling { size = 60, grace = 30 }):count { store = "minutes" }
    :suppress():to "clicks-per-minute"
  clicks:group_by(function(click) return click.page end):count { store = "per-page" }:to "clicks-per-page"
end)
"""
FILES = {"schema/s.graphql": SCHEMA, "resolvers/r.lua": RESOLVERS, "events/clicks.lua": CLICKS}


def app(brokers):
    session = 'properties = { ["session.timeout.ms"] = "6000" }'  # how long a killed member keeps its partitions
    return {"app.lua": f"return {{ name = 'clicks', kafka = {{ linger = 0, brokers = {json.dumps(brokers)}, {session} }} }}"}


def count_of(server, store, key):
    return server.data("query($s: String!, $k: String!) { count(store: $s, key: $k) }", {"s": store, "k": key})["count"]


def test_embedded(start):
    server = start(FILES | app(brokers="embedded"))
    broker = server.ready["kafka"]
    clicks = [("ada", "/", 5), ("ada", "/a", 61), ("bob", "/", 10), ("ada", "/", 59), ("ada", "/", 500), ("ada", "{", None)]
    lines = [f"{user}:{json.dumps({'page': page, 'at': at}) if at else page}\n" for user, page, at in clicks]
    command = ["kcat", "-b", broker, "-t", "clicks", "-P", "-K", ":"]
    subprocess.run(command, check=True, input="".join(lines).encode(), timeout=30 * SLOWNESS)
    wait_until(lambda: count_of(server, "per-user", "ada") == 4, 60, "ada's clicks")
    wait_until(lambda: count_of(server, "per-page", "/") == 4, 60, "clicks on /, which come through another topic")
    assert count_of(server, "per-user", "nobody") is None
    assert server.data('{ windows(key: "ada") }')["windows"][-1] == "480-540: 1"
    dead = ["kcat", "-b", broker, "-t", "clicks-dlq", "-C", "-e", "-q", "-f", "%s"]
    assert subprocess.run(dead, check=True, capture_output=True, timeout=30 * SLOWNESS).stdout == b"{"
    final = ["kcat", "-b", broker, "-t", "clicks-per-minute", "-C", "-e", "-q", "-f", "%k %s %h\n"]
    out = subprocess.run(final, check=True, capture_output=True, text=True, timeout=30 * SLOWNESS).stdout.splitlines()
    assert sorted(line for line in out if line.startswith("ada")) == [
        "ada 1 perilune-window-end=120000,perilune-window-start=60000",
        "ada 2 perilune-window-end=60000,perilune-window-start=0",
    ]


COUNTS = """
local streams = require "perilune.streams"
return streams.topology("%(name)s", function(b)
  b:stream("%(topic)s"):group_by_key():count { store = "n" }:to("%(out)s")
end)
"""


@pytest.fixture
def names(kafka):
    topic = kafka.topic("in", partitions=3)
    return {"topic": topic, "out": kafka.topic("out", partitions=3), "name": kafka.name("counts")}


def last_of(events):
    """The last value of each key."""
    return {event.key.decode(): json.loads(event.value) for event in events}


def test_state_survives(kafka, names, tmp_path):
    """kill -9 in the middle, and again with the local state gone: each event counts once."""
    keys = [f"k{i % 17}" for i in range(6000)]
    expected = dict(Counter(keys))
    bundle = write_bundle(tmp_path / "bundle", {"events/c.lua": COUNTS % names} | app(brokers=kafka.brokers))
    for part in range(3):
        server = Server(bundle, tmp_path / f"log-{part}", workers=2)
        server.start()
        here = keys[part * 2000 : (part + 1) * 2000]
        kafka.produce(names["topic"], [{"key": key, "value": b"{}"} for key in here])
        if part < 2:
            kafka.wait_for(names["out"], part * 2000 + 500, 60)
            server.kill()
            if part == 1:
                shutil.rmtree(bundle / ".perilune")
        else:
            wait_until(lambda: last_of(kafka.read(names["out"])) == expected, 90, "the counts of all events")
            kafka.wait_committed(names["name"], names["topic"], 60)
            assert max(last_of(kafka.read(names["out"])).values()) == max(expected.values())
            server.stop()
    config = kafka.admin.describe_configs([ConfigResource(ConfigResource.Type.TOPIC, f"{names['name']}-changelog-1")])
    settings = next(iter(config.values())).result()
    assert settings["cleanup.policy"].value == "compact"


@pytest.mark.tsan
def test_rebalance_and_reload(kafka, names, start):
    """A second server takes partitions with their state, and gives them back; code is changed under way."""
    files = {"events/c.lua": COUNTS % names} | app(brokers=kafka.brokers)
    first = start(files)
    produced = 0

    def produce(n):
        nonlocal produced
        kafka.produce(names["topic"], [{"key": f"k{i % 10}", "value": b"{}"} for i in range(produced, produced + n)])
        produced += n

    def is_right():
        expected = dict(Counter(f"k{i % 10}" for i in range(produced)))
        return last_of(kafka.read(names["out"])) == expected

    produce(500)
    wait_until(is_right, 60, "the first counts")
    second = start(files)
    wait_until(lambda: len(kafka.members(names["name"])) == 2, 60, "two members")
    produce(500)
    wait_until(is_right, 60, "the counts of two servers")
    (first.bundle / "events/c.lua").write_text(COUNTS % names + "\n-- changed\n")
    first.reload()
    produce(500)
    wait_until(is_right, 60, "the counts after a reload")
    second.stop()
    produce(500)
    wait_until(is_right, 60, "the counts of one server again")


def test_partitions_differ(kafka, start):
    left, right = kafka.topic("left", partitions=2), kafka.topic("right", partitions=3)
    name = kafka.name("joined")
    code = f"""
local streams = require "perilune.streams"
return streams.topology("{name}", function(b)
  b:stream("{left}"):join(b:table("{right}"), function(a) return a end):to "nowhere"
end)
"""
    server = start({"events/j.lua": code} | app(brokers=kafka.brokers))
    server.wait_log("they must have the same number")
