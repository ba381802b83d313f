# SPDX-License-Identifier: MIT
"""GraphQL: 10,000 subscribers over graphql-transport-ws, and how long a publish takes to reach them all."""

import json

from . import load
from .candidates import LIMIT, server
from .machine import raise_files
from .paths import PROGRAMS, Failed
from .results import Comparison

NAME, COUNT = "graphql/subscribers", 10_000
BUILDS = ("graphql",)


def names():
    return [NAME]


def parse(name, printed, count, rounds):
    """A line of JSON for each publish: how many are connected, and when the first, the median and the last had it, in µs."""
    try:
        lines = [json.loads(line) for line in printed.splitlines() if line.strip()]
        found = [{key: int(line[key]) for key in ("connected", "first_us", "median_us", "last_us")} for line in lines]
    except (ValueError, KeyError, TypeError):
        raise Failed(f"{name}: subscribers has printed no figures: {printed[:2000]}") from None
    if len(found) != rounds or any(one["connected"] != count for one in found):
        raise Failed(f"{name}: {count} subscribers and {rounds} publishes were wanted: {printed[:2000]}")
    return found


def measure(one, count, rounds):
    with server(one) as process:
        command = [PROGRAMS / "load" / "subscribers", process.ready["http"], count, rounds]
        printed, _, most = load.run(command, 120, process)
        process.check()
    return parse(one.name, printed, count, rounds), max(most, 0.0)


def run(ctx, wanted):
    files = raise_files(COUNT * 2)
    count = min(COUNT, files - 500)
    rounds = max(3, ctx.rounds)
    result = Comparison(NAME, f"{count:,} subscribers, one publish", what="publishes", main="last_ms")
    result.notes.append("Milliseconds from the publish until the first, half and the last of them have it.")
    if count < COUNT:
        result.notes.append(f"Only {count:,}: no more than {files:,} files may be open (`ulimit -Hn`).")

    def timed(one, _):
        seen, most = measure(one, count, rounds + 1)
        for publish in seen[1:]:  # the first warms up
            times = {f"{key}_ms": publish[f"{key}_us"] / 1e3 for key in ("first", "median", "last")}
            result.add(one.name, one.role, **times)
        result.add(one.name, one.role, rss_load=most)

    candidates = ctx.chosen.of("graphql")
    ctx.each(result, [(one, None) for one in candidates if one.role != LIMIT and "subscribers" not in one.lacks], timed)
    ctx.add(result)
