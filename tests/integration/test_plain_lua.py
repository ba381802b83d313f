# SPDX-License-Identifier: MIT
"""The modules that need no server, installed, in the interpreter that Debian has."""

import os
import re
import subprocess

import pytest

from harness import ASAN_OPTIONS, ROOT, SLOWNESS, VARIANT, fail_on_sanitizer_report

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


@pytest.fixture
def lua(installed, tmp_path):
    """lua(code, ...) runs a script in an empty folder, and gives what it has printed."""

    def run(code, *args, fails=False, cwd=tmp_path):
        env = {
            "PATH": os.environ["PATH"],
            "LUA_PATH": f"{installed}/share/lua/5.4/?.lua;{installed}/share/lua/5.4/?/init.lua",
            "LUA_CPATH": f"{installed}/lib/lua/5.4/?.so",
        }
        if VARIANT == "asan":
            library = subprocess.run(["gcc", "-print-file-name=libasan.so"], capture_output=True, text=True, check=True)
            env |= {"LD_PRELOAD": library.stdout.strip(), "ASAN_OPTIONS": ASAN_OPTIONS}
        script = tmp_path / "script.lua"
        script.write_text(code)
        result = subprocess.run([LUA, script, *args], cwd=cwd, env=env, capture_output=True, text=True, timeout=60 * SLOWNESS)
        fail_on_sanitizer_report(result.stderr)
        assert (result.returncode != 0) == fails, result.stdout + result.stderr
        return result.stderr if fails else result.stdout

    return run


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
    assert libraries - {"libasan", "libubsan"} <= {"libcjson", "libcrypto", "libm", "libc", "libpthread", "ld-linux-x86-64"}
