# SPDX-License-Identifier: MIT
"""Servers that are killed and come back, of one bundle each. One that ends by itself, or not with 0 on SIGTERM, is a failure."""

import itertools
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from harness import Server, write_bundle


class ChaosServer(Server):
    def signal_reload(self):
        """Asks for a reload without waiting for its end."""
        self.signal(signal.SIGHUP)


class Servers:
    def __init__(self, directory, files, brokers, count=2, workers=2, flags=()):
        self.directory, self.count, self.workers = Path(directory), count, workers
        self.flags = ("--kafka", brokers, *flags)
        self.bundles = [write_bundle(self.directory / f"bundle-{i}", files) for i in range(count)]
        self._running, self._versions = [None] * count, itertools.count(1)
        # A process is told to end with its parent, which for Linux is the thread that has started it.
        self._starter = ThreadPoolExecutor(1)

    def __len__(self):
        return self.count

    def __getitem__(self, which):
        """The server, or None while it is down."""
        return self._running[which]

    def start(self, which):
        server = ChaosServer(self.bundles[which], self.directory / f"server-{which}.log", *self.flags, workers=self.workers)
        self._starter.submit(server.start, seconds=60).result()
        self._running[which] = server

    def change(self, which):
        """Another version of the bundle."""
        write_bundle(self.bundles[which], {"lib/version.lua": f"return {next(self._versions)}"})

    def kill(self, which):
        server, self._running[which] = self._running[which], None
        server.crash()

    def stop(self, which, seconds=60):
        server, self._running[which] = self._running[which], None
        try:
            server.stop(seconds)
        finally:
            server.kill()

    def __enter__(self):
        for which in range(self.count):
            self.start(which)
        return self

    def __exit__(self, kind, error, trace):
        """Ends all; the failure that is under way is the one that is told."""
        failures = []
        for which in range(self.count):
            if self._running[which]:
                try:
                    self.stop(which)
                except AssertionError as problem:
                    failures.append(problem)
        self._starter.shutdown()
        if failures and not error:
            raise failures[0]
