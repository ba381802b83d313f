# SPDX-License-Identifier: MIT
"""Protobuf: nanoseconds of messages between bytes or JSON and values, without a server.

The program tests/bench/protobuf measures ours and protobuf-c, and writes its messages for the peers: programs that print
the same lines."""

import shutil
import subprocess

from . import load
from .candidates import LIMIT, OURS, PEER, exists
from .paths import PROGRAMS, Failed, work_dir
from .processes import SERVER_CORE
from .results import Comparison

FAMILY = "protobuf"
BUILDS = ("protobuf",)  # the kinds of peers
ROLES = {"perilune": OURS, "protobuf-c": LIMIT}


def names():
    return [FAMILY]


def parse(printed):
    """[(message, bytes, direction, nanoseconds, library)]: a line has these by tabs; without a library it is ours."""
    rows = []
    for line in printed.splitlines():
        fields = line.split("\t")
        if len(fields) not in (4, 5) or not fields[1].isdigit():
            raise Failed(f"a program of the case protobuf has printed: {line}")
        library = fields[4] if len(fields) == 5 else "perilune"
        rows.append((fields[0], int(fields[1]), fields[2], float(fields[3]), library))
    return rows


def is_installed(command):
    """lua-protobuf is no package of ours to build: it is measured where Lua has it."""
    if command[0] != "lua5.4":
        return True
    return bool(shutil.which("lua5.4")) and not subprocess.run(["lua5.4", "-e", "require 'pb'"], capture_output=True).returncode


def run(ctx, wanted):
    seconds, folder = max(0.2, ctx.seconds / 4), work_dir(FAMILY)
    printed, _, _ = load.run([PROGRAMS / "protobuf", seconds], seconds * 200, core=SERVER_CORE)
    rows, notes = parse(printed), []
    load.run([PROGRAMS / "protobuf", "--write", folder], 60, core=SERVER_CORE)
    for one in ctx.chosen.of(FAMILY):
        if is_installed(one.command):
            with ctx.attempt(f"{FAMILY}, {one.name}"):
                exists(one)
                printed, _, _ = load.run([*one.command, folder, seconds], seconds * 200, core=SERVER_CORE)
                rows += parse(printed)
        else:
            notes.append(f"{one.name} is not there: this machine's Lua does not have it (tests/bench/peers/README.md).")
    results = {}
    for message, size, direction, ns, library in rows:
        name = f"{FAMILY}/{message}/{direction.replace(' ', '-')}"
        one = results.setdefault(name, Comparison(name, f"{direction}, {size:,} bytes", what="messages", notes=notes, main="ns"))
        one.add(library, ROLES.get(library, PEER), ns=ns)
    for one in results.values():
        ctx.add(one)
