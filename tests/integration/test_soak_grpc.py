# SPDX-License-Identifier: MIT
"""gRPC under full load while the bundle changes every 100 ms: h2load with unary calls, clients that look at every answer, and
streams that are open over many reloads. No call may fail. A few seconds as a rule; 30 s with PERILUNE_SOAK=1."""

import itertools
import random
import re
import statistics
import subprocess
import threading
import time

import pytest

from grpc_bundle import GRPC
from grpc_client import connect
from harness import FULL, MEASURED, SLOWNESS, wait_until, write_bundle

SECONDS = 30 if FULL else 4
FRAME = b"\0\0\0\0\5hello"


def services(version):
    return {
        "services/soak.lua": f"""
local time = require "perilune.time"
local ballast = ("{version} "):rep(10000)
return {{ ["test.Echo"] = {{
  Version = function() return "{version}" end,
  Echo = function(req) return req end,
  Chat = {{ bidi_streaming = function(call) for m in call:messages() do call:send("{version} " .. m) end end }},
  Slow = {{ server_streaming = function(req, call) for i = 1, tonumber(req) do time.sleep(0.02) call:send("{version}") end end }},
}} }}
"""
    }


class Soak:
    def __init__(self, server, directory):
        self.server, self.frame = server, directory / "frame.bin"
        self.frame.write_bytes(FRAME)
        self.until = time.monotonic() + SECONDS
        self.problems, self.memory = [], []
        self.counts = dict.fromkeys(["h2load", "unary", "chats", "streams", "reloads"], 0)
        self.lock = threading.Lock()

    def going_on(self):
        return time.monotonic() < self.until and not self.problems

    def count(self, what, more=1):
        with self.lock:
            self.counts[what] += more

    def run(self, function):
        try:
            with connect(self.server) as echo:
                while self.going_on():
                    function(echo)
        except Exception as problem:  # noqa: BLE001 - whatever fails in a thread fails the test
            self.problems.append((function.__name__, repr(problem)))

    def flood(self, _):
        """h2load does not look at grpc-status: the server's own count does, in the end."""
        headers = ["-H", "content-type: application/grpc", "-H", "te: trailers"]
        url = f"http://{self.server.ready['grpc']}/test.Echo/Echo"
        size = 20000 if SLOWNESS == 1 else 2000
        command = ["h2load", "-n", str(size), "-c", "8", "-m", "64", "-d", str(self.frame), *headers, url]
        printed = subprocess.run(command, capture_output=True, text=True, timeout=60 * SLOWNESS).stdout
        found = re.search(r"(\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout", printed)
        assert found and [int(one) for one in found.groups()] == [size, 0, 0, 0], printed
        self.count("h2load", size)

    def unary(self, echo):
        for call in [echo.unary("Version").future(b"") for _ in range(50)]:
            assert call.result(timeout=30 * SLOWNESS).isdigit()
        self.count("unary", 50)

    def chat(self, echo):
        """Lives through several reloads, and stays with the generation that it began on."""
        answered, pause = threading.Semaphore(1), random.uniform(0.01, 0.2)
        wanted = random.randrange(1, 20)

        def requests():
            for i in range(wanted):
                assert answered.acquire(timeout=30 * SLOWNESS)
                time.sleep(pause)
                yield b"%d" % i

        answers = []
        for answer in echo.bidi("Chat")(requests(), timeout=60 * SLOWNESS):
            answers.append(answer.split())
            answered.release()
        assert [int(i) for _, i in answers] == list(range(wanted)), answers
        assert len({version for version, _ in answers}) == 1, answers
        self.count("chats")

    def stream(self, echo):
        wanted = random.randrange(1, 50)
        answers = list(echo.server_stream("Slow")(b"%d" % wanted, timeout=60 * SLOWNESS))
        assert len(answers) == wanted and len(set(answers)) == 1, answers
        self.count("streams")

    def reload(self):
        for version in itertools.count(2):
            begin = time.monotonic()
            write_bundle(self.server.bundle, services(version))
            self.server.reload()
            self.count("reloads")
            self.memory.append(self.server.memory())
            time.sleep(max(0.0, 0.1 - (time.monotonic() - begin)))
            if not self.going_on():
                return


@pytest.mark.core
@pytest.mark.tsan
@pytest.mark.timeout(SECONDS + 120 * SLOWNESS)
def test_no_call_fails(start, tmp_path):
    server = start(services(1), *GRPC, workers=2, env=MEASURED)
    soak = Soak(server, tmp_path)
    jobs = [soak.flood, *[soak.unary] * 2, *[soak.chat] * 6, *[soak.stream] * 3]
    threads = [threading.Thread(target=soak.run, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    try:
        soak.reload()
    finally:
        soak.until = 0
        for thread in threads:
            thread.join()
    assert soak.problems == []
    assert all(soak.counts.values()), soak.counts
    wait_until(lambda: len(server.status()["generations"]) == 1, what="all old generations to end")
    workers = [worker["grpc"] for worker in server.status()["workers"]]
    assert sum(worker["failed_total"] for worker in workers) == 0
    assert sum(worker["calls"] for worker in workers) == 0
    total = sum(soak.counts[one] for one in ("h2load", "unary", "chats", "streams"))
    assert sum(worker["calls_total"] for worker in workers) == total
    print(soak.counts, [one >> 20 for one in soak.memory[:: max(1, len(soak.memory) // 20)]])
    if FULL:
        third = len(soak.memory) // 3
        assert statistics.median(soak.memory[-third:]) < 1.2 * statistics.median(soak.memory[third : 2 * third]), soak.memory
