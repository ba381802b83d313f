# SPDX-License-Identifier: MIT
"""How long a reload takes, and what requests feel of it."""

import json
import signal
import subprocess
import threading
import time

from . import admin, graphql, load
from .candidates import OURS, perilune
from .paths import PERILUNE, Failed, work_dir
from .results import Comparison

FAMILY = "reload"
BUILDS = ()
SIZES = {1: "1 file", 100: "100 files", 1000: "1,000 files"}
SCHEMA = "type Query {\n  hello: String!\n  version: Int!\n}\n"
# About what a file of an application has: 50 lines.
MODULE = """-- SPDX-License-Identifier: MIT
local errors = require "perilune.errors"

local module = { name = "module%(number)d", limits = { least = %(number)d, most = %(number)d + 100 } }
local fields = { "id", "name", "email", "street", "city", "country", "phone", "birthday", "note", "language" }

local function trim(text)
  return (text:gsub("^%%s+", ""):gsub("%%s+$", ""))
end

function module.check(value)
  for i, field in ipairs(fields) do
    local one = value[field]
    if one ~= nil and type(one) ~= "string" then
      error(errors.invalid_argument(("field %%d is wrong"):format(i), { [field] = "must be a string" }))
    end
  end
  return value
end

function module.clean(value)
  local found = {}
  for _, field in ipairs(fields) do
    if value[field] then found[field] = trim(value[field]) end
  end
  return found
end

function module.within(number)
  return number >= module.limits.least and number <= module.limits.most
end

function module.total(lines)
  local sum = 0
  for _, line in ipairs(lines) do
    if module.within(line.price) then sum = sum + line.price * line.quantity end
  end
  return sum
end

function module.describe(value)
  local parts = {}
  for _, field in ipairs(fields) do
    if value[field] then parts[#parts + 1] = field .. "=" .. value[field] end
  end
  return module.name .. ": " .. table.concat(parts, ", ")
end

return module
"""
RESOLVERS = """-- SPDX-License-Identifier: MIT
local modules = {}
for i = 1, %(modules)d do modules[i] = require("lib.module" .. i) end

return { Query = { hello = function() return "world" end, version = function() return %(version)d end } }
"""


def names():
    return [f"{FAMILY}/latency", f"{FAMILY}/requests"]


class Bundle:
    """A generated application of so many Lua files, all of which are loaded."""

    def __init__(self, files):
        self.folder, self.files, self.version = work_dir(f"{FAMILY}-{files}"), files, 0
        for name in ("schema", "resolvers", "lib"):
            (self.folder / name).mkdir(exist_ok=True)
        (self.folder / "schema" / "schema.graphql").write_text(SCHEMA)
        for number in range(1, files):
            (self.folder / "lib" / f"module{number}.lua").write_text(MODULE % {"number": number})
        self.change()

    def change(self):
        """Another version of one file: a bundle that is as before is not loaded again."""
        self.version += 1
        text = RESOLVERS % {"modules": self.files - 1, "version": self.version}
        part = self.folder / "resolvers" / "all.lua.part~"
        part.write_text(text)
        part.replace(self.folder / "resolvers" / "all.lua")


def check_version(process, bundle):
    answer = graphql.post(f"http://{process.ready['http']}/graphql", '{"query":"{ version }"}')
    if json.loads(answer).get("data") != {"version": bundle.version}:
        raise Failed(f"the answer after reload {bundle.version} is {answer!r}")


def by_command(path):
    """Seconds that `perilune reload` takes, with the start of the process."""
    begin = time.perf_counter()
    done = subprocess.run([PERILUNE, "reload", "--admin", path], capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        raise Failed(f"perilune reload: {done.stdout}{done.stderr}")
    return time.perf_counter() - begin


def latency(ctx):
    result = Comparison(f"{FAMILY}/latency", "milliseconds until a changed bundle is live", main="reload_ms")
    result.notes.append("By the admin socket, and by `perilune reload` with the start of its process. One file has changed.")
    times = max(5, ctx.rounds * 10)
    for files, title in SIZES.items():
        bundle = Bundle(files)
        with perilune(bundle.folder, f"perilune-{files}") as process:
            for way, ask in ((title, admin.reload), (f"{title}, by the command", by_command)):
                for _ in range(times if way == title else times // 3):
                    bundle.change()
                    seconds = ask(process.ready["admin"])
                    check_version(process, bundle)
                    result.add(way, OURS, reload_ms=seconds * 1e3)
    ctx.add(result)


class Reloader(threading.Thread):
    """Reloads once a second until it is told to end: by a signal, as this process shares the cores: it must do little."""

    def __init__(self, process, bundle):
        super().__init__(daemon=True)
        self.process, self.bundle, self.over = process, bundle, threading.Event()
        self.before, self.asked, self.problem = admin.reloads(process.ready["admin"]), 0, None

    def run(self):
        wait = 0.5
        while not self.over.wait(wait):
            try:
                self.bundle.change()
                self.process.process.send_signal(signal.SIGHUP)
            except OSError as problem:
                self.problem = problem
                return
            self.asked += 1
            wait = 1.0

    def end(self):
        """How many there were; each must have been done."""
        self.over.set()
        self.join()
        end = time.monotonic() + 10
        while (done := admin.reloads(self.process.ready["admin"]) - self.before) < self.asked and time.monotonic() < end:
            time.sleep(0.02)
        if self.problem or done != self.asked:
            raise Failed(f"reload under load: {done} of {self.asked}: {self.problem}")
        check_version(self.process, self.bundle)
        return done


CONNECTIONS = (4, 32)


def requests(ctx):
    """Percentiles of hello, with a bundle of 100 files."""
    bundle = Bundle(100)
    result = Comparison(f"{FAMILY}/requests", "hello over HTTP/1.1 while a bundle of 100 files is reloaded", main="p99_ms")
    case, seconds, reloads = graphql.CASES["hello"], max(5, 2 * ctx.seconds), 0
    with perilune(bundle.folder, "perilune-requests") as process:
        url = f"http://{process.ready['http']}/graphql"
        load.wrk(url, case.body(), 1, process)
        for _ in range(2 * ctx.rounds - 1):  # the tail of a few seconds is noisy
            for connections in CONNECTIONS:
                for reloading in (False, True):
                    reloader = Reloader(process, bundle)
                    if reloading:
                        reloader.start()
                    seen = load.wrk(url, case.body(), seconds, process, connections)
                    if reloading:
                        reloads += reloader.end()
                    title = f"{connections} connections, " + ("a reload a second" if reloading else "no reload")
                    result.add(title, OURS, rate=seen.rate, p50_ms=seen.p50_ms, p99_ms=seen.p99_ms, p999_ms=seen.p999_ms)
    result.notes.append(f"{reloads} reloads under load in all; the worker and what reloads share core 0.")
    ctx.add(result)


def run(ctx, wanted):
    for do in (latency, requests):
        name = f"{FAMILY}/{do.__name__}"
        if name in wanted:
            with ctx.attempt(name):
                do(ctx)
