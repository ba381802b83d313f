# SPDX-License-Identifier: MIT
"""The `perilune` command: its parts, its exit codes, and how a server starts and ends."""

import json
import signal
import socket
import threading
import time

import httpx
import pytest

from harness import SLOWNESS, http1, read_http1, run_cli, wait_until

pytestmark = pytest.mark.core

BUNDLE = {
    "schema/schema.graphql": "type Query { hello: String! slow(seconds: Float!): String! }",
    "resolvers/query.lua": """
        local time = require "perilune.time"
        return { Query = {
          hello = function() return "world" end,
          slow = function(_, args) print "slow began"; time.sleep(args.seconds); return "done" end,
        } }""",
    "tests/hello_test.lua": """
        local t = require "perilune.test"
        t.test("hello", function() t.equal(t.graphql("{ hello }").data.hello, "world") end)""",
}
SCHEMA = "type Query {\n  user(id: ID!): User\n}\ntype User {\n  name: String!\n}\n"


# -- help and wrong use --
def test_help():
    result = run_cli("--help")
    assert result.returncode == 0
    for command in ("run", "check", "reload", "rollback", "status", "validate", "schema", "test", "new"):
        assert command in result.stdout


@pytest.mark.parametrize("command", ["run", "check", "reload", "rollback", "status", "validate", "schema", "test", "new"])
def test_help_of_commands(command):
    result = run_cli(command, "--help")
    assert result.returncode == 0
    assert command in result.stdout
    assert not result.stderr


def test_version():
    result = run_cli("--version")
    assert result.returncode == 0
    assert "0.1.0" in result.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["nonsense"],
        ["run", "--nonsense"],
        ["run", "--workers"],
        ["run", "--workers", "none"],
        ["validate"],
        ["schema"],
        ["schema", "nonsense"],
        ["schema", "diff"],
        ["schema", "diff", "--against", "old.graphql", "--fail-on", "everything"],
        ["new"],
    ],
    ids=" ".join,
)
def test_wrong_use(arguments, tmp_path):
    result = run_cli(*arguments, cwd=tmp_path)
    assert result.returncode == 2, (result.returncode, result.stderr)
    assert result.stderr.strip()
    assert not result.stdout


@pytest.mark.parametrize("address", ["127.0.0.1:99999", "nowhere", "", ":", "127.0.0.1:http", "256.0.0.1:0"])
def test_bad_address(bundle, address):
    result = run_cli("run", bundle(BUNDLE), "--http", address, "--no-watch")
    assert result.returncode != 0
    assert address in result.stderr
    assert not result.stdout


def test_wrong_flag_is_named(tmp_path):
    assert "--nonsense" in run_cli("run", "--nonsense", cwd=tmp_path).stderr


# -- validate --
def validate(tmp_path, document, *flags, schema=SCHEMA):
    (tmp_path / "schema.graphql").write_text(schema)
    (tmp_path / "document.graphql").write_text(document)
    result = run_cli("validate", "--schema", tmp_path / "schema.graphql", *flags, tmp_path / "document.graphql")
    return result.returncode, json.loads(result.stdout)


def test_validate_good(tmp_path):
    assert validate(tmp_path, '{ user(id: "1") { name } }') == (0, [])


def test_validate_bad(tmp_path):
    code, errors = validate(tmp_path, '{\n  user(id: "1") { age }\n}')
    assert code == 1
    assert len(errors) == 1
    assert errors[0]["message"].startswith('Cannot query field "age" on type "User".')
    assert errors[0]["locations"] == [{"line": 2, "column": 19}]


def test_validate_with_one_rule(tmp_path):
    document = '{ user(id: "1") { age } } fragment F on User { name }'
    assert validate(tmp_path, document, "--rule", "NoUnusedFragments")[1][0]["message"] == 'Fragment "F" is never used.'
    assert len(validate(tmp_path, document, "--rule", "NoUnusedFragments", "--rule", "FieldsOnCorrectType")[1]) == 2


def test_validate_unknown_rule(tmp_path):
    (tmp_path / "schema.graphql").write_text(SCHEMA)
    result = run_cli("validate", "--schema", tmp_path / "schema.graphql", "--rule", "Nonsense", tmp_path / "schema.graphql")
    assert result.returncode == 2
    assert "Nonsense" in result.stderr


