# SPDX-License-Identifier: MIT
"""Events: how many one process on core 0 takes from Apache Kafka, handles and gives back; Kafka itself is on core 1.

The rate is that between the broker's timestamps of the first batch written and the last. CPU is that of the process from when it
is ready until it has committed, for each event; it is the steadier of the two."""

import collections
import json
import time

from . import kafka
from .candidates import copier
from .paths import Failed, work_dir
from .results import Comparison

FAMILY = "events"
BUILDS = ("events",)  # the kinds of peers
CASES = {
    "copy": "consume, change a field of the JSON, produce: at least once",
    "exactly_once": "the same, each event exactly once",
}


def names():
    return [f"{FAMILY}/{case}" for case in CASES]


def order(number):
    """The value of an event, about 200 bytes as JSON."""
    return {
        "id": number,
        "customer": f"customer-{number % 1000:04}",
        "product": f"Product number {number % 100}",
        "quantity": number % 7,
        "price": 19.5,
        "paid": True,
        "tags": ["new", "online"],
        "address": {"street": "Nowhere Street 17", "city": "Springfield", "country": "US"},
    }


def check(name, rows, count, more):
    """Each event once, with what was to be changed."""
    keys = collections.Counter(key for _, key, _ in rows)
    if len(rows) != count or set(keys) != set(map(str, range(count))):
        raise Failed(f"{name} has written {len(rows)} events, {len(keys)} different ones, instead of {count}")
    for _, key, value in rows[::97]:
        wanted = order(int(key))
        wanted["quantity"] += more
        if json.loads(value) != wanted:
            raise Failed(f"{name} has made of event {key}: {value}")


def rate_of(times):
    """Events per second by when they were written; those of the first batch were there before the time began."""
    first, last = min(times), max(times)
    if first == last:
        raise Failed("too few events to tell how long they take: --events takes more")
    return sum(at > first for at in times) * 1000 / (last - first)


def wait_copied(brokers, process, topic, count, seconds=300):
    """Until all are written, and committed, too."""
    end, last, still = time.monotonic() + seconds, 0, 0
    while last < count or still < 4:
        process.check()
        if time.monotonic() > end:
            raise Failed(f"{process.name} has copied {last} of {count} events in {seconds} s:\n{process.tail()}")
        time.sleep(0.5)
        now = kafka.written(brokers, topic)
        last, still = now, still + 1 if now == last else 0


def copy(brokers, candidate, mode, topic, count):
    """One candidate copies the topic "input"."""
    kafka.create(brokers, topic)
    with copier(candidate, mode, brokers, (topic, "input", topic)) as process:
        before = process.cpu
        wait_copied(brokers, process, topic, count)
        used, rss = process.cpu - before, process.rss
    rows = kafka.read(brokers, topic)
    check(candidate.name, rows, count, mode != "copy")
    return {"rate": rate_of([at for at, _, _ in rows]), "cpu_us": used * 1e6 / count, "rss_load": rss}


def run(ctx, wanted):
    count = ctx.options.events
    with kafka.running() as brokers:
        lines = work_dir(FAMILY) / "events.txt"
        lines.write_text("".join(f"{i}\t{json.dumps(order(i), separators=(',', ':'))}\n" for i in range(count)))
        kafka.fill(brokers, "input", lines)
        if kafka.written(brokers, "input") != count:
            raise Failed("could not fill the topic")
        for case, title in CASES.items():
            if f"{FAMILY}/{case}" not in wanted:
                continue
            result = Comparison(f"{FAMILY}/{case}", title, what="events", notes=[f"{count:,} events in each round."])
            candidates = [one for one in ctx.chosen.of(FAMILY) if case in one.modes]
            for number in range(ctx.rounds):
                for one in candidates:
                    mode = one.modes[case]
                    result.add(one.name, one.role, **copy(brokers, one, mode, f"{case}-{one.name}-{number}", count))
            ctx.add(result)
