# SPDX-License-Identifier: MIT
"""Servers: started on their core, asked what they have used, ended."""

import contextlib
import json
import os
import select
import signal
import subprocess
import time
from pathlib import Path

from .paths import Failed

SERVER_CORE, LOAD_CORE = 0, 1


def pinned(core, command):
    """The command that runs another one on this core (or on several: "0,1"), and does not outlive the suite."""
    return ["setpriv", "--pdeathsig", "KILL", "taskset", "-c", str(core), *map(str, command)]


def tree(pid):
    """The process and all its children that live."""
    pids = [pid]
    for one in pids:
        with contextlib.suppress(OSError):
            for task in Path(f"/proc/{one}/task").iterdir():
                pids += map(int, (task / "children").read_text().split())
    return pids


def cpu_seconds(pid):
    """CPU time of the process, its children, and all their threads."""
    used, ticks = 0.0, os.sysconf("SC_CLK_TCK")
    for one in tree(pid):
        with contextlib.suppress(OSError):
            used += time.clock_gettime(~one << 3 | 2)  # in nanoseconds, unlike utime and stime
            stat = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
            used += (int(stat[13]) + int(stat[14])) / ticks  # children that have ended
    return used


def rss_mb(pid):
    """Resident memory of the process and its children."""
    kilobytes = 0
    for one in tree(pid):
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{one}/status").read_text().splitlines():
                if line.startswith("VmRSS:"):
                    kilobytes += int(line.split()[1])
    return kilobytes / 1024


def parse_ready(line):
    """What a ready line tells; None if it is none."""
    if line.strip() == "ready":
        return {}
    try:
        ready = json.loads(line)
    except ValueError:
        return None
    return ready if isinstance(ready, dict) and ready.get("event") == "ready" else None


# Runs a command that first waits to be woken up.
HELD = ["sh", "-c", 'kill -STOP $$; exec "$@"', "sh"]


def wait_stopped(pid, seconds=10.0):
    """Until the process has stopped itself, or has ended."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with contextlib.suppress(OSError):
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "TZ":
                return
        time.sleep(0.005)


class Server:
    """A program that prints a ready line. A context manager: it is ended in the end."""

    def __init__(self, name, command, log, env=None, core=SERVER_CORE):
        self.name, self.log = name, Path(log)
        self.core, self.command = core, list(map(str, command))
        self.env = {key: value for key, value in os.environ.items() if not key.startswith("PERILUNE")} | (env or {})
        self.process, self.ready, self.ready_seconds, self.printed = None, {}, 0.0, ""
        self.attach = None  # what is to be done with the process's number before the program begins

    @property
    def pid(self):
        return self.process.pid

    @property
    def program(self):
        """The name of the file that is run."""
        return Path(f"/proc/{self.pid}/exe").resolve().name

    @property
    def runs(self):
        return self.process is not None and self.process.poll() is None

    def start(self, seconds=60.0):
        self.log.parent.mkdir(parents=True, exist_ok=True)
        command, begin = (HELD if self.attach else []) + self.command, time.monotonic()
        with self.log.open("w") as log:
            try:
                self.process = subprocess.Popen(
                    pinned(self.core, command),
                    env=self.env,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    text=True,
                )
            except OSError as problem:
                raise Failed(f"{self.name} cannot be started: {problem}") from None
        if self.attach:
            wait_stopped(self.pid)
            self.attach(self.pid)
            self.process.send_signal(signal.SIGCONT)
        readable, _, _ = select.select([self.process.stdout], [], [], seconds)
        line = self.process.stdout.readline() if readable else ""
        self.ready_seconds = time.monotonic() - begin
        self.ready = parse_ready(line)
        if self.ready is None:
            self.stop()
            why = "printed no ready line" if readable else f"was not ready within {seconds:g} s"
            raise Failed(f"{self.name} {why}: {' '.join(self.command)}\n{line}{self.tail()}")
        return self

    def tail(self):
        return self.log.read_text(errors="replace")[-4000:]

    def check(self):
        """Fails unless it still runs."""
        if not self.runs:
            raise Failed(f"{self.name} has ended with {self.process.returncode}:\n{self.tail()}")

    def stop(self, seconds=20.0):
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        if not self.process.stdout.closed:
            self.printed = self.process.stdout.read()  # after the ready line
            self.process.stdout.close()

    def __enter__(self):
        return self if self.process else self.start()

    def __exit__(self, *_):
        self.stop()

    @property
    def cpu(self):
        return cpu_seconds(self.pid)

    @property
    def rss(self):
        return rss_mb(self.pid)
