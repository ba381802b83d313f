# SPDX-License-Identifier: MIT
"""The modules for plain Lua as a rock."""

import os
import subprocess

from harness import ROOT


def test_luarocks_makes_and_installs_the_rock(tmp_path):
    tree = tmp_path / "tree"
    env = {name: value for name, value in os.environ.items() if "MAKE" not in name}  # the release build, whatever is tested
    env["HOME"] = str(tmp_path)
    compiler = os.environ.get("CC", "gcc")  # that of the build, of which nothing is made twice then
    command = ["luarocks", "--lua-version", "5.4", "--tree", tree, "make", f"CC={compiler}"]
    made = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=110)
    assert made.returncode == 0, made.stdout + made.stderr
    env |= {
        "LUA_PATH": f"{tree}/share/lua/5.4/?.lua;{tree}/share/lua/5.4/?/init.lua",
        "LUA_CPATH": f"{tree}/lib/lua/5.4/?.so",
    }
    code = 'print(require "perilune.json".encode { 1 }, #require "perilune.proto".types(), require "perilune".version)'
    printed = subprocess.run(["lua5.4", "-e", code], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=20)
    assert printed.stdout.split()[:2] == ["[1]", "0"], printed.stderr