def test_validate_schema_with_one_rule(tmp_path):
    schema = tmp_path / "schema.graphql"
    schema.write_text("type Query { a: Nothing }\ntype A { a: Int a: Int }\n")

    def validate_with(*rules):
        flags = [flag for rule in rules for flag in ("--rule", rule)]
        result = run_cli("validate", "--schema", schema, *flags)
        return result.returncode, [error["rule"] for error in json.loads(result.stdout)]

    assert validate_with() == (1, ["KnownTypeNames", "UniqueFieldDefinitionNames"])
    assert validate_with("UniqueFieldDefinitionNames") == (1, ["UniqueFieldDefinitionNames"])
    assert validate_with("UniqueTypeNames", "LoneSchemaDefinition") == (0, [])
    # rules are those of what is validated
    for rule, document in (("FieldsOnCorrectType", []), ("UniqueTypeNames", [schema])):
        result = run_cli("validate", "--schema", schema, "--rule", rule, *document)
        assert result.returncode == 2
        assert rule in result.stderr
        assert not result.stdout


def test_validate_each_error_names_its_rule(tmp_path):
    document = "query($x: ID) { user { age } } fragment F on User { name }"
    code, errors = validate(tmp_path, document)
    assert code == 1
    assert sorted(error["rule"] for error in errors) == [
        "FieldsOnCorrectType",
        "NoUnusedFragments",
        "NoUnusedVariables",
        "ProvidedRequiredArguments",
    ]
    assert all(set(error) == {"message", "locations", "rule"} for error in errors)


def test_validate_optional_rules(tmp_path):
    schema = "type Query { a: Int @deprecated }"
    assert validate(tmp_path, "{ a __schema { description } }", schema=schema) == (0, [])
    _, errors = validate(
        tmp_path,
        "{ a __schema { description } }",
        "--rule",
        "NoDeprecatedCustom",
        "--rule",
        "NoSchemaIntrospectionCustom",
        schema=schema,
    )
    assert [error["rule"] for error in errors] == ["NoDeprecatedCustom", "NoSchemaIntrospectionCustom"]


def test_validate_schema_alone(tmp_path):
    (tmp_path / "schema.graphql").write_text("type Query { a: Nothing }")
    result = run_cli("validate", "--schema", tmp_path / "schema.graphql")
    assert result.returncode == 1
    assert "Nothing" in json.loads(result.stdout)[0]["message"]


def test_validate_syntax_error(tmp_path):
    code, errors = validate(tmp_path, "{\n  user(")
    assert code == 1
    assert errors[0]["message"].startswith("Syntax Error")


def test_validate_missing_file(tmp_path):
    result = run_cli("validate", "--schema", tmp_path / "nowhere.graphql")
    assert result.returncode == 2
    assert "nowhere.graphql" in result.stderr


# -- check, test, new --
def test_check(bundle):
    directory = bundle(BUNDLE)
    assert run_cli("check", directory).returncode == 0
    assert run_cli("check", cwd=directory).returncode == 0, "the current directory is the default"


def test_check_of_nothing(tmp_path):
    result = run_cli("check", tmp_path / "nowhere")
    assert result.returncode == 1
    assert "nowhere" in result.stdout + result.stderr


def test_test(bundle):
    directory = bundle(BUNDLE)
    result = run_cli("test", directory)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "1 passed" in result.stdout
    bad = {"tests/bad_test.lua": 'local t = require "perilune.test"\nt.test("bad", function()\n  t.equal(1, 2)\nend)'}
    result = run_cli("test", bundle(BUNDLE | bad))
    assert result.returncode == 1
    assert "1 passed, 1 failed" in result.stdout
    assert "tests/bad_test.lua:3" in result.stdout + result.stderr


