# SPDX-License-Identifier: MIT
"""Load generators: their commands, and what they print."""

import json
import re
import subprocess
import time
from dataclasses import dataclass

from .paths import Failed, work_dir
from .processes import LOAD_CORE, pinned

# The request, and what wrk has seen in the end as a line of JSON.
WRK_SCRIPT = """wrk.method, wrk.body = "POST", [==[%s]==]
wrk.headers["content-type"] = "application/json"
function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format('JSON{"requests":%%d,"seconds":%%.6f,"bytes":%%d,"failed":%%d,"p50_ms":%%.4f,"p99_ms":%%.4f,"p999_ms":%%.4f}\\n',
    summary.requests, summary.duration / 1e6, summary.bytes, e.connect + e.read + e.write + e.status + e.timeout,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3, latency:percentile(99.9) / 1e3))
end
"""


@dataclass
class Load:
    """What a load generator has seen."""

    requests: int
    seconds: float
    failed: int = 0
    bytes: int = 0  # of answers' bodies, where it is known
    p50_ms: float = 0.0
    p99_ms: float = 0.0
    p999_ms: float = 0.0
    cpu_us: float = 0.0  # of the server, for each request
    rss_load: float = 0.0  # of the server: the most that was seen, MB

    @property
    def rate(self):
        return self.requests / self.seconds


def parse_wrk(printed):
    found = re.search(r"^JSON(\{.*\})$", printed, re.M)
    if not found:
        raise Failed(f"wrk has printed no figures:\n{printed}")
    one = json.loads(found.group(1))
    one.pop("bytes")  # with the headers
    return Load(**one)


SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0}


def parse_h2load(printed):
    ended = re.search(r"finished in ([\d.]+)(us|ms|s|m)\b", printed)
    counts = re.search(r"requests: .* (\d+) done, (\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout", printed)
    codes = re.search(r"status codes: (\d+) 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx", printed)
    data = re.search(r"\((\d+)\) data", printed)
    if not (ended and counts and codes and data):
        raise Failed(f"h2load has printed no figures:\n{printed}")
    succeeded, failed, errored, timeout = (int(counts.group(number)) for number in (2, 3, 4, 5))
    wrong = failed + errored + timeout + sum(int(codes.group(number)) for number in (2, 3, 4))
    seconds = float(ended.group(1)) * SECONDS[ended.group(2)]
    return Load(succeeded, seconds, failed=wrong, bytes=int(data.group(1)))


# Thread by thread to another address of loopback: from one address to another there are fewer ports than connections.
HOSTS = """
local threads = 0
function setup(thread)
  threads = threads + 1
  thread.addr = wrk.lookup("127.0.0." .. threads, wrk.port)[1]
end
"""


def run(command, seconds, server=None, core=LOAD_CORE, watch=None):
    """Runs a load generator on its core. Gives what it has printed, and the server's CPU time and greatest memory meanwhile."""
    before = server.cpu if server else 0.0
    process = subprocess.Popen(pinned(core, command), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    most, end = 0.0, time.monotonic() + seconds + 120
    while True:
        try:
            printed, errors = process.communicate(timeout=0.25)
            break
        except subprocess.TimeoutExpired:
            if server:
                most = max(most, server.rss)
            if watch:
                watch()
            if time.monotonic() > end:
                process.kill()
                process.communicate()
                raise Failed(f"{command[0]} did not end within {seconds + 120:g} s") from None
    used = (server.cpu if server else 0.0) - before
    if server:
        settle(server)
    if process.returncode:
        raise Failed(f"{' '.join(map(str, command))}: ended with {process.returncode}:\n{printed}{errors}")
    return printed, used, most


def settle(server, seconds=5.0):
    """Waits until the server does no more: what it still works on when the load ends is not to be the next one's trouble."""
    end, before = time.monotonic() + seconds, server.cpu
    while time.monotonic() < end:
        time.sleep(0.05)
        now = server.cpu
        if now - before < 0.005:
            return
        before = now


def finish(load, used, most, printed, server, each=1):
    """The figures of a run that must be without any failure; each request is so many."""
    name = server.name if server else "the server"
    if server:
        server.check()
    if load.failed or not load.requests:
        raise Failed(f"{name}: {load.failed} requests failed of {load.requests}:\n{printed}")
    load.requests *= each
    load.cpu_us, load.rss_load = used * 1e6 / load.requests, most
    return load


def until_answered(command, parse, seconds, server, core, watch=None):
    """Runs command(seconds). What is so slow that nothing was answered meanwhile gets twice the time, three times at most."""
    for _ in range(4):
        printed, used, most = run(command(seconds), seconds, server, core, watch)
        load = parse(printed)
        if load.requests or load.failed:
            break
        seconds *= 2
    return load, used, most, printed


def wrk(url, body, seconds, server=None, connections=32, *, threads=1, core=LOAD_CORE, watch=None):
    """HTTP/1.1, one request in hand on each connection. With several threads the server listens at all addresses."""
    script = work_dir("wrk") / f"{server.name if server else 'wrk'}.lua"
    script.write_text(WRK_SCRIPT % body + (HOSTS if threads > 1 else ""))

    def command(duration):
        return ["wrk", f"-t{threads}", f"-c{connections}", f"-d{duration}s", "--timeout", "30s", "-s", script, url]

    load, used, most, printed = until_answered(command, parse_wrk, seconds, server, core, watch)
    return finish(load, used, most, printed, server)


def h2load(
    url, request, seconds, server=None, *, connections=8, streams=32, kind="application/json", size=None, each=1, core=LOAD_CORE
):
    """HTTP/2 by prior knowledge; `request` is a file. Each answer must have `size` bytes, where it is given."""
    what = ["-d", request, "-H", f"content-type: {kind}", "-H", "te: trailers", url]

    def command(duration):
        return ["h2load", "-t1", f"-c{connections}", f"-m{streams}", "-D", duration, *what]

    load, used, most, printed = until_answered(command, parse_h2load, seconds, server, core)
    if size is not None and not load.failed and load.bytes < load.requests * size:
        name = server.name if server else url
        raise Failed(f"{name}: answers of {size} bytes were expected, {load.requests} had {load.bytes} in all:\n{printed}")
    return finish(load, used, most, printed, server, each)
