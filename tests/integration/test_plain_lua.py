# SPDX-License-Identifier: MIT
"""The modules that need no server, installed, in the interpreter that Debian has."""

import json
import re
import signal
import subprocess

import pytest

from harness import ROOT, SLOWNESS, VARIANT, environment, fail_on_sanitizer_report

pytestmark = pytest.mark.core
LUA = "lua5.4"


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """Where `make install-lua`, which is a part of `make install`, has put everything."""
    folder = tmp_path_factory.mktemp("installed")
    command = ["make", "-C", ROOT, "install-lua", f"VARIANT={VARIANT}", f"DESTDIR={folder}", "PREFIX=/opt/x"]
    made = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert made.returncode == 0, made.stdout + made.stderr
    return folder / "opt" / "x"


class Interpreter:
    """lua5.4 in an empty folder, which finds nothing but what is installed."""

    def __init__(self, installed, folder):
        self.folder = folder
        self.env = environment() | {
            "LUA_PATH": f"{installed}/share/lua/5.4/?.lua;{installed}/share/lua/5.4/?/init.lua",
            "LUA_CPATH": f"{installed}/lib/lua/5.4/?.so",
        }
        if VARIANT == "asan":
            library = subprocess.run(["gcc", "-print-file-name=libasan.so"], capture_output=True, text=True, check=True)
            self.env["LD_PRELOAD"] = library.stdout.strip()

    def start(self, code, *args, program=LUA, **env):
        script = self.folder / "script.lua"
        script.write_text(code)
        return subprocess.Popen(
            [program, script, *args],
            cwd=self.folder,
            env=self.env | env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __call__(self, code, *args, **options):
        """Runs a script, which must not fail: what it has printed, and what it has written to stderr."""
        process = self.start(code, *args, **options)
        out, err = process.communicate(timeout=60 * SLOWNESS)
        fail_on_sanitizer_report(err)
        assert process.returncode == 0, out + err
        return out, err


@pytest.fixture
def lua(installed, tmp_path):
    return Interpreter(installed, tmp_path)


def test_the_modules_work(lua):
    lua("""
        local json, time, crypto = require "perilune.json", require "perilune.time", require "perilune.crypto"
        local errors, perilune = require "perilune.errors", require "perilune"
        assert(json.encode(json.decode '{"a":[1,2.5,[],{}],"b":null}', { sorted = true }) == '{"a":[1,2.5,[],{}],"b":null}')
        assert(json.decode "null" == perilune.null and perilune.version:find "^%d+%.%d+%.%d+$")
        local ok, err = pcall(json.decode, "[1,")
        assert(not ok and errors.is(err, "invalid_argument") and tostring(err):find "at byte 3")
        assert(time.rfc3339(0) == "1970-01-01T00:00:00Z" and time.parse_rfc3339 "1970-01-01T00:00:01Z" == 1)
        assert(crypto.sha256 "" == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
        assert(crypto.uuid7() < crypto.uuid7() and crypto.base64_encode "hello" == "aGVsbG8=")
    """)


def test_the_library_is_small_and_exports_nothing_else(installed):
    library = installed / "lib" / "lua" / "5.4" / "perilune.so"
    names = subprocess.run(["nm", "-D", "--defined-only", library], capture_output=True, text=True, check=True).stdout
    assert all(line.split()[-1].startswith("luaopen_perilune_") for line in names.splitlines()), names
    needed = subprocess.run(["readelf", "-d", library], capture_output=True, text=True, check=True).stdout
    libraries = {re.sub(r"\.so.*", "", name) for name in re.findall(r"NEEDED.*\[(.*)\]", needed)}
    assert libraries - {"libasan", "libubsan"} <= {"libcrypto", "libm", "libc", "libpthread", "ld-linux-x86-64"}


def test_messages_of_descriptor_sets(lua):
    """Two sets with a part in common, made by protoc as docs/lua-standalone.md says."""
    proto = ROOT / "tests" / "unit" / "support"
    users = ROOT / "examples" / "users" / "proto"
    compiled = [["protoc", f"-I{proto}", "everything.proto", "older.proto"], ["protoc", f"-I{users}", "user.proto"]]
    for number, command in enumerate(compiled):
        subprocess.run([*command, "--include_imports", f"--descriptor_set_out=set{number}.binpb"], cwd=lua.folder, check=True)
    lua("""
        local proto, errors = require "perilune.proto", require "perilune.errors"
        local ok, err = pcall(proto.encode, "user.v1.User", {})
        assert(not ok and errors.is(err, "invalid_argument") and err.message:find "proto.load")
        proto.load "set0.binpb"
        local old = proto.encode("test.v1.User", { user_id = "u", emails = { { address = "a@b" } } })
        proto.load("set1.binpb", "set0.binpb")
        assert(proto.decode("test.v1.User", old).emails[1].address == "a@b")
        local user = { id = "u1", email = "ada@example.com" }
        assert(proto.from_json("user.v1.User", proto.to_json("user.v1.User", user)).id == "u1")
        ok, err = pcall(proto.load, "missing.binpb")
        assert(not ok and errors.is(err, "not_found") and err.message:find "missing.binpb: No such file")
        local detail = { ["@type"] = "user.v1.ErrorDetail" }
        assert(#errors.aborted("later", { details = { detail } }).packed == 1)
    """)


def test_what_needs_the_server_says_so(lua):
    modules = "sqlite events grpc pubsub shared cache metrics auth outbox inbox sourcing streams health topics registry test"
    lua(f"""
        for name in ("{modules}"):gmatch "%a+" do
          local ok, err = pcall(require, "perilune." .. name)
          assert(not ok and err:find("perilune." .. name .. " needs the server", 1, true), err)
        end
        local ok, err = pcall(require, "perilune.nothing")
        assert(not ok and err:find "module 'perilune.nothing' not found")
    """)


def test_lines_of_the_log_go_to_stderr(lua):
    code = 'local log = require "perilune.log" log.debug "d" log.info("paid", { total = 1.5, ids = { 1, 2 } }) print "out"'
    out, err = lua(code)
    line = json.loads(err)
    assert out == "out\n"
    assert (line["level"], line["message"], line["total"], line["ids"]) == ("info", "paid", 1.5, "[1,2]")
    assert len(lua(code, PERILUNE_LOG_LEVEL="debug")[1].splitlines()) == 2
    assert re.fullmatch(r"\S+ INFO +paid +ids=.* total=1.5\n", lua(code, PERILUNE_LOG_FORMAT="text")[1])


def test_an_interrupt_ends_a_sleep(lua):
    process = lua.start('print "ready" io.flush() require "perilune.time".sleep(1000)')
    assert process.stdout.readline() == "ready\n"
    while process.poll() is None:  # the first one may come before the script sleeps
        process.send_signal(signal.SIGINT)
        try:
            process.wait(timeout=0.2)
        except subprocess.TimeoutExpired:
            continue
    _, err = process.communicate(timeout=20 * SLOWNESS)
    fail_on_sanitizer_report(err)
    assert process.returncode == 1
    assert "interrupted!" in err


def test_an_error_that_nobody_catches(lua):
    process = lua.start('require "perilune.json".decode "[1,"')
    _, err = process.communicate(timeout=20 * SLOWNESS)
    assert process.returncode == 1
    assert "INVALID_ARGUMENT: Unexpected end of JSON at byte 3" in err


def test_rules_of_an_application_run_outside_of_it(lua):
    """Business rules that need no server are tested with nothing but Lua."""
    code = """
        package.path = arg[1] .. "/?.lua;" .. package.path
        local rules = require "rules.payments"
        local facts = { spent_today = 0, last_minute = 0, completed = 1, average = 1000 }
        local payment = { user_id = "ada", amount = 100001, currency = "EUR", merchant = "Cafe", idempotency_key = "1" }
        local status, reason = rules.decide(payment, facts)
        assert(status == "FAILED" and reason == "OVER_PAYMENT_LIMIT")
        require "rules.enrichment"
    """
    lua(code, ROOT / "examples" / "payments")


def test_a_program_with_many_states(lua):
    program = lua.folder / "lua_host"
    flags = subprocess.run(["pkg-config", "--cflags", "--libs", "lua5.4"], capture_output=True, text=True, check=True)
    source = ROOT / "tests" / "integration" / "lua_host.c"
    subprocess.run(["gcc", source, "-o", program, *flags.stdout.split(), "-lpthread"], check=True)
    code = """
        local json, proto, log = require "perilune.json", require "perilune.proto", require "perilune.log"
        assert(json.encode(json.decode "[1,{}]") == "[1,{}]" and not pcall(json.decode, "["))
        assert(proto.seconds(proto.decode("google.protobuf.Duration", proto.encode("google.protobuf.Duration", 1.5))) == 1.5)
        assert(#require "perilune.crypto".uuid7() == 36)
        log.debug "nothing"
    """
    before, after = map(int, lua(code, program=program)[0].split())
    if VARIANT != "asan":  # which keeps what was freed
        assert after - before < 512, "memory grows with each state"
