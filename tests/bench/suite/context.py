# SPDX-License-Identifier: MIT
"""What a family of cases gets: the options, who takes part, and where results and failures go."""

import contextlib
import time
import traceback

from . import report
from .candidates import Chosen
from .paths import Failed
from .profile import Profiler
from .targets import TARGETS

WITH_TARGETS = {one.case for one in TARGETS}


class Context:
    def __init__(self, options, saved=lambda: None):
        """`saved` is called whenever there is more to be kept."""
        self.rounds, self.seconds, self.options = options.rounds, options.seconds, options
        self.chosen = Chosen(options.peers)
        self.results, self.failures, self.begin, self.saved = {}, [], time.monotonic(), saved
        self.profiler = None

    def prepare(self):
        """What is done before the first case."""
        self.begin = time.monotonic()
        self.profiler = Profiler(self.options.profile)
        if self.profiler.missing:
            print(f"bench: no profiles: {self.profiler.missing}", flush=True)

    @property
    def minutes(self):
        return (time.monotonic() - self.begin) / 60

    def seconds_of(self, case):
        """Of each candidate in each round: half where there is no target, so that a whole run takes half an hour."""
        return self.seconds if case in WITH_TARGETS else max(1, self.seconds // 2)

    def add(self, result):
        """A result that is whole. One with nothing in it is none."""
        if not (result.series if hasattr(result, "series") else result.candidates):
            return
        self.results[result.name] = result
        table = report.curve_table(result) if hasattr(result, "series") else report.comparison_table(result)
        print(f"\n{result.name}: {result.title} [{self.minutes:.1f} min]\n{table}", flush=True)
        self.saved()

    def fail(self, what, why):
        why = str(why).strip().rstrip(":")
        self.failures.append(f"{what}: {why}")
        print(f"\nbench: {what} has failed [{self.minutes:.1f} min]: {why}", flush=True)
        self.saved()

    @contextlib.contextmanager
    def attempt(self, name):
        """What goes wrong here is noted, and the run goes on behind it."""
        try:
            yield
        except Failed as problem:
            self.fail(name, problem)
        except Exception as problem:  # noqa: BLE001 (whatever it is, the other cases are worth having)
            traceback.print_exc()
            self.fail(name, f"{type(problem).__name__}: {problem}")

    def each(self, result, running, do):
        """Does it with each (candidate, server). Gives those that did well; with another one the case goes on without it."""
        well = []
        for one, process in running:
            before = len(self.failures)
            with self.attempt(f"{result.name}, {one.name}"):
                do(one, process)
            if len(self.failures) > before:
                result.candidates.pop(one.name, None)
            else:
                well.append((one, process))
        return well

    @contextlib.contextmanager
    def profile(self, result, one, server):
        """A profile of a server that runs, for as long as this lasts."""
        recording = self.profiler.recording()
        recording.attach(server.pid)
        try:
            yield
        finally:
            recording.stop(server)
        self.keep(result, one, recording)

    def keep(self, result, one, recording):
        """It is no failure of the run if there is no profile."""
        try:
            result.profiles[one.name] = recording.read(result.median(one.name, "cpu_us"))
        except Failed as problem:
            result.notes.append(f"No profile of {one.name}: {problem}.")
