# SPDX-License-Identifier: MIT
"""Events: how many one process on core 0 takes from Apache Kafka, handles and gives back; Kafka itself is on core 1.

The rate is that between the broker's timestamps of the first batch written and the last. CPU is that of the process from when it
is ready until it has committed, for each event; it is the steadier of the two."""

import collections
import contextlib
import json
import time

from . import graphql, kafka
from .candidates import OURS, service
from .paths import Failed, work_dir
from .results import Comparison

FAMILY = "events"
BUILDS = ("events",)  # the kinds of peers
CASES = {
    "copy": "consume, change a field of the JSON, produce: at least once",
    "exactly_once": "the same, each event exactly once",
    "consume": "consume, parse and add up: at least once",
    "produce": "produce, each event encoded on its own",
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


def wait_written(brokers, process, topic, count, seconds=300):
    """Until all are written, and committed, too."""
    end, last, still = time.monotonic() + seconds, 0, 0
    while last < count or still < 3:
        process.check()
        if time.monotonic() > end:
            raise Failed(f"{process.name} has written {last} of {count} events in {seconds} s:\n{process.tail()}")
        time.sleep(0.5)
        now = kafka.written(brokers, topic)
        last, still = now, still + 1 if now == last else 0


def wait_committed(brokers, process, group, count, seconds=300):
    end = time.monotonic() + seconds
    while (done := kafka.committed(brokers, group, f"input-{count}")) < count:
        process.check()
        if time.monotonic() > end:
            raise Failed(f"{process.name} has consumed {done} of {count} events in {seconds} s:\n{process.tail()}")
        time.sleep(0.2)


@contextlib.contextmanager
def recorded(server, recording):
    """The server, started: from then on with a recording, if there is to be one, as its work begins at once."""
    if recording is None:
        with server as process:
            yield process
        return
    server.attach = recording.attach
    with server as process:
        try:
            yield process
        finally:
            recording.stop(process)


def copy(brokers, candidate, mode, topic, count, recording=None):
    """One candidate copies the topic with so many events, or makes them."""
    kafka.create(brokers, topic)
    with recorded(service(candidate, mode, brokers, (topic, f"input-{count}", topic), count), recording) as process:
        before = process.cpu
        wait_written(brokers, process, topic, count)
        used, rss = process.cpu - before, process.rss
    rows = kafka.read(brokers, topic)
    check(candidate.name, rows, count, mode not in ("copy", "produce"))
    return {"rate": rate_of([at for at, _, _ in rows]), "cpu_us": used * 1e6 / count, "rss_load": rss}


def consume(brokers, candidate, mode, topic, count, recording=None):
    """One candidate reads the topic. When it has is known from what it commits, once a second: so there is no rate."""
    with recorded(service(candidate, mode, brokers, (topic, f"input-{count}", topic), count), recording) as process:
        before = process.cpu
        wait_committed(brokers, process, topic, count)
        used, rss = process.cpu - before, process.rss
        if candidate.role == OURS:
            answer = graphql.post(f"http://{process.ready['http']}/graphql", '{"query":"{ consumed { count quantity } }"}')
            seen = json.loads(answer)["data"]["consumed"]
    if candidate.role != OURS:
        seen = json.loads(process.printed.splitlines()[-1])
    wanted = sum(number % 7 for number in range(count))
    if (seen["count"], seen["quantity"]) != (count, wanted):
        raise Failed(f"{candidate.name} has consumed {seen}, and not {count} events with {wanted}")
    return {"cpu_us": used * 1e6 / count, "rss_load": rss}


def fill(brokers, count):
    lines = work_dir(FAMILY) / "events.txt"
    lines.write_text("".join(f"{i}\t{json.dumps(order(i), separators=(',', ':'))}\n" for i in range(count)))
    kafka.fill(brokers, f"input-{count}", lines)
    if kafka.written(brokers, f"input-{count}") != count:
        raise Failed("could not fill the topic")


def measure(ctx, brokers, case, counts):
    result = Comparison(f"{FAMILY}/{case}", CASES[case], what="events", notes=[f"{ctx.options.events:,} events in each round."])
    result.main = "cpu_us" if case == "consume" else "rate"
    candidates = [one for one in ctx.chosen.of(FAMILY) if case in one.modes]
    result.notes += [f"{one.name} has only {counts[one.part]:,}." for one in candidates if one.part < 1]
    running, do = [(one, None) for one in candidates], consume if case == "consume" else copy

    def once(one, name, recording=None):
        return do(brokers, one, one.modes[case], f"{case}-{one.name}-{name}", counts[one.part], recording)

    def profile(one, _):
        if ctx.profiler.wants(result.name, one.name):
            recording = ctx.profiler.recording()
            once(one, "profile", recording)
            ctx.keep(result, one, recording)

    for number in range(ctx.rounds):

        def timed(one, _, number=number):
            result.add(one.name, one.role, **once(one, number))

        running = ctx.each(result, running, timed)
    ctx.each(result, running, profile)
    ctx.add(result)


def run(ctx, wanted):
    counts = {one.part: int(ctx.options.events * one.part) for one in ctx.chosen.of(FAMILY)}
    with kafka.running() as brokers:
        for count in set(counts.values()):
            fill(brokers, count)
        for case in CASES:
            if f"{FAMILY}/{case}" in wanted:
                with ctx.attempt(f"{FAMILY}/{case}"):
                    measure(ctx, brokers, case, counts)
