# SPDX-License-Identifier: MIT
"""Runs examples/embed-h2o, a program on libh2o with Perilune at one of its paths."""

import os
import signal
from pathlib import Path

from harness import PERILUNE, ROOT, Server, wait_until

EXAMPLE = ROOT / "examples" / "embed-h2o"
PROGRAM = Path(os.environ.get("PERILUNE", PERILUNE)).parent / "embed-h2o"


class H2oHost(Server):
    """As a Server, but for what needs its admin socket; GraphQL is at `path`."""

    def __init__(self, bundle, log, *flags, threads=2, path="/graphql", program=PROGRAM, env=None):
        super().__init__(bundle, log, env=env)
        self.path = path
        self.command = ["setpriv", "--pdeathsig", "KILL", program, "--listen", "127.0.0.1:0", "--threads", threads]
        self.command += ["--path", path, "--files", EXAMPLE / "public", *flags, bundle]
        self.command = [str(part) for part in self.command]

    def start(self, seconds=20.0):
        super().start(seconds)
        self.url = self.base + self.path
        return self

    def changes(self):
        """How often another generation has become live, and how often one was refused."""
        lines = [entry.get("message") or entry.get("msg") for entry in self.log()]
        return lines.count("reloaded"), lines.count("reload refused: nothing has changed")

    def reload(self, ok=True):
        """SIGHUP; returns when the bundle, which has changed, is live or has been refused."""
        before = self.changes()
        self.signal(signal.SIGHUP)
        after = wait_until(lambda: (now := self.changes()) != before and now, 20, "a reload")
        assert (after[0] > before[0]) == ok, self.log_text()[-4000:]
