# SPDX-License-Identifier: MIT
"""Two workers against one: what a request costs, and how many there are.

On a machine of two cores the load takes its share of both. One worker then has a core to itself, mostly, and waits for the load
generator; two workers share their cores with it, which costs them caches and switches, and gives them more requests at a time.
Neither is what having a second worker does. So two workers are held against two servers of one worker each, which share nothing,
side by side under the same load: the machine is as full, and what tells is the CPU time of a request. With four cores or more
the servers have 0 and 2, the load 1 and 3."""

import concurrent.futures
import contextlib
import os
from dataclasses import dataclass

from . import graphql, load
from .candidates import OURS, perilune
from .paths import BUNDLES, work_dir
from .results import Comparison

FAMILY = "workers"
BUILDS = ()
CASES = ("hello", "nested")
CONNECTIONS, STREAMS = 16, 8  # of each load generator


@dataclass(frozen=True)
class Row:
    title: str
    servers: int
    workers: int  # of each
    generators: int


ALONE = Row("one worker", 1, 1, 1)
BESIDE = Row("two servers of one worker", 2, 1, 2)
TWO = Row("two workers", 1, 2, 2)
ROWS = (ALONE, BESIDE, TWO)


def names():
    return [f"{FAMILY}/{case}" for case in CASES]


def cores():
    """(of the servers, of the load)"""
    return ("0,2", "1,3") if (os.cpu_count() or 1) >= 4 else ("0,1", "0,1")


def start(row, stack):
    def one(number):
        name = f"perilune-workers-{row.workers}-{row.servers}-{number}"
        return perilune(BUNDLES / "graphql", name, workers=row.workers, env={"BENCH_DB": ":memory:"}, core=cores()[0])

    return [stack.enter_context(one(number)) for number in range(row.servers)]


def send(case, row, servers, seconds):
    """All generators at once, each with a server, or all with the same one."""
    path = work_dir(FAMILY) / f"{case.name}.json"
    path.write_text(case.body())

    def one(number):
        url = f"http://{servers[number % len(servers)].ready['http']}/graphql"
        return load.h2load(url, path, seconds, connections=CONNECTIONS, streams=STREAMS, core=cores()[1])

    before = sum(server.cpu for server in servers)
    with concurrent.futures.ThreadPoolExecutor(row.generators) as pool:
        seen = list(pool.map(one, range(row.generators)))
    used, rss = sum(server.cpu for server in servers) - before, sum(server.rss for server in servers)
    for server in servers:
        load.settle(server)
        server.check()
    requests = sum(each.requests for each in seen)
    return {"rate": sum(each.rate for each in seen), "cpu_us": used * 1e6 / requests, "rss_load": rss}


def measure(ctx, case):
    servers, generators = cores()
    result = Comparison(f"{FAMILY}/{case.name}", f"{case.title}, HTTP/2", main="cpu_us")
    result.notes.append(f"Servers on cores {servers}, load on {generators}; one load generator for each worker.")
    with contextlib.ExitStack() as stack:
        started = [(row, start(row, stack)) for row in ROWS]
        for number in range(ctx.rounds + 1):
            for row, running in started:
                seen = send(case, row, running, ctx.seconds if number else 1)
                if number:
                    result.add(row.title, OURS, **seen)
    ctx.add(result)


def run(ctx, wanted):
    for case in CASES:
        name = f"{FAMILY}/{case}"
        if name in wanted:
            with ctx.attempt(name):
                measure(ctx, graphql.CASES[case])
