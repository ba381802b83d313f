# SPDX-License-Identifier: MIT
"""From the start of the process until it accepts, and resident memory: idle, and under load."""

import time
from dataclasses import dataclass

from . import graphql, grpc, load
from .candidates import LIMIT, OURS, PERILUNE, Candidate, perilune, server
from .paths import ROOT, work_dir
from .results import Comparison

FAMILY = "startup"
BUILDS = ("graphql", "grpc")
BLOG = graphql.Case("blog", "the blog example", "{ posts { id title author { name } } }", lambda data: bool(data["posts"]))
SETTLE = 0.5  # seconds until memory is looked at


@dataclass(frozen=True)
class Start:
    name: str
    title: str
    candidates: object  # what starts
    send: object  # puts a server under load
    start: object = server


def names():
    return [f"{FAMILY}/{name}" for name in ("blog", "graphql", "grpc")]


def blog(_):
    env = {"PERILUNE_SQLITE_PATH": ":memory:"}
    return perilune(ROOT / "examples" / "blog", "perilune-blog", env=env)


def send_graphql(case):
    def send(process, seconds):
        return load.wrk(f"http://{process.ready['http']}/graphql", case.body(), seconds, process)

    return send


def send_grpc(process, seconds):
    case = grpc.CASES["hello"]
    path = work_dir(FAMILY) / "hello.request"
    path.write_bytes(grpc.frame(grpc.encode(case.request)))
    return grpc.send(case, process, path, seconds)


def servers(ctx, serves):
    return [one for one in ctx.chosen.of(serves) if one.role != LIMIT and "hello" not in one.lacks]


def cases(ctx):
    ours = Candidate("perilune", OURS, "graphql", (PERILUNE,))
    hello = send_graphql(graphql.CASES["hello"])
    return (
        Start("blog", "the blog example, one worker", [ours], send_graphql(BLOG), blog),
        Start("graphql", "servers of GraphQL, loaded with hello", servers(ctx, "graphql"), hello),
        Start("grpc", "servers of gRPC, loaded with unary calls", servers(ctx, "grpc"), send_grpc),
    )


def measure(ctx, case, rounds):
    result = Comparison(f"{FAMILY}/{case.name}", case.title, main="ready_ms")
    result.notes.append("Milliseconds from the start of the process to its ready line, and MB resident of all its processes.")

    def loaded(one, _):  # this fills the page cache, too
        with case.start(one) as process:
            seen = case.send(process, ctx.seconds)
            result.add(one.name, one.role, rss_load=max(seen.rss_load, process.rss))

    def timed(one, _):
        with case.start(one) as process:
            time.sleep(SETTLE)
            result.add(one.name, one.role, ready_ms=process.ready_seconds * 1e3, rss_idle=process.rss)

    running = [(one, None) for one in case.candidates]
    for do in (loaded, *[timed] * rounds):
        running = ctx.each(result, running, do)
    ctx.add(result)


def run(ctx, wanted):
    for case in cases(ctx):
        name = f"{FAMILY}/{case.name}"
        if name in wanted:
            with ctx.attempt(name):
                measure(ctx, case, max(3, ctx.rounds))
