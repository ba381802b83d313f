# SPDX-License-Identifier: MIT
"""The installed library: examples/embed-c is built against it in an empty folder, and serves."""

import json
import os
import re
import shutil
import signal
import threading
from pathlib import Path

import pytest

from harness import ROOT, VARIANT, Server, run, wait_until

pytestmark = pytest.mark.core
EXAMPLE = ROOT / "examples" / "embed-c"


def build(installed, folder, *options):
    shutil.copytree(EXAMPLE, folder)
    return run("make", *options, cwd=folder, env=installed[1])


@pytest.fixture(scope="module")
def program(installed, tmp_path_factory):
    folder = tmp_path_factory.mktemp("embed-c") / "clean"
    build(installed, folder)
    return folder / "embed-c"


class Program(Server):
    """As a Server, but for what needs its admin socket."""

    def __init__(self, program, bundle, log, installed, *flags):
        super().__init__(bundle, log, env=installed[1])
        self.command = ["setpriv", "--pdeathsig", "KILL", program, *flags, "127.0.0.1:0", bundle]
        self.command = [str(part) for part in self.command]


@pytest.fixture
def start(installed, tmp_path):
    running = []

    def start_program(program, *flags):
        bundle = tmp_path / "app"
        shutil.copytree(EXAMPLE / "app", bundle)
        running.append(Program(program, bundle, tmp_path / "log", installed, *flags))
        return running[-1].start()

    yield start_program
    for one in running:
        try:
            one.stop()
        finally:
            one.kill()


def exercise(server):
    server.wait_log('{"data":{"greeting":"Hello, embedder!"}}')  # its own request
    data = server.data("{ greeting host { pid description } primes(below: 100) }")
    assert data["greeting"] == "Hello, world!"
    assert data["host"]["pid"] == server.process.pid
    assert data["host"]["description"].startswith(f"process {server.process.pid}, since ")
    assert data["primes"] == 25
    [error] = server.graphql("{ a: primes(below: -1) }")["errors"]
    assert error["extensions"] == {
        "code": "INVALID_ARGUMENT",
        "violations": {"below": "must be between 0 and 10,000,000"},
    }


def greet_with(server, text):
    (server.bundle / "resolvers" / "greeting.lua").write_text(
        f"return {{ Query = {{ greeting = function() return {text} end }},\n"
        "  Host = { description = function() return '' end } }"
    )
    server.signal(signal.SIGHUP)


@pytest.mark.parametrize("flags", [(), ("--own-loop",)], ids=["workers", "own-loop"])
def test_program(program, start, flags):
    server = start(program, *flags)
    exercise(server)
    greet_with(server, "'changed'")
    server.wait_log("reloaded, generation 2")
    assert server.data("{ greeting }") == {"greeting": "changed"}
    greet_with(server, "'broken")
    server.wait_log("not reloaded")
    server.wait_log("resolvers/greeting.lua:1: ")
    assert server.data("{ greeting }") == {"greeting": "changed"}
    # A client that leaves while it is answered ends nothing.
    for _ in range(5):
        connection = server.connect()
        body = json.dumps({"query": "{ greeting primes(below: 100000) }"})
        head = f"POST /graphql HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        connection.sendall((head + body).encode())
        connection.close()
    assert server.data("{ primes(below: 10) }") == {"primes": 4}


def test_what_is_in_hand_is_answered_at_the_end(program, start):
    server = start(program)
    answers = []
    before = server.threads()
    asking = threading.Thread(target=lambda: answers.append(server.post({"query": "{ primes(below: 2000000) }"}).json()))
    asking.start()
    wait_until(lambda: server.threads() > before, what="the thread that counts")
    server.signal(signal.SIGTERM)
    asking.join()
    assert answers == [{"data": {"primes": 148933}}]
    server.stop()


def test_static_library(installed, start, tmp_path):
    printed = build(installed, tmp_path / "clean", "STATIC=yes")
    assert "-l:libperilune.a" in printed
    program = tmp_path / "clean" / "embed-c"
    assert "libperilune" not in run("ldd", program)
    exercise(start(program))


def declared(folder):
    """The functions that the public headers declare."""
    names = set()
    for header in Path(folder).rglob("*.h"):
        text = re.sub(r"/\*.*?\*/", "", header.read_text(), flags=re.DOTALL)
        names |= set(re.findall(r"^PL_API\b[^;(]*?\b(pl_\w+)\(", text, flags=re.MULTILINE))
    return names


def test_exported_are_the_declared_functions_alone(installed):
    prefix, _ = installed
    library = prefix / "lib" / "libperilune.so.0.1.0"
    symbols = [line.split() for line in run("nm", "-D", "--defined-only", library).splitlines()]
    exported = {name.split("@")[0] for _, kind, name in symbols if kind != "A"}
    if VARIANT in ("asan", "tsan"):
        exported = {name for name in exported if name.startswith("pl_")}
    assert exported == declared(prefix / "include")
    assert "libperilune.so.0]" in run("readelf", "-d", library)
    assert os.readlink(prefix / "lib" / "libperilune.so") == "libperilune.so.0"


@pytest.mark.parametrize("language, standard", [("c", "c11"), ("c", "c17"), ("c++", "c++11"), ("c++", "c++17"), ("c++", "c++20")])
def test_each_header_compiles_alone(installed, tmp_path, language, standard):
    prefix, _ = installed
    flags = ["-x", language, f"-std={standard}", "-Wall", "-Wextra", "-pedantic", "-Werror", "-fsyntax-only"]
    headers = [path.relative_to(prefix / "include") for path in (prefix / "include").rglob("*.h")]
    assert Path("perilune.h") in headers
    for header in headers:
        use = "int main() { pl_app_options options = PL_APP_OPTIONS_INIT; return options.workers; }"
        source = tmp_path / "alone"
        source.write_text(f"#include <{header}>\n{use if header == Path('perilune.h') else ''}\nint more;\n")
        # h2o's own headers are none of ours: they are system headers here.
        run("gcc" if language == "c" else "g++", *flags, "-I", prefix / "include", source)
