# SPDX-License-Identifier: MIT
"""Apache Kafka for tests, run by scripts/kafka, and what tests ask of it: through clients that are not ours."""

import itertools
import json
import os
import struct
import subprocess
import sys
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

import confluent_kafka
from confluent_kafka.admin import AdminClient, NewTopic, OffsetSpec

from harness import ROOT, SLOWNESS, wait_until

SCRIPT = str(ROOT / "scripts" / "kafka")
COORDINATOR = (  # it is just moving, or is being made
    confluent_kafka.KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    confluent_kafka.KafkaError.COORDINATOR_NOT_AVAILABLE,
    confluent_kafka.KafkaError.NOT_COORDINATOR,
    confluent_kafka.KafkaError._TIMED_OUT,
    confluent_kafka.KafkaError._TRANSPORT,
)
CODECS = ("none", "gzip", "snappy", "lz4", "zstd")


@dataclass(frozen=True)
class Event:
    """One event of a topic, as a consumer sees it. The timestamp is in seconds, as scripts have it."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple
    timestamp: float


@dataclass(frozen=True)
class Batch:
    """What the log of a broker says of a batch of events."""

    base_offset: int
    count: int
    codec: str
    transactional: bool
    control: bool
    producer_id: int  # -1: of a producer that is not idempotent


class Kafka:
    """A cluster, of one node or three. It ends with its owner (this process), or by stop()."""

    def __init__(self, directory, nodes=1, settings=None, owner=None):
        self.directory = Path(directory)
        flags = [f"--set={name}={value}" for name, value in (settings or {}).items()]
        self._run("start", "--nodes", str(nodes), "--owner", str(owner or os.getpid()), *flags)
        description = json.loads((self.directory / "kafka.json").read_text())
        self.brokers = description["brokers"]
        self.nodes = [node["id"] for node in description["nodes"]]
        self.admin = AdminClient({"bootstrap.servers": self.brokers, "log_level": 0})
        self._run_id = uuid.uuid4().hex[:6]
        self._numbers = itertools.count(1)

    # -- nodes --
    def _run(self, command, *args, **options):
        """A command of scripts/kafka; returns what it has printed."""
        line = [sys.executable, SCRIPT, command, "--dir", str(self.directory), *map(str, args)]
        result = subprocess.run(line, capture_output=True, text=True, timeout=300 * SLOWNESS, **options)
        assert result.returncode == 0, (line, result.stdout, result.stderr)
        return result.stdout

    def kill(self, *nodes):
        self._run("kill", *nodes)

    def pause(self, *nodes):
        self._run("pause", *nodes)

    def cont(self, *nodes):
        self._run("cont", *nodes)

    def start(self, *nodes, wait=True):
        """Nodes that do not run; all without numbers."""
        self._run("start", *nodes, *([] if wait else ["--no-wait"]))

    def stop(self, *nodes):
        self._run("stop", *nodes)

    def states(self):
        """{node: "running", "paused" or "down"}"""
        return {node["id"]: node["state"] for node in json.loads(self._run("status"))["nodes"]}

    def tool(self, name, *args, text=None):
        """Runs one of Kafka's own tools to its end, and returns what it has printed."""
        return self._run("tool", name, *args, input=text)

    # -- topics --
    def topic(self, name="topic", partitions=1, replicas=-1, **config):
        """Makes a topic, whose name no other test has; config: min_insync_replicas=2, …"""
        unique = f"{name}-{self._run_id}-{next(self._numbers)}"
        config = {key.replace("_", "."): str(value) for key, value in config.items()}
        new = NewTopic(unique, num_partitions=partitions, replication_factor=replicas, config=config)
        self.admin.create_topics([new])[unique].result(60 * SLOWNESS)
        return unique

    def name(self, what):
        """A name that no other test has."""
        return f"{what}-{self._run_id}-{next(self._numbers)}"

    def wait_healed(self, topic, seconds=60.0):
        """Waits until all replicas of the topic are in sync."""

        def healed():
            parts = self.admin.list_topics(topic, timeout=30 * SLOWNESS).topics[topic].partitions.values()
            return parts and all(part.leader >= 0 and len(part.isrs) == len(part.replicas) for part in parts)

        wait_until(healed, seconds, f"all replicas of {topic} to be in sync")

    def ends(self, topic):
        """{partition: the offset behind the last event}."""
        parts = self.admin.list_topics(topic, timeout=30 * SLOWNESS).topics[topic].partitions
        asked = {confluent_kafka.TopicPartition(topic, part): OffsetSpec.latest() for part in parts}
        answers = self.admin.list_offsets(asked, request_timeout=30 * SLOWNESS)
        return {where.partition: answer.result().offset for where, answer in answers.items()}

    # -- events --
    def produce(self, topic, events, **config):
        """events: values, or dictionaries of confluent_kafka's produce (key, value, headers, partition, timestamp)."""
        failures = []
        producer = confluent_kafka.Producer({"bootstrap.servers": self.brokers, "linger.ms": 5, "log_level": 0} | config)
        for event in events:
            event = event if isinstance(event, dict) else {"value": event}
            producer.produce(topic, on_delivery=lambda error, _: failures.append(error) if error else None, **event)
            producer.poll(0)
        assert producer.flush(60 * SLOWNESS) == 0
        assert failures == []

    def consumer(self, group=None, **config):
        own = {
            "bootstrap.servers": self.brokers,
            "group.id": group or self.name("reader"),
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
            "log_level": 0,
        }
        return confluent_kafka.Consumer(own | config)

    def read(self, topic, committed=True, seconds=30.0):
        """All events that are in the topic now, by partition and offset. committed=False: those of transactions that are
        open or were aborted, too."""
        consumer = self.consumer(**({} if committed else {"isolation.level": "read_uncommitted"}))
        try:
            open_parts = set(self.admin.list_topics(topic, timeout=30 * SLOWNESS).topics[topic].partitions)
            consumer.assign([confluent_kafka.TopicPartition(topic, part, 0) for part in open_parts])
            events, end = [], time.monotonic() + seconds * SLOWNESS
            while open_parts:
                assert time.monotonic() < end, f"{topic}: the end of partitions {open_parts} was not reached"
                for message in consumer.consume(1000, 0.2):
                    error = message.error()
                    if error is None:
                        events.append(event_of(message))
                    elif error.code() == confluent_kafka.KafkaError._PARTITION_EOF:
                        open_parts.discard(message.partition())
        finally:
            consumer.close()
        return sorted(events, key=lambda event: (event.partition, event.offset))

    def wait_for(self, topic, count, seconds=30.0):
        """Waits until so many events can be read, and returns them all."""

        def enough():
            events = self.read(topic)
            return len(events) >= count and events

        return wait_until(enough, seconds, f"{count} events in {topic}")

    def batches(self, topic, partition=0, node=1):
        """The batches in a partition's first segment, as the broker has written them down."""
        data = (self.directory / f"node-{node}" / "data" / f"{topic}-{partition}" / f"{0:020}.log").read_bytes()
        found, at = [], 0
        while at + 61 <= len(data):
            base, length = struct.unpack_from(">qi", data, at)
            attributes, _, _, _, producer, _, _, count = struct.unpack_from(">hiqqqhii", data, at + 21)
            codec = CODECS[attributes & 7]
            found.append(Batch(base, count, codec, bool(attributes & 16), bool(attributes & 32), producer))
            at += 12 + length
        return found

    # -- groups --
    def _ask_group(self, ask, request, group):
        """Once more when its coordinator does not answer, or has just moved."""

        def once():
            try:
                return ask(request, request_timeout=10 * SLOWNESS)[group].result()
            except confluent_kafka.KafkaException as problem:
                if not problem.args[0].retriable() and problem.args[0].code() not in COORDINATOR:
                    raise

        return wait_until(once, 60, f"an answer about {group}")

    def committed(self, group, topic):
        """{partition: the group's committed offset}; without those that it has none of."""
        request = [confluent_kafka.ConsumerGroupTopicPartitions(group)]
        answer = self._ask_group(self.admin.list_consumer_group_offsets, request, group)
        return {one.partition: one.offset for one in answer.topic_partitions if one.topic == topic and one.offset >= 0}

    def wait_committed(self, group, topic, seconds=30.0):
        """Waits until the group has committed the end of the topic."""
        ends = {part: end for part, end in self.ends(topic).items() if end > 0}

        def all_of_them():
            have = self.committed(group, topic)
            return all(have.get(part, 0) >= end for part, end in ends.items())

        wait_until(all_of_them, seconds, f"{group} to commit {ends} of {topic}")

    def members(self, group):
        """{member id: sorted [(topic, partition), …]}"""
        answer = self._ask_group(self.admin.describe_consumer_groups, [group], group)
        return {
            member.member_id: sorted((one.topic, one.partition) for one in member.assignment.topic_partitions)
            for member in answer.members
        }


def event_of(message):
    kind, milliseconds = message.timestamp()
    headers = tuple((name, value) for name, value in message.headers() or ())
    timestamp = milliseconds / 1000 if kind else None
    return Event(message.topic(), message.partition(), message.offset(), message.key(), message.value(), headers, timestamp)
