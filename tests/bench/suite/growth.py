# SPDX-License-Identifier: MIT
"""Ours against its own size: throughput and memory as connections, queries, lists, schemas, workers and generations grow."""

import contextlib
import os
import threading
import time
import urllib.error
import urllib.request

from . import admin, graphql, load
from .candidates import perilune
from .machine import raise_files
from .paths import Failed, work_dir
from .results import Curve
from .workers import cores

FAMILY = "growth"
BUILDS = ()
CONNECTIONS = (1, 10, 100, 1_000, 5_000, 10_000, 20_000)
FIELDS = (1, 10, 100, 1_000, 10_000)
ITEMS = (1, 10, 100, 1_000, 10_000)
TYPES = (10, 100, 1_000, 10_000)
WORKERS = (1, 2)
GENERATIONS = (1, 2, 4, 8, 16)

SCHEMA = """type Query {
  hello: String!
  items(count: Int!): [Item!]!
  wait: Boolean!
}

type Item {
  id: ID!
  name: String!
  price: Float!
  available: Boolean!
}
"""
# Queries larger than the limits of a server that faces the world.
APP = """-- SPDX-License-Identifier: MIT
return { graphql = { max_aliases = 20000, max_root_fields = 20000, max_cost = 1000000, max_tokens = 1000000 } }
"""
RESOLVERS = """-- SPDX-License-Identifier: MIT
local time = require "perilune.time"

local items = {}
for i = 1, 10000 do items[i] = { id = tostring(i), name = "Item number " .. i, price = i + 0.25, available = i %% 3 ~= 0 } end

return {
  Query = {
    hello = function() return "world" end,
    items = function(_, args) return table.move(items, 1, args.count, 1, {}) end,
    wait = function()
      time.sleep(25)
      return true
    end,
  },
}
-- %s
"""
HELLO = graphql.CASES["hello"]


def rounds(ctx):
    """The shape of a curve is what counts, and each has many points."""
    return min(ctx.rounds, 2)


def names():
    return [f"{FAMILY}/{case}" for case in CASES]


def bundle(name, schema=SCHEMA, version=0):
    folder = work_dir(f"{FAMILY}-{name}")
    for part in ("schema", "resolvers"):
        (folder / part).mkdir(exist_ok=True)
    (folder / "app.lua").write_text(APP)
    (folder / "schema" / "schema.graphql").write_text(schema)
    (folder / "resolvers" / "all.lua").write_text(RESOLVERS % version)
    return folder


def url(process):
    return f"http://{process.ready['http']}/graphql"


def check(process, case):
    answer = graphql.post(url(process), case.body())
    if not case.right(answer):
        raise Failed(f"wrong answer to {case.title}: {answer[:500]!r}")


def measure(curve, x, process, case, seconds, **options):
    """A point of the curve: one run of wrk, whose answers are right before and after."""
    check(process, case)
    seen = load.wrk(url(process), case.body(), seconds, process, **options)
    check(process, case)
    curve.add("throughput", "requests/s", x, seen.rate)
    curve.add("CPU time each", "µs", x, seen.cpu_us)
    curve.add("resident memory", "MB", x, max(seen.rss_load, process.rss))
    return seen


def open_files(process):
    return len(os.listdir(f"/proc/{process.pid}/fd"))


