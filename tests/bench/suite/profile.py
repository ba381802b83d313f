# SPDX-License-Identifier: MIT
"""Profiles: where the CPU time of a server goes, by library, thread and function.

perf takes samples of a server that is under the load of its case, after the rounds that are timed. A share of the samples is a
share of the CPU time that a request was measured to take. Without perf, or where it may not see enough, there are no profiles,
and the report says why."""

import collections
import contextlib
import os
import re
import signal
import subprocess
import time
from pathlib import Path

from .paths import Failed, work_dir
from .processes import LOAD_CORE, pinned
from .static_names import Files

# Of whom: what our targets are about, and beside us what they are held against.
HELLO, COPY = ("perilune", "bare_h2o"), ("perilune-each", "perilune-batch", "bare_kafka")
PROFILED = {
    "graphql/hello/http2": HELLO,
    "graphql/nested/http1": ("perilune", "bare_lua"),
    "grpc/hello": ("perilune", "bare_nghttp2"),
    "grpc/stream": ("perilune", "bare_nghttp2"),
    "events/copy": COPY,
    "events/exactly_once": ("perilune-exactly_once", "bare_kafka"),
    "events/consume": COPY,
}
SAMPLES_A_SECOND = 3999  # no divisor of what runs by a clock
FUNCTIONS = 15  # are kept
OWN, KERNEL, NAMELESS, ENDED = "own code", "kernel", "(static functions)", "(threads that have ended)"
FIELDS = "comm,tid,period,ip,sym,dso"
LINE = re.compile(r"^\s*(.*?)\s+(\d+)\s+(\d+)\s+([0-9a-f]+)\s+(.*?)\s+\(([^()]*(?:\([^()]*\))?)\)\s*$")
# What compilers append to the names of functions that they have made others of.
MADE_OF = re.compile(r"\.(lto_priv|constprop|isra|part|cold|llvm)\b.*$")


def library(path, program):
    """The name under which an object stands in a profile: "liblua5.4" of /usr/lib/liblua5.4.so.0.0.0."""
    path = path.removesuffix(" (deleted)")
    name = Path(path).name
    if path.startswith("["):
        return "vdso" if path == "[vdso]" else "other" if path in ("[unknown]", "[heap]", "[stack]") else KERNEL
    if name == program:
        return OWN
    found = re.match(r"(.+?)(?:-[\d.]+)?\.so(?:\.|$)", name)
    name = found.group(1) if found else name
    return "libc" if name.startswith(("ld-linux", "libpthread")) else name if found else "other"


def rows(counts, total, cpu_us, most=None):
    """The heaviest first, with what it is of all and of a request."""
    found = [{"name": name, "share": count / total, "us": cpu_us * count / total} for name, count in counts.most_common(most)]
    return [one | {key: float(f"{one[key]:.4g}") for key in ("share", "us")} for one in found]


def threads_of(pid):
    """{number: name}"""
    found = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):
            found[int(task.name)] = (task / "comm").read_text().strip()
    return found


def parse(printed, program, cpu_us, files=None, names=None):
    """What `perf script` prints, added up. `program`: the name of the executable; `files`: names of functions that perf does
    not know (static_names.Files); `names`: of threads."""
    libraries, threads, functions, samples = (collections.Counter() for _ in range(4))
    for line in printed.splitlines():
        found = LINE.match(line)
        if not found:
            if line.strip():
                raise Failed(f"perf script has printed: {line}")
            continue
        thread, number, period, address, symbol, path = found.groups()
        where, weight = library(path, program), int(period)
        if symbol == "[unknown]":
            symbol = (files and files.of(int(address, 16))) or NAMELESS
        name = MADE_OF.sub("", symbol)
        libraries[where] += weight
        threads[(names or {}).get(int(number), ENDED if thread.startswith(":") else thread)] += weight
        functions[name, where] += weight
        samples["all"] += 1
    total = sum(libraries.values())
    if not total:
        raise Failed("perf has no samples")
    heaviest = rows(functions, total, cpu_us, FUNCTIONS)
    return {
        "samples": samples["all"],
        "cpu_us": cpu_us,
        "libraries": rows(libraries, total, cpu_us),
        "threads": rows(threads, total, cpu_us),
        "functions": [one | {"name": one["name"][0], "library": one["name"][1]} for one in heaviest],
    }