def test_new(tmp_path, start):
    result = run_cli("new", "shop", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    directory = tmp_path / "shop"
    assert run_cli("check", directory).returncode == 0
    assert run_cli("test", directory).returncode == 0
    server = start(directory)
    assert "errors" not in server.graphql("{ __typename }")
    again = run_cli("new", "shop", cwd=tmp_path)
    assert again.returncode == 1, "what is there is not overwritten"


def test_new_without_a_usable_name(tmp_path):
    (tmp_path / "file").write_text("")
    for name in ("", "file", "file/shop", "nowhere/shop"):
        assert run_cli("new", name, cwd=tmp_path).returncode != 0
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


# -- the life of a server --
def test_ready_line(start):
    ready = start(BUNDLE).ready
    assert ready["http"].startswith("127.0.0.1:")
    assert ready["generation"] == 1
    assert ready["admin"]


def test_ipv6(start):
    server = start(BUNDLE, http="[::1]:0")
    assert server.ready["http"].startswith("[::1]:")
    assert server.graphql("{ hello }") == {"data": {"hello": "world"}}


def test_address_in_use(bundle):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        result = run_cli("run", bundle(BUNDLE), "--http", address, "--no-watch")
    assert result.returncode == 1
    assert address in result.stderr
    assert not result.stdout


def test_bad_certificate(bundle, tmp_path):
    (tmp_path / "bad.pem").write_text("nonsense")
    flags = ["--https", "127.0.0.1:0", "--tls-cert", tmp_path / "bad.pem", "--tls-key", tmp_path / "bad.pem"]
    result = run_cli("run", bundle(BUNDLE), "--http", "127.0.0.1:0", "--no-watch", *flags)
    assert result.returncode == 1
    assert "bad.pem" in result.stderr


def test_flags_win_over_the_environment(start):
    server = start(BUNDLE, env={"PERILUNE_HTTP": "127.0.0.1:1"})
    assert server.graphql("{ hello }") == {"data": {"hello": "world"}}


def test_log_lines_are_json(start):
    server = start(BUNDLE)
    server.stop()
    lines = server.log_text().splitlines()
    assert lines
    for line in lines:
        assert isinstance(json.loads(line), dict), line


def test_admin_commands_without_a_server(tmp_path):
    for command in ("reload", "rollback", "status"):
        result = run_cli(command, "--admin", tmp_path / "nowhere.sock")
        assert result.returncode == 1
        assert "nowhere.sock" in result.stderr


def test_admin_socket_is_for_the_owner_only(start):
    from pathlib import Path

    assert Path(start(BUNDLE).ready["admin"]).stat().st_mode & 0o077 == 0


def test_sigterm_drains(start):
    server = start(BUNDLE)
    with server.connect() as connection:
        connection.sendall(http1({"query": "{ slow(seconds: 0.5) }"}))
        server.wait_log("slow began")
        server.signal(signal.SIGTERM)
        status, _, body = read_http1(connection)
        assert (status, body) == (200, b'{"data":{"slow":"done"}}')
    assert server.process.wait(10 * SLOWNESS) == 0
    with pytest.raises(httpx.ConnectError):
        httpx.post(server.url, json={"query": "{ hello }"})


def test_idle_connections_do_not_hold_up_the_end(start):
    server = start(BUNDLE)
    with server.connect() as idle, server.connect() as used:
        used.sendall(http1({"query": "{ hello }"}))
        assert read_http1(used)[0] == 200
        begin = time.monotonic()
        server.stop()
        assert time.monotonic() - begin < 3 * SLOWNESS
        assert idle.recv(1) == b""


def test_second_sigterm_ends_at_once(start):
    server = start(BUNDLE)
    with server.connect() as connection:
        connection.sendall(http1({"query": "{ slow(seconds: 60) }"}))
        server.wait_log("slow began")
        begin = time.monotonic()
        server.signal(signal.SIGTERM)
        wait_until(lambda: refused(server), what="the listeners to close")
        assert server.process.poll() is None
        server.signal(signal.SIGTERM)
        server.process.wait(10 * SLOWNESS)
        assert time.monotonic() - begin < 5 * SLOWNESS
    server.process.stdout.close()
    server.process = None


def refused(server):
    try:
        server.connect().close()
    except ConnectionError:
        return True
    return False


def test_sigint_ends_too(start):
    server = start(BUNDLE)
    server.signal(signal.SIGINT)
    assert server.process.wait(10 * SLOWNESS) == 0


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"what?\n", "the answer is no JSON: what?"),
        (b"{}\n", "refused: nothing has changed"),
        (b'{"ok":true}\n', "refused: nothing has changed"),
        (b'{"ok":false,"problems":[{},{"message":"bad","file":7,"line":"x"},3]}\n', "refused: nothing has changed"),
        (b'{"ok":true', "gave no whole answer"),
    ],
)
def test_whatever_answers_at_the_admin_socket(tmp_path, answer, said):
    path = tmp_path / "admin.sock"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()

        def serve():
            with server.accept()[0] as peer:
                peer.recv(1000)
                peer.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        done = run_cli("reload", "--admin", path)
        thread.join()
    assert done.returncode == 1, done
    assert said in done.stderr
