# SPDX-License-Identifier: MIT
"""Reloads: by signal, by command and by watching; bundles that must be refused; going back."""

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness import SLOWNESS, http1, read_http1, run_cli, wait_until, write_bundle

pytestmark = pytest.mark.core


def versioned(version, sleep=""):
    return {
        "app.lua": 'return { name = "versioned" }',
        "schema/schema.graphql": "type Query { version: String! slow: String! calls: Int! }",
        "lib/version.lua": f'return "{version}"',
        "resolvers/query.lua": """
            local time = require "perilune.time"
            local version = require "lib.version"
            local calls = 0
            return {
              Query = {
                version = function() return version end,
                slow = function() local before = version; print "slow began"; time.sleep(0.5); return before .. version end,
                calls = function() calls = calls + 1; return calls end,
              },
            }""",
    }


def version(server):
    return server.data("{ version }")["version"]


@pytest.fixture
def server(start):
    return start(versioned("one"))


# -- ways to reload --
def test_by_command(server):
    write_bundle(server.bundle, {"lib/version.lua": 'return "two"'})
    assert version(server) == "one", "nothing changes before the reload"
    server.reload()
    assert version(server) == "two", "the answer comes after the commit"


def test_by_directory_instead_of_socket(server):
    write_bundle(server.bundle, {"lib/version.lua": 'return "two"'})
    result = run_cli("reload", server.bundle)
    assert result.returncode == 0, result.stderr
    assert version(server) == "two"


def test_by_sighup(server):
    write_bundle(server.bundle, {"lib/version.lua": 'return "two"'})
    server.signal(signal.SIGHUP)
    wait_until(lambda: version(server) == "two", what="the new version")


def test_by_watching(start):
    server = start(versioned("one"), "--watch")
    write_bundle(server.bundle, {"lib/version.lua": 'return "two"'})
    wait_until(lambda: version(server) == "two", what="a changed file")
    write_bundle(
        server.bundle,
        {
            "schema/more.graphql": "extend type Query { more: Int }",
            "resolvers/more.lua": "return { Query = { more = function() return 1 end } }",
        },
    )
    wait_until(lambda: server.graphql("{ more }").get("data") == {"more": 1}, what="new files")
    write_bundle(server.bundle, {"schema/more.graphql": None, "resolvers/more.lua": None})
    wait_until(lambda: "errors" in server.graphql("{ more }"), what="removed files")
    # An editor that writes in place, and one that renames.
    (server.bundle / "lib/version.lua").write_text('return "three"')
    wait_until(lambda: version(server) == "three", what="a file written in place")
    write_bundle(
        server.bundle, {"lib/deep/er/version.lua": 'return "four"', "lib/version.lua": 'return require "lib.deep.er.version"'}
    )
    wait_until(lambda: version(server) == "four", what="a file in a new folder")
    write_bundle(server.bundle, {"lib/deep/er/version.lua": 'return "five"'})
    wait_until(lambda: version(server) == "five", what="a change in the new folder")


def test_watching_survives_a_bad_bundle(start):
    server = start(versioned("one"), "--watch")
    write_bundle(server.bundle, {"lib/version.lua": 'return "two'})
    server.wait_log("lib/version.lua:1")
    assert version(server) == "one"
    write_bundle(server.bundle, {"lib/version.lua": 'return "three"'})
    wait_until(lambda: version(server) == "three", what="the repaired file")


def test_many_signals_at_once(server):
    write_bundle(server.bundle, {"lib/version.lua": 'return "two"'})
    for _ in range(50):
        server.signal(signal.SIGHUP)
    wait_until(lambda: version(server) == "two", what="the new version")
    server.reload()
    assert version(server) == "two"


# -- what a reload does --
def test_all_workers(start):
    server = start(versioned("one"), workers=4)
    write_bundle(server.bundle, {"lib/version.lua": 'return "two"'})
    server.reload()

    def ask(_):
        with server.connect() as connection:
            connection.sendall(http1({"query": "{ version }"}))
            return read_http1(connection)[2]

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(ask, range(64))) == {b'{"data":{"version":"two"}}'}


