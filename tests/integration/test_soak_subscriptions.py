# SPDX-License-Identifier: MIT
"""Subscribers that come and go over every transport, events all the time, and a reload every second. A few seconds as a rule;
ten minutes with PERILUNE_SOAK=1."""

import itertools
import random
import statistics
import threading
import time

import httpx
import pytest

from harness import FULL, SLOWNESS, wait_until, write_bundle
from streams import EventStream, MultipartStream, WebSocket
from subscription_bundle import BUNDLE, in_hand

SECONDS = 600 if FULL else 6
EVENTS_A_SECOND = 50
MULTIPART = 'multipart/mixed;boundary="graphql";subscriptionSpec=1.0, application/json'
NUMBER = "subscription { said { number } }"


def sse(server):
    with EventStream(server, NUMBER, http2=random.random() < 0.5) as stream:
        for payload in stream.events:
            yield payload["data"]["said"]["number"]


def multipart(server):
    with MultipartStream(server, NUMBER, MULTIPART) as stream:
        for payload in stream.events:
            yield payload["payload"]["data"]["said"]["number"]


def websocket(server, protocol="graphql-transport-ws"):
    with WebSocket(server, protocol=protocol) as socket:
        socket.subscribe(NUMBER)
        while True:
            yield socket.next()["data"]["said"]["number"]


def older_websocket(server):
    yield from websocket(server, "graphql-ws")


TRANSPORTS = [sse, multipart, websocket, older_websocket]


class Soak:
    def __init__(self, server):
        self.server = server
        self.until = time.monotonic() + SECONDS
        self.over = threading.Event()  # nothing need be published any more
        self.problems = []
        self.published = self.visits = self.reloads = 0
        self.memory = []

    def going_on(self):
        return time.monotonic() < self.until and not self.problems

    def run(self, function, *arguments):
        try:
            function(*arguments)
        except Exception as problem:  # noqa: BLE001 - whatever fails in a thread fails the test
            self.problems.append((function.__name__, arguments, repr(problem)))

    def publish(self):
        """Until the time is over, and then until nobody reads any more."""
        with httpx.Client(timeout=20 * SLOWNESS) as client:
            while not self.over.is_set():
                query = {"query": 'mutation { say(text: "x") }'}
                assert client.post(self.server.url, json=query).json() == {"data": {"say": True}}
                self.published += 1
                time.sleep(1 / EVENTS_A_SECOND)

    def stay(self, transport, seen):
        """Reads from the first event on."""
        for number in transport(self.server):
            seen.append(number)
            if not self.going_on():
                return

    def visit(self):
        """Comes, reads a little, and leaves: in the middle, or without having read at all."""
        while self.going_on():
            events = random.choice(TRANSPORTS)(self.server)
            for _ in itertools.islice(events, random.randrange(0, 8)):
                if not self.going_on():
                    break
            events.close()
            self.visits += 1

    def idle(self):
        """Subscribes and never reads."""
        while self.going_on():
            with WebSocket(self.server) as socket, EventStream(self.server, NUMBER):
                socket.subscribe(NUMBER)
                end = time.monotonic() + random.uniform(0.5, 5)
                while self.going_on() and time.monotonic() < end:
                    time.sleep(0.05)

    def reload(self):
        for turn in itertools.count(1):
            next_turn = time.monotonic() + 1
            broken = turn % 5 == 0
            schema = BUNDLE["schema/schema.graphql"]
            schema += "type Broken {" if broken else f"type Extra{turn} {{ a: Int }}" if turn % 3 == 0 else ""
            write_bundle(self.server.bundle, {"schema/schema.graphql": schema + "\n" + "#" * turn})
            self.server.reload(ok=not broken)
            self.reloads += not broken
            self.memory.append(self.server.memory())
            while self.going_on() and time.monotonic() < next_turn:
                time.sleep(0.02)
            if not self.going_on():
                return


@pytest.mark.timeout(SECONDS + 120 * SLOWNESS)
def test_subscribers_come_and_go(start):
    resolvers = BUNDLE["resolvers/resolvers.lua"].replace("queue = 10,", "queue = 100000,")
    app = BUNDLE["app.lua"].replace("max_operations = 3", "max_operations = 100")
    server = start(BUNDLE | {"resolvers/resolvers.lua": resolvers, "app.lua": app}, workers=2)
    soak = Soak(server)
    stayers = [(transport, []) for transport in TRANSPORTS * 2]
    threads = [threading.Thread(target=soak.run, args=(soak.stay, *stayer), daemon=True) for stayer in stayers]
    for thread in threads:
        thread.start()
    wait_until(lambda: in_hand(server) == len(stayers), what="all stayers have subscribed")
    publisher = threading.Thread(target=soak.run, args=(soak.publish,), daemon=True)
    publisher.start()
    for job in [soak.reload, soak.idle, soak.idle, *[soak.visit] * 6]:
        threads.append(threading.Thread(target=soak.run, args=(job,), daemon=True))
        threads[-1].start()
    for thread in threads:
        thread.join(SECONDS + 60 * SLOWNESS)
    soak.over.set()
    publisher.join(20 * SLOWNESS)
    assert not soak.problems, soak.problems
    assert soak.published > 0
    for transport, seen in stayers:
        assert seen == list(range(1, len(seen) + 1)), (transport.__name__, len(seen), soak.published)
        assert len(seen) >= SECONDS
    wait_until(lambda: in_hand(server) == 0, what="all have gone", seconds=30)
    print(
        f"{soak.published} events, {soak.visits} visits, {soak.reloads} reloads, memory {soak.memory[:: max(1, SECONDS // 20)]}"
    )
    if FULL:
        third = len(soak.memory) // 3
        assert statistics.median(soak.memory[-third:]) < 1.1 * statistics.median(soak.memory[third : 2 * third])
