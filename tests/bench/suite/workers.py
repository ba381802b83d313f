# SPDX-License-Identifier: MIT
"""Two workers against one: what a request costs, and how many there are.

On a machine of two cores the load takes its share of both, with either number of workers: so the rate does not double, and what
tells is the CPU time of a request. With four cores or more the servers have 0 and 2, the load 1 and 3."""

import os

from . import graphql, load
from .candidates import OURS, perilune
from .paths import BUNDLES, work_dir
from .results import Comparison

FAMILY = "workers"
BUILDS = ()
CASES = ("hello", "nested")


def names():
    return [f"{FAMILY}/{case}" for case in CASES]


def cores():
    """(of the servers, of the load)"""
    return ("0,2", "1,3") if (os.cpu_count() or 1) >= 4 else ("0,1", "0,1")


def send(case, process, seconds):
    path = work_dir(FAMILY) / f"{case.name}.json"
    path.write_text(case.body())
    url = f"http://{process.ready['http']}/graphql"
    return load.h2load(url, path, seconds, process, connections=32, streams=8, core=cores()[1])


def run(ctx, wanted):
    env = {"BENCH_DB": ":memory:"}
    servers, generators = cores()
    rows = {"one worker": 1, "two workers": 2}
    for name in CASES:
        if f"{FAMILY}/{name}" not in wanted:
            continue
        case = graphql.CASES[name]
        result = Comparison(f"{FAMILY}/{name}", f"{case.title}, HTTP/2", main="cpu_us")
        result.notes.append(f"Server on cores {servers}, load on {generators}.")
        started = {}
        try:
            for title, count in rows.items():
                bundle = BUNDLES / "graphql"
                started[title] = perilune(bundle, f"perilune-{count}", workers=count, env=env, core=servers).start()
            for number in range(ctx.rounds + 1):
                for title, process in started.items():
                    seen = send(case, process, ctx.seconds if number else 1)
                    if number:
                        result.add(title, OURS, rate=seen.rate, cpu_us=seen.cpu_us, rss_load=seen.rss_load)
        finally:
            for process in started.values():
                process.stop()
        ctx.add(result)