def test_schema_and_code_change_together(server):
    write_bundle(
        server.bundle,
        {
            "schema/schema.graphql": "type Query { version: Version! } type Version { number: Int! }",
            "resolvers/query.lua": "return { Query = { version = function() return { number = 2 } end } }",
        },
    )
    server.reload()
    assert server.data("{ version { number } }") == {"version": {"number": 2}}
    assert server.graphql("{ version }")["errors"]


def test_documents_seen_before_are_checked_again(server):
    assert "errors" not in server.graphql("{ calls }")
    write_bundle(
        server.bundle,
        {
            "schema/schema.graphql": "type Query { version: String! }",
            "resolvers/query.lua": 'return { Query = { version = function() return "two" end } }',
        },
    )
    server.reload()
    assert server.graphql("{ calls }")["errors"][0]["message"] == 'Cannot query field "calls" on type "Query".'


def test_state_is_new(server):
    assert [server.data("{ calls }")["calls"] for _ in range(3)] == [1, 2, 3]
    server.reload()
    assert server.data("{ calls }")["calls"] == 1


def test_work_in_hand_ends_on_its_own_generation(server):
    with server.connect() as connection:
        connection.sendall(http1({"query": "{ slow }"}))
        server.wait_log("slow began")
        write_bundle(server.bundle, {"lib/version.lua": 'return "two"'})
        server.reload()
        assert version(server) == "two"
        assert read_http1(connection)[2] == b'{"data":{"slow":"oneone"}}'


def test_old_generations_go(server):
    for number in range(20):
        write_bundle(server.bundle, {"lib/version.lua": f'return "{number}"'})
        server.reload()
    wait_until(lambda: len(server.status()["generations"]) <= 3, what="old generations to go")


# -- going back --
def test_rollback(server):
    write_bundle(server.bundle, {"lib/version.lua": 'return "two"'})
    server.reload()
    server.rollback()
    assert version(server) == "one"
    server.reload()
    assert version(server) == "two"


def test_rollback_to_nothing(server):
    result = server.cli("rollback")
    assert result.returncode == 1
    assert result.stderr.strip()
    assert version(server) == "one"


def test_status(server):
    status = server.status()
    assert status["generation"] == server.ready["generation"] == 1
    assert status["workers"]
    server.data("{ version }")
    write_bundle(server.bundle, {"lib/version.lua": 'return "two"'})
    server.reload()
    status = server.status()
    assert status["generation"] == 2
    live = next(one for one in status["generations"] if one["id"] == 2)
    assert {"id", "state", "loaded_at", "reason", "requests", "memory"} <= live.keys()
    assert live["memory"] > 0


# -- bundles that are refused --
BAD = {
    "syntax error": ({"resolvers/bad.lua": "return {\n  Query = {\n    x = = 1\n"}, ["resolvers/bad.lua:3"]),
    "top-level error": ({"resolvers/bad.lua": '\nerror "boom"'}, ["resolvers/bad.lua:2", "boom"]),
    "no table": ({"resolvers/bad.lua": "return 1"}, ["resolvers/bad.lua"]),
    "no function": ({"resolvers/bad.lua": "return { Query = { version = 1 } }"}, ["resolvers/bad.lua", "Query.version"]),
    "unknown field": (
        {"resolvers/bad.lua": "return { Query = {\n  nothing = function() end } }"},
        ["resolvers/bad.lua:2", "Query.nothing"],
    ),
    "unknown type": ({"resolvers/bad.lua": "return { Nothing = { x = function() end } }"}, ["resolvers/bad.lua", "Nothing"]),
    "two definitions": (
        {"resolvers/bad.lua": "return { Query = { version = function() end } }"},
        ["resolvers/bad.lua", "resolvers/query.lua", "Query.version"],
    ),
    "missing module": ({"resolvers/bad.lua": '\nlocal x = require "lib.nowhere"'}, ["resolvers/bad.lua:2", "lib.nowhere"]),
    "bytecode": ({"resolvers/bad.lua": b"\x1bLua\x54\x00\x19\x93\r\n\x1a\n"}, ["resolvers/bad.lua"]),
    "schema syntax": ({"schema/bad.graphql": "\n\ntype {"}, ["schema/bad.graphql:3:6"]),
    "schema type": ({"schema/bad.graphql": "type A {\n  b: B\n}"}, ["schema/bad.graphql:2", "B"]),
    "schema twice": ({"schema/bad.graphql": "type Query { x: Int }"}, ["schema/bad.graphql:1", "Query"]),
    "app syntax": ({"app.lua": "return {\n  name =\n}"}, ["app.lua:3"]),
    "app setting": ({"app.lua": 'return { http = "yes" }'}, ["app.lua", "http"]),
}


