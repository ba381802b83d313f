# SPDX-License-Identifier: MIT
"""The candidates of a family of cases, up side by side, and the rounds in which they are asked in turn."""

from .candidates import LIMIT, OURS, limit, server
from .paths import Failed


class Servers:
    """Those that answer requests, each started when it is first asked for; they end with the stack."""

    def __init__(self, ctx, stack, family):
        self.ctx, self.stack, self.family, self.started = ctx, stack, family, {}

    def start(self, one, protocol):
        """One that has ended is started again; one that could not be started is not tried a second time."""
        key = (one.name, protocol if one.http2 else "")
        if key in self.started and self.started[key] is None:
            raise Failed("it could not be started, see above")
        if key not in self.started or not self.started[key].runs:
            self.started[key] = None
            self.started[key] = self.stack.enter_context(server(one, protocol))
        return self.started[key]

    def of(self, name, case, protocol="http1"):
        """[(candidate, server)] without the limits; some have a server of its own for each protocol."""
        found = []
        for one in self.ctx.chosen.of(self.family):
            if one.role != LIMIT and protocol in one.protocols and case not in one.lacks:
                with self.ctx.attempt(f"{name}, {one.name}"):
                    found.append((one, self.start(one, protocol)))
        if not any(one.role == OURS for one, _ in found):
            raise Failed("without Perilune there is nothing to compare")
        return found


def limits(ctx, stack, family, name, case, answer):
    """[(candidate, server)] of the limits: they always give this answer."""
    found = []
    for one in ctx.chosen.of(family):
        if one.role == LIMIT and case not in one.lacks:
            with ctx.attempt(f"{name}, {one.name}"):
                found.append((one, stack.enter_context(limit(one, answer, case))))
    return found


def compare(ctx, result, running, right, send, warm_up):
    """The rounds of a case. right(candidate, server) fails if an answer is wrong; send(server, seconds) gives what a load
    generator has seen; `warm_up`: seconds for what compiles as it runs."""

    def warm(one, process):
        if one.compiles:
            send(process, warm_up)

    def timed(one, process):
        seen = send(process, ctx.seconds_of(result.name))
        result.add(one.name, one.role, rate=seen.rate, cpu_us=seen.cpu_us, rss_load=seen.rss_load)

    def profile(one, process):
        if ctx.profiler.wants(result.name, one.name):
            with ctx.profile(result, one, process):
                send(process, ctx.profiler.seconds)

    # The answers must be right behind the load, too: it may have broken something.
    for do in (right, warm, *[timed] * ctx.rounds, profile, right):
        running = ctx.each(result, running, do)
    ctx.add(result)
