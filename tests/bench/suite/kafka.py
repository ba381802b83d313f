# SPDX-License-Identifier: MIT
"""A node of Apache Kafka beside the load, and what is asked of it."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time

from .paths import ROOT, Failed, work_dir
from .processes import LOAD_CORE, pinned

PARTITIONS = 4  # scripts/kafka's default


@contextlib.contextmanager
def running():
    """The addresses of one node on core 1. Topics are made by being asked for; an event's time is when it was written."""
    folder = work_dir("kafka")
    script, where = [sys.executable, str(ROOT / "scripts" / "kafka")], ["--dir", str(folder)]
    subprocess.run([*script, "kill", *where, "1"], capture_output=True, check=False)
    shutil.rmtree(folder, ignore_errors=True)
    settings = ["--set=auto.create.topics.enable=true", "--set=log.message.timestamp.type=LogAppendTime"]
    command = pinned(LOAD_CORE, [*script, "start", *where, "--owner", os.getpid(), *settings])
    started = subprocess.run(command, capture_output=True, text=True, check=False)
    if started.returncode:
        raise Failed(f"Kafka did not start: {started.stdout}{started.stderr}")
    try:
        yield started.stdout.strip()
    finally:
        subprocess.run([*script, "kill", *where, "1"], check=True)


def kcat(brokers, *args, tries=1):
    """What it prints. A question may be asked several times: a broker that has much to do loses a connection at times."""
    done = subprocess.run(
        pinned(LOAD_CORE, ["kcat", "-q", "-b", brokers, *args]), capture_output=True, text=True, timeout=300, check=False
    )
    if done.returncode and tries > 1:
        time.sleep(1)
        return kcat(brokers, *args, tries=tries - 1)
    if done.returncode:
        raise Failed(f"kcat {' '.join(map(str, args))}: {done.stderr}")
    return done.stdout


def ready(listed, topic):
    """Is it there, with a leader for each partition? `listed`: what kcat -L -J says."""
    found = [one for one in json.loads(listed)["topics"] if one["topic"] == topic and "error" not in one]
    return bool(found) and len(found[0]["partitions"]) == PARTITIONS and all(one["leader"] >= 0 for one in found[0]["partitions"])


def create(brokers, topic, seconds=30):
    """Asking makes it, a little later."""
    end = time.monotonic() + seconds
    while not ready(kcat(brokers, "-L", "-J", "-t", topic, tries=5), topic):
        if time.monotonic() > end:
            raise Failed(f"Kafka has not made the topic {topic} in {seconds} s")
        time.sleep(0.1)


def fill(brokers, topic, lines):
    """`lines`: a file of keys and values by tabs."""
    create(brokers, topic)
    kcat(brokers, "-P", "-t", topic, "-X", "topic.partitioner=murmur2_random", "-K", "\t", "-l", lines)


def written(brokers, topic):
    """The sum of the offsets at which its partitions end."""
    asked = [arg for partition in range(PARTITIONS) for arg in ("-t", f"{topic}:{partition}:-1")]
    return sum(int(line.rpartition(" ")[2]) for line in kcat(brokers, "-Q", *asked, tries=5).splitlines())


def read(brokers, topic):
    """All committed events: [(milliseconds when written, key, value)]"""
    lines = kcat(brokers, "-C", "-e", "-o", "beginning", "-t", topic, "-f", "%T\t%k\t%s\n", tries=3).splitlines()
    rows = [line.split("\t") for line in lines]
    return [(int(at), key, value) for at, key, value in rows]


def committed(brokers, group, topic):
    """The sum of the offsets that the group has committed."""
    try:
        from confluent_kafka import Consumer, TopicPartition
    except ImportError:
        raise Failed("offsets are read with confluent-kafka: run `make bench`, or build/venv/bin/python scripts/bench") from None
    asker = Consumer({"bootstrap.servers": brokers, "group.id": group})
    try:
        found = asker.committed([TopicPartition(topic, number) for number in range(PARTITIONS)], timeout=30)
        return sum(max(one.offset, 0) for one in found)
    finally:
        asker.close()
