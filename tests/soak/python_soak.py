# SPDX-License-Identifier: MIT
"""A soak of the Python package: one server with resolvers in Lua and Python, under load, for SOAK_SECONDS (600).

    make python && SOAK_SECONDS=600 build/python/venv/bin/python tests/soak/python_soak.py

Clients ask, some of them leave before they have an answer; every second a reload, now and then a bundle that is wrong,
or a rollback; messages by descriptor in between. Every answer is checked. In the end memory, threads and descriptors
must be what they were after the first tenth, but for 10 MB, and nothing unexpected in the log. Prints a line every ten
seconds; ends with 0 when all is well.
"""

import asyncio
import datetime
import gc
import json
import logging
import os
import random
import sys
import threading
import time
import urllib.request

import perilune

SECONDS = float(os.environ.get("SOAK_SECONDS", "600"))
MORE_KB = 10_000
SCHEMA = (
    "scalar Day  type Query { lua(n: Int): Int  plain(n: Int): Int  later(n: Int): Int  fails: Int  slow: Int  version: Int "
    "many: [Int]  day(on: Day): Day }"
)
LUA = """return { Query = { lua = function(_, args) return args.n end, version = function() return VERSION end } }"""
QUERY = 'query ($n: Int) { lua(n: $n) plain(n: $n) later(n: $n) fails version many again: plain(n: $n) day(on: "2024-02-29") }'


def files(version):
    return {"schema/a.graphql": SCHEMA, "resolvers/a.lua": LUA.replace("VERSION", str(version))}


class Soak:
    def __init__(self):
        self.random = random.Random(7)
        self.app = perilune.App(files=files(0), workers=2, log_level="error", drain=2.0)
        self.counts = {"asked": 0, "left": 0, "reloads": 0, "refused": 0, "cancelled": 0}
        self.wrong = []
        self.over = threading.Event()
        self.register()
        self.records = []
        handler = logging.Handler()
        handler.emit = lambda record: self.records.append(record.getMessage())
        self.app.logger.addHandler(handler)
        self.app.logger.propagate = False

    def register(self):
        app = self.app
        app.resolver("Query", "plain")(lambda parent, args: args["n"])
        app.scalar("Day", parse=datetime.date.fromisoformat, serialize=datetime.date.isoformat)
        app.resolver("Query", "day")(lambda parent, args: args["on"] + datetime.timedelta(days=1))
        app.resolver("Query", "many")(lambda: (number for number in range(10)))

        @app.resolver("Query", "fails")
        def fails():
            raise perilune.NotFound("as it should")

        @app.resolver("Query", "later")
        async def later(parent, args):
            await asyncio.sleep(self.random.random() / 500)
            return args["n"]

        @app.resolver("Query", "slow")
        async def slow():
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                self.counts["cancelled"] += 1
                raise

    def check(self, number, response):
        data = response.get("data") or {}
        expected = {"lua": number, "plain": number, "later": number, "fails": None, "many": list(range(10)), "again": number}
        expected["day"] = "2024-03-01"
        if {name: data.get(name) for name in expected} != expected or len(response["errors"]) != 1:
            self.wrong.append(response)
        self.counts["asked"] += 1

    def ask_in_process(self):
        while not self.over.is_set():
            number = self.random.randrange(2**31)
            self.check(number, self.app.graphql(QUERY, {"n": number}))

    def ask_over_http(self, address):
        while not self.over.is_set():
            number = self.random.randrange(2**31)
            body = json.dumps({"query": QUERY, "variables": {"n": number}}).encode()
            request = urllib.request.Request(f"http://{address}/graphql", body, {"content-type": "application/json"})
            with urllib.request.urlopen(request, timeout=30) as response:
                self.check(number, json.loads(response.read()))

    async def leave(self, address):
        host, port = address.rsplit(":", 1)
        while not self.over.is_set():
            _, writer = await asyncio.open_connection(host, int(port))
            writer.write(b"GET /graphql?query=%7Bslow%7D HTTP/1.1\r\nHost: a\r\nAccept: application/json\r\n\r\n")
            await writer.drain()
            await asyncio.sleep(0.02)
            writer.close()
            self.counts["left"] += 1

    def reload(self):
        version = 0
        while not self.over.wait(1):
            version += 1
            try:
                if version % 10 == 3:
                    self.app.reload(files(version) | {"resolvers/b.lua": "return {"})
                elif version % 10 == 7:
                    self.app.rollback()
                else:
                    self.app.reload(files(version))
                self.counts["reloads"] += 1
            except perilune.InvalidArgument:
                self.counts["refused"] += 1

    def measure(self):
        gc.collect()
        with open("/proc/self/statm") as file:
            memory = int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024
        return memory, len(os.listdir("/proc/self/task")), len(os.listdir("/proc/self/fd"))

    def run(self):
        with self.app.serve("127.0.0.1:0") as server:
            work = [self.ask_in_process, self.ask_in_process, self.reload, lambda: self.ask_over_http(server.http)]
            work.append(lambda: asyncio.run(self.leave(server.http)))
            threads = [threading.Thread(target=each) for each in work]
            for thread in threads:
                thread.start()
            begin, first, least = time.monotonic(), None, None
            while (passed := time.monotonic() - begin) < SECONDS and not self.wrong:
                time.sleep(min(10.0, SECONDS / 20))
                now = self.measure()
                print(f"{passed:6.0f} s  {now[0]} kB  {now[1]} threads  {now[2]} descriptors  {self.counts}", flush=True)
                if passed > SECONDS / 10:
                    first = first or now
                    if passed > SECONDS / 2:
                        least = min(least, now[0]) if least else now[0]
            self.over.set()
            for thread in threads:
                thread.join()
        return first, least

    def verdict(self, first, least):
        if self.wrong:
            return f"a wrong answer: {self.wrong[0]}"
        if least - first[0] > MORE_KB:
            return f"memory has grown from {first[0]} to {least} kB"
        if not all(self.counts.values()):
            return f"something has never happened: {self.counts}"
        expected = ("as it should", "at=resolvers/b.lua", "reload refused")
        unexpected = [record for record in self.records if not any(text in record for text in expected)]
        return f"in the log: {unexpected[0]}" if unexpected else None


def main():
    soak = Soak()
    problem = soak.verdict(*soak.run())
    print(problem or "all is well")
    sys.exit(1 if problem else 0)


main()