def connected(ctx, curve, process, count):
    """A point with so many connections. It takes a while until all are there: if too long, another try has more time."""
    besides, seconds = open_files(process), max(ctx.seconds, 5 if count >= 5_000 else 1)
    for _ in range(3):
        seen = [0]
        trial = Curve("", "", "")
        options = {"connections": count, "threads": 1 + (count - 1) // 4_000}
        if count >= 5_000:
            options["watch"] = lambda seen=seen: seen.append(open_files(process) - besides)
        measure(trial, count, process, HELLO, seconds, **options)
        if count < 5_000 or max(seen) >= count * 0.99:
            for title, series in trial.series.items():
                curve.add(title, series["unit"], count, series["points"][0][1][0])
            return
        seconds *= 2
    raise Failed(f"{count:,} connections were wanted, at most {max(seen):,} were open at once")


def connections(ctx, curve):
    """As many as the system allows; server and load generator need some files besides."""
    files = raise_files(CONNECTIONS[-1] + 500)
    with perilune(bundle("connections"), "perilune-connections", http="0.0.0.0:0") as process:
        process.ready["http"] = process.ready["http"].replace("0.0.0.0", "127.0.0.1")
        for _ in range(rounds(ctx)):
            for wanted in CONNECTIONS:
                connected(ctx, curve, process, min(wanted, files - 200))
    if files - 200 < CONNECTIONS[-1]:
        curve.notes.append(f"{files - 200:,} instead of {CONNECTIONS[-1]:,}: {files:,} files may be open (`ulimit -Hn`).")


def query_size(ctx, curve):
    with perilune(bundle("query"), "perilune-query") as process:
        for _ in range(rounds(ctx)):
            for count in FIELDS:
                query = "{ " + " ".join(f"f{number}: hello" for number in range(count)) + " }"
                wanted = {f"f{number}": "world" for number in range(count)}
                measure(curve, count, process, graphql.Case("query", f"{count} fields", query, wanted), ctx.seconds)


def list_length(ctx, curve):
    with perilune(bundle("list"), "perilune-list") as process:
        for _ in range(rounds(ctx)):
            for count in ITEMS:
                query = f"{{ items(count: {count}) {{ id name price available }} }}"
                case = graphql.Case("items", f"{count} items", query, lambda data, count=count: right_items(data, count))
                measure(curve, count, process, case, ctx.seconds)


def right_items(data, count):
    def item(i):
        return {"id": str(i), "name": f"Item number {i}", "price": i + 0.25, "available": i % 3 != 0}

    return data == {"items": [item(i) for i in range(1, count + 1)]}


def large_schema(types):
    """So many object types, each with fields of the next ones."""
    parts = [SCHEMA.replace("  wait", "  first: Type1\n  wait")]
    for number in range(1, types - 1):
        other = number % (types - 2) + 1
        parts.append(
            f"type Type{number} {{\n  id: ID!\n  name: String\n  next: Type{other}\n  all(limit: Int = 10): [Type{other}!]\n}}\n"
        )
    return "\n".join(parts)


def schema_size(ctx, curve):
    for _ in range(rounds(ctx)):
        for count in TYPES:
            with perilune(bundle(f"schema-{count}", large_schema(count)), f"perilune-schema-{count}") as process:
                curve.add("start", "ms", count, process.ready_seconds * 1e3)
                measure(curve, count, process, HELLO, ctx.seconds)


def worker_count(ctx, curve):
    servers, generators = cores()
    curve.notes.append(f"Server on cores {servers}, load on {generators}.")
    for _ in range(rounds(ctx)):
        for count in WORKERS:
            with perilune(bundle("workers"), f"perilune-workers-{count}", workers=count, core=servers) as process:
                measure(curve, count, process, HELLO, ctx.seconds, connections=64, core=generators)


class Waiting(threading.Thread):
    """A request that keeps the generation alive that it began on."""

    def __init__(self, process):
        super().__init__(daemon=True)
        self.request = urllib.request.Request(url(process), b'{"query":"{ wait }"}', {"content-type": "application/json"})

    def run(self):
        with contextlib.suppress(OSError, urllib.error.URLError):
            urllib.request.urlopen(self.request, timeout=60).read()


def wait_requests(process, count, seconds=10):
    """Until a generation is in the hands of a request."""
    end = time.monotonic() + seconds
    while admin.generations(process.ready["admin"])[0]["requests"] < count:
        if time.monotonic() > end:
            raise Failed("a request that waits has not arrived")
        time.sleep(0.01)


def generations(ctx, curve):
    for number in range(rounds(ctx)):
        folder = bundle("generations", version=f"{number} 0")
        with perilune(folder, "perilune-generations") as process:
            alive = 1
            for wanted in GENERATIONS:
                while alive < wanted:
                    Waiting(process).start()
                    wait_requests(process, 1)
                    bundle("generations", version=f"{number} {alive}")
                    admin.reload(process.ready["admin"])
                    alive += 1
                found = len(admin.generations(process.ready["admin"]))
                if found != wanted:
                    raise Failed(f"{found} generations are alive, {wanted} were wanted")
                measure(curve, wanted, process, HELLO, 1)


CASES = {
    "connections": (connections, "hello over HTTP/1.1", "connections", True),
    "query": (query_size, "a query of many fields, each with a resolver", "fields", True),
    "list": (list_length, "a list of objects with four fields", "objects", True),
    "schema": (schema_size, "hello with a large schema", "types", True),
    "workers": (worker_count, "hello with several workers", "workers", False),
    "generations": (generations, "hello while older generations have requests in hand", "generations alive", False),
}


def run(ctx, wanted):
    for case, (fill, title, x, log) in CASES.items():
        curve = Curve(f"{FAMILY}/{case}", title, x, log)
        if curve.name in wanted:
            with ctx.attempt(curve.name):
                fill(ctx, curve)
            ctx.add(curve)  # those points that there are
