# SPDX-License-Identifier: MIT
"""Protobuf: nanoseconds of messages between bytes or JSON and values, without a server."""

from . import load
from .candidates import LIMIT, OURS, PEER
from .paths import PROGRAMS, Failed
from .processes import SERVER_CORE
from .results import Comparison

FAMILY = "protobuf"
BUILDS = ()  # the kinds of peers
ROLES = {"perilune": OURS, "protobuf-c": LIMIT}


def names():
    return [FAMILY]


def parse(printed):
    """[(message, bytes, direction, nanoseconds, library)]: a line has these by tabs; without a library it is ours."""
    rows = []
    for line in printed.splitlines():
        fields = line.split("\t")
        if len(fields) not in (4, 5) or not fields[1].isdigit():
            raise Failed(f"the program tests/bench/protobuf has printed: {line}")
        library = fields[4] if len(fields) == 5 else "perilune"
        rows.append((fields[0], int(fields[1]), fields[2], float(fields[3]), library))
    return rows


def run(ctx, wanted):
    seconds = max(0.2, ctx.seconds / 4)
    printed, _, _ = load.run([PROGRAMS / "protobuf", seconds], seconds * 200, core=SERVER_CORE)
    results = {}
    for message, size, direction, ns, library in parse(printed):
        name = f"{FAMILY}/{message}/{direction.replace(' ', '-')}"
        one = results.setdefault(name, Comparison(name, f"{direction}, {size:,} bytes", what="messages", main="ns"))
        one.add(library, ROLES.get(library, PEER), ns=ns)
    for one in results.values():
        ctx.add(one)
