# SPDX-License-Identifier: MIT
"""Beginnings and ends: signals, forks, and an interpreter that goes while servers run. Each in a process of its own."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

PRELUDE = """
import asyncio, gc, logging, os, signal, sys, threading, time, warnings
import perilune

logging.getLogger("perilune").setLevel("ERROR")
logging.getLogger("asyncio").setLevel("ERROR")  # what takes long on a machine that is busy is no matter
warnings.filterwarnings("ignore", message=".*use of fork")
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs begin with it ignored
FILES = {
    "schema/a.graphql": "type Query { a: String  slow: String  never: String }",
    "resolvers/a.lua": 'return { Query = { a = function() return "lua" end } }',
}
"""
VARIANT = os.environ.get("PERILUNE_VARIANT")
SLOWNESS = 5 if VARIANT in ("asan", "tsan") else 1
# What threads had that a fork has not brought along is a leak to a sanitizer.
NO_LEAKS = os.environ | {"ASAN_OPTIONS": f"{os.environ.get('ASAN_OPTIONS', '')}:detect_leaks=0"}
pytestmark = [pytest.mark.core, pytest.mark.tsan]


def start(program, **options):
    text = PRELUDE + textwrap.dedent(program)
    return subprocess.Popen(
        [sys.executable, "-X", "dev", "-c", text], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options
    )


def finish(process, code=0):
    out, err = process.communicate(timeout=30 * SLOWNESS)
    assert process.returncode == code, (process.returncode, out, err)
    return out, err


def caught(pid, number):
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("SigCgt:")[1].split()[0], 16) >> (number - 1) & 1


def run(program, code=0, **options):
    out, err = finish(start(program, **options), code)
    assert err == "", err
    return out


def test_the_interpreter_ends_while_a_server_runs():
    assert (
        run("""
        app = perilune.App(files=FILES, workers=2)
        app.resolver("Query", "slow")(lambda: "python")
        server = app.serve("127.0.0.1:0")
        print(app.graphql("{ a slow }")["data"], server.http.startswith("127.0.0.1:"))
    """)
        == "{'a': 'lua', 'slow': 'python'} True\n"
    )


def test_the_interpreter_ends_while_functions_wait():
    run("""
        entered = threading.Event()
        app = perilune.App(files=FILES)

        @app.resolver("Query", "slow")
        def slow():
            entered.set()
            time.sleep(2)

        @app.resolver("Query", "never")
        async def never():
            await asyncio.sleep(1000)

        def ask():
            try:
                app.graphql("{ slow never }")
            except perilune.Error:
                pass

        threading.Thread(target=ask, daemon=True).start()
        entered.wait(10)
    """)


def test_an_app_is_forgotten_with_its_last_reference():
    assert (
        run("""
        import weakref
        for _ in range(3):
            app = perilune.App(files=FILES)
            app.resolver("Query", "slow")(lambda: app and "x")
            app.graphql("{ a slow }")
            known = weakref.ref(app)
            app.close()
            del app
        gc.collect()
        print(known(), threading.active_count())
    """)
        == "None 1\n"
    )


def test_exceptions_at_exit_and_in_threads_are_not_from_here():
    assert (
        run("""
        app = perilune.App(files=FILES, log_level="none")

        @app.resolver("Query", "slow")
        def slow():
            raise SystemExit(3)

        @app.resolver("Query", "never")
        async def never():
            raise KeyboardInterrupt

        response = app.graphql("{ slow never }")
        print(sorted(error["extensions"]["code"] for error in response["errors"]))
        print(app.graphql("{ a }"))
    """)
        == "['INTERNAL', 'INTERNAL']\n{'data': {'a': 'lua'}}\n"
    )


def test_keyboard_interrupt_while_a_request_waits():
    process = start("""
        app = perilune.App(files=FILES)
        go = threading.Event()

        @app.resolver("Query", "slow")
        def slow():
            print("waits", flush=True)
            go.wait(30)
            return "late"

        try:
            app.graphql("{ slow }")
        except KeyboardInterrupt:
            go.set()
            print(app.graphql("{ a }"))
    """)
    assert process.stdout.readline() == "waits\n"
    process.send_signal(signal.SIGINT)
    out, err = finish(process)
    assert out == "{'data': {'a': 'lua'}}\n" and err == ""


def test_a_server_runs_until_it_is_told_to_stop():
    process = start("""
        app = perilune.App(files=FILES)
        with app.serve("127.0.0.1:0") as server:
            print("ready", flush=True)
            server.wait()
        print("over")
    """)
    assert process.stdout.readline() == "ready\n"
    while not caught(process.pid, signal.SIGTERM):
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    assert finish(process) == ("over\n", "")


@pytest.mark.skipif(VARIANT == "tsan", reason="ThreadSanitizer does not go on in the child of a process with threads")
def test_after_a_fork_the_child_has_apps_of_its_own():
    assert run(
        """
        app = perilune.App(files=FILES)
        app.resolver("Query", "slow")(lambda: "python")
        app.graphql("{ slow }")
        child = os.fork()
        if child == 0:
            try:
                app.graphql("{ a }")
            except perilune.FailedPrecondition as error:
                print(error)
            app.close()
            other = perilune.App(files=FILES)
            other.resolver("Query", "slow")(lambda: "child")
            print(other.graphql("{ a slow }")["data"], flush=True)
            del app
            gc.collect()
            sys.exit(0)
        _, status = os.waitpid(child, 0)
        print(status, app.graphql("{ slow }")["data"])
    """,
        env=NO_LEAKS,
    ) == (
        "the app belongs to the parent process: make one in this process\n{'a': 'lua', 'slow': 'child'}\n0 {'slow': 'python'}\n"
    )


@pytest.mark.skipif(VARIANT == "tsan", reason="ThreadSanitizer does not go on in the child of a process with threads")
def test_a_fork_does_not_share_where_answers_arrive():
    assert (
        run(
            """
        app = perilune.App(files=FILES)
        app.graphql("{ a }")
        def mine():
            descriptor = perilune._mail._here.inbox.fileno()
            return os.stat(f"/proc/self/fd/{descriptor}").st_ino, descriptor
        before = mine()
        child = os.fork()
        if child == 0:
            other = perilune.App(files=FILES)
            print(other.graphql("{ a }")["data"], hasattr(perilune._mail._here, "inbox"))
            print(mine() != before, flush=True)
            sys.exit(0)
        os.waitpid(child, 0)
        print(app.graphql("{ a }")["data"], mine() == before)
    """,
            env=NO_LEAKS,
        )
        == "{'a': 'lua'} True\nTrue\n{'a': 'lua'} True\n"
    )


def test_a_function_may_use_the_app_that_calls_it():
    assert (
        run("""
        app = perilune.App(files=FILES, threads=2)
        app.resolver("Query", "slow")(lambda: app.graphql("{ a }")["data"]["a"] + "!")

        @app.resolver("Query", "never")
        async def never():
            return (await app.graphql_async("{ slow }"))["data"]["slow"] + "?"

        print(app.graphql("{ never }"))
    """)
        == "{'data': {'never': 'lua!?'}}\n"
    )


def test_event_loops_come_and_go():
    out = run("""
        app = perilune.App(files=FILES)

        async def some(count):
            return await asyncio.gather(*(app.graphql_async("{ a }") for _ in range(count)))

        async def given_up():
            with_slow = asyncio.create_task(app.graphql_async("{ slow }"))
            await asyncio.sleep(0)
            with_slow.cancel()

        app.resolver("Query", "slow")(lambda: time.sleep(0.2))
        for _ in range(20):
            asyncio.run(given_up())
            assert len(asyncio.run(some(10))) == 10
            gc.collect()
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(20):
            asyncio.run(some(1))
        gc.collect()
        print(len(os.listdir("/proc/self/fd")) - before)
    """)
    assert int(out) <= 1  # fewer, if one was still to go


@pytest.mark.skipif(VARIANT == "tsan", reason="it is ThreadSanitizer's memory that would be measured")
def test_hundreds_of_apps_and_thousands_of_reloads_keep_memory_flat():
    """PERILUNE_SOAK=1: more of them."""
    rounds = 3000 if os.environ.get("PERILUNE_SOAK") else 300
    out = run(f"""
        def memory():
            gc.collect()
            with open("/proc/self/statm") as file:
                return int(file.read().split()[1]) * 4

        def apps(count):
            for _ in range(count):
                with perilune.App(files=FILES, log_level="none") as app:
                    app.resolver("Query", "slow")(lambda: "x")
                    assert app.graphql("{{ a slow }}")["data"]["slow"] == "x"

        app = perilune.App(files=FILES, log_level="none")
        app.resolver("Query", "slow")(lambda: "x")

        def reloads(count):
            for number in range(count):
                app.reload(FILES | {{"resolvers/a.lua": FILES["resolvers/a.lua"] + " --" + str(number)}})
                app.graphql("{{ a slow }}")

        def least(count):  # old generations go a moment later
            samples = []
            for _ in range(4):
                apps(count // 40); reloads(count // 4)
                samples.append(memory())
            return min(samples)

        before = least({rounds} // 3)
        print(least({rounds}) - before)
    """)
    assert int(out) < 3000 * SLOWNESS, f"{int(out)} kB more"


def test_nothing_is_imported_that_is_not_needed():
    begin = time.monotonic()
    assert run("print('grpc' in sys.modules, 'google.protobuf' in sys.modules, 'pytest' in sys.modules)") == "False False False\n"
    assert time.monotonic() - begin < 20