def perf(*arguments, seconds=60):
    """(what it prints, what went wrong or nothing)"""
    env = os.environ | {"PERF_CONFIG": "/dev/null", "LC_ALL": "C"}
    try:
        done = subprocess.run(
            ["perf", *map(str, arguments)], capture_output=True, text=True, timeout=seconds, env=env, check=False
        )
    except OSError as problem:
        return "", f"perf (Debian's package linux-perf) cannot be run: {problem.strerror}"
    except subprocess.TimeoutExpired:
        return "", f"perf {arguments[0]} did not end within {seconds} s"
    return done.stdout, reason(done.stderr) if done.returncode else ""


def reason(errors):
    """The first line of them that says something: perf's often begin with "Error:" alone."""
    lines = [line.strip() for line in errors.splitlines()]
    return next((line for line in lines if line and not line.endswith(":")), "it ended without saying why")


def record(event, path):
    """The beginning of a command: nothing is left behind in the home directory, which perf does to find symbols later."""
    return ["record", "--quiet", "--no-buildid", "--no-buildid-cache", "-F", SAMPLES_A_SECOND, "-e", event, "-o", path]


def probe(path):
    """(the event that samples are taken by, "") or ("", why there can be none): seen of a program that counts for some ms."""
    busy = ["sh", "-c", "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done"]
    why = ""
    for event in ("cycles", "cpu-clock"):
        _, why = perf(*record(event, path), "--", *busy)
        if why:
            continue
        # Where the processor does not count cycles, perf itself takes the clock.
        taken, why = perf("evlist", "-i", path)
        seen, problem = perf("script", "-i", path, "-F", "ip")
        taken, why = taken.strip(), why or problem
        if re.search(r":\w*u", taken):
            return "", "perf may not see the kernel here (root may, or anybody with sysctl kernel.perf_event_paranoid=1)"
        if taken and seen.strip() and not why:
            return "cpu-clock" if taken.startswith("cpu-clock") else event, ""
    return "", why or "perf takes no samples here"


class Recording:
    """Samples of one server: from attach to stop, while it runs."""

    def __init__(self, event, path):
        self.event, self.path = event, path
        self.process, self.files, self.names, self.program, self.errors = None, None, {}, "", b""

    def attach(self, pid):
        """To this process, with the threads that it has and those that it starts."""
        self.path.unlink(missing_ok=True)
        command = pinned(LOAD_CORE, ["perf", *record(self.event, self.path), "-p", pid])
        nothing = subprocess.DEVNULL
        self.process = subprocess.Popen(command, stdin=nothing, stdout=nothing, stderr=subprocess.PIPE)
        end = time.monotonic() + 10
        # The file has its head when perf has attached itself.
        while self.process.poll() is None and time.monotonic() < end and not (self.path.exists() and self.path.stat().st_size):
            time.sleep(0.01)

    def stop(self, server=None):
        """Before the server ends: it is still to tell what is mapped where."""
        if server and server.runs:
            self.program, self.names = server.program, threads_of(server.pid)
            self.files = Files(Path(f"/proc/{server.pid}/maps").read_text())
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)  # it writes the rest
        try:
            _, self.errors = self.process.communicate(timeout=30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            _, self.errors = self.process.communicate()

    def read(self, cpu_us):
        """The profile, of requests that take this CPU time."""
        printed, why = perf("script", "-i", self.path, "-F", FIELDS)
        if why:
            raise Failed(f"perf script: {why}; perf record: {reason(self.errors.decode(errors='replace'))}")
        return parse(printed, self.program, cpu_us, self.files, self.names)


class Profiler:
    """Takes profiles, if it can be done here."""

    def __init__(self, seconds):
        self.seconds, self.path = seconds, work_dir("profile") / "perf.data"
        self.event, self.missing = probe(self.path) if seconds else ("", "--profile 0")

    def wants(self, case, name):
        return bool(self.event) and name in PROFILED.get(case, ())

    def recording(self):
        return Recording(self.event, self.path)