@pytest.mark.parametrize(("files", "words"), BAD.values(), ids=BAD)
def test_bad_bundles(server, files, words):
    write_bundle(server.bundle, files)
    printed = server.reload(ok=False)
    for word in words:
        assert word in printed
    checked = run_cli("check", server.bundle)
    assert checked.returncode == 1
    for word in words:
        assert word in checked.stdout + checked.stderr
    server.wait_log(words[0])
    assert version(server) == "one"
    assert server.status()["generation"] == 1

    write_bundle(server.bundle, versioned("two") | {path: None for path in files if path not in versioned("")})
    server.reload()
    assert version(server) == "two"


def test_endless_top_level_code(server):
    write_bundle(server.bundle, {"resolvers/bad.lua": "\nwhile true do end"})
    with ThreadPoolExecutor(1) as pool:
        reload = pool.submit(server.reload, ok=False)
        while not reload.done():
            assert version(server) == "one", "requests are served meanwhile"
            time.sleep(0.05)
    assert "resolvers/bad.lua" in reload.result()
    assert version(server) == "one"


def test_bad_bundle_by_signal(server):
    write_bundle(server.bundle, {"resolvers/bad.lua": "return {"})
    server.signal(signal.SIGHUP)
    server.wait_log("resolvers/bad.lua:1")
    assert version(server) == "one"


def test_several_errors_are_told_at_once(server):
    write_bundle(server.bundle, {"resolvers/a.lua": "return {", "resolvers/b.lua": "return }"})
    result = run_cli("check", server.bundle)
    assert result.returncode == 1
    assert "resolvers/a.lua:1" in result.stdout + result.stderr


def test_a_server_does_not_start_with_a_bad_bundle(bundle):
    directory = bundle(versioned("one") | {"resolvers/bad.lua": "return {"})
    result = run_cli("run", directory, "--http", "127.0.0.1:0", "--no-watch")
    assert result.returncode == 1
    assert "resolvers/bad.lua:1" in result.stderr
    assert '"ready"' not in result.stdout


def test_check_says_nothing_wrong(server):
    assert run_cli("check", server.bundle).returncode == 0


def test_bundle_directory_gone(server):
    os.rename(server.bundle, server.bundle.with_name("elsewhere"))
    server.reload(ok=False)
    assert version(server) == "one"


# -- timers --
def test_timers_are_not_doubled(start):
    app = 'return { timers = { tick = { every = 0.1, run = function() print("tick") end } } }'
    server = start(versioned("one") | {"app.lua": app})
    server.wait_log("tick")
    for _ in range(5):
        server.reload()
    begin, before = time.monotonic(), server.log_text().count("tick")
    time.sleep(1)
    ticks = server.log_text().count("tick") - before
    most = 10 * (time.monotonic() - begin) + 3
    assert 1 <= ticks <= most, "ten a second, whatever the number of reloads"


def test_timers_change_and_go(start):
    def app(timers):
        return {"app.lua": f"return {{ timers = {{ {timers} }} }}"}

    server = start(versioned("one") | app('one = { every = 0.05, run = function() print("first") end }'))
    server.wait_log("first")
    write_bundle(server.bundle, app('one = { every = 0.05, run = function() print("second") end }'))
    server.reload()
    server.wait_log("second")
    write_bundle(server.bundle, app(""))
    server.reload()
    time.sleep(0.2)
    quiet = server.log_text()
    time.sleep(0.3)
    assert server.log_text().count("second") == quiet.count("second")
    assert server.log_text().count("first") == quiet.count("first")


def test_timers_that_fail_go_on(start):
    app = 'return { timers = { bad = { every = 0.05, run = function() print("try"); error "boom" end } } }'
    server = start(versioned("one") | {"app.lua": app})
    wait_until(lambda: server.log_text().count("boom") >= 3, 10 * SLOWNESS, "the timer to go on")
