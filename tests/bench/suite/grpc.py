# SPDX-License-Identifier: MIT
"""gRPC: messages that one worker answers or sends each second."""

import contextlib
import json
import subprocess
from dataclasses import dataclass

from . import load
from .paths import BUNDLES, PROGRAMS, Failed, work_dir
from .results import Comparison
from .servers import Servers, compare, limits

FAMILY = "grpc"
BUILDS = ("grpc",)  # the kinds of peers
SERVICE = "bench.v1.Bench"
LINES = "".join(
    f'lines {{ product: "p-{i}" title: "Product number {i}" quantity: {i} price: {i}.5 tags: "new" tags: "online" }}\n'
    for i in range(1, 6)
)
ORDER = f"""id: "order-1"
customer {{
  id: "c-1" name: "Ada Lovelace" email: "ada@example.com" newsletter: true
  address {{ street: "Nowhere Street 17" city: "Springfield" country: "US" postcode: "12345" }}
}}
{LINES}labels {{ key: "channel" value: "web" }} labels {{ key: "priority" value: "high" }}
created_at {{ seconds: 1700000000 nanos: 500000000 }}
card {{ holder: "Ada Lovelace" last_digits: "4242" expiry_year: 2030 }}
related: 1 related: 20000000000
"""
TOTAL = sum(i * (i + 0.5) for i in range(1, 6))


@dataclass(frozen=True)
class Case:
    name: str
    title: str
    method: str
    request: tuple  # the message's type, and itself as text
    reply: tuple
    replies: int = 1
    streams: int = 64  # on each of 8 connections


HELLO = ("HelloReply", 'message: "Hello world"')
CASES = {
    one.name: one
    for one in (
        Case("hello", "unary", "Hello", ("HelloRequest", 'name: "world"'), HELLO),
        Case(
            "nested",
            "unary, a nested message of 5 lines there and back",
            "Nested",
            ("Order", ORDER + "status: STATUS_OPEN"),
            ("Order", ORDER + f"status: STATUS_CONFIRMED total: {TOTAL}"),
        ),
        Case("stream", "a call sends 1,000 messages", "Stream", ("HelloRequest", 'name: "world" count: 1000'), HELLO, 1000, 4),
        Case("chat", "ping-pong: each message waits for the reply to the last", "Chat", ("HelloRequest", 'name: "world"'), HELLO),
    )
}


def names():
    return [f"{FAMILY}/{case}" for case in CASES]


def protoc(what, kind, data):
    folder = BUNDLES / "grpc" / "proto"
    command = ["protoc", f"--{what}=bench.v1.{kind}", "-I", folder, "bench.proto"]
    done = subprocess.run(command, input=data, capture_output=True, timeout=60, check=False)
    if done.returncode:
        raise Failed(f"protoc --{what}: {done.stderr.decode(errors='replace')}")
    return done.stdout


def encode(message):
    kind, text = message
    return protoc("encode", kind, text.encode())


def frame(message):
    return b"\0" + len(message).to_bytes(4, "big") + message


def call(address, method, request, streaming):
    """The bytes of the replies, asked for by a real client."""
    try:
        import grpc
    except ImportError:
        raise Failed("answers are checked with grpcio: run `make bench`, or build/venv/bin/python scripts/bench") from None
    with grpc.insecure_channel(address) as channel:
        path = f"/{SERVICE}/{method}"
        try:
            if streaming == "chat":
                return list(channel.stream_stream(path)(iter([request] * 3), timeout=30))
            if streaming:
                return list(channel.unary_stream(path)(request, timeout=30))
            return [channel.unary_unary(path)(request, timeout=30)]
        except grpc.RpcError as problem:
            raise Failed(f"{method} of {address} failed: {problem.code()}: {problem.details()}") from None


def check(name, address, case):
    kind = case.reply[0]
    wanted = protoc("decode", kind, encode(case.reply))
    streaming = "chat" if case.name == "chat" else case.replies > 1
    replies = call(address, case.method, encode(case.request), streaming)
    count = 3 if case.name == "chat" else case.replies
    given = {reply: protoc("decode", kind, reply) for reply in set(replies)}
    if len(replies) != count or set(given.values()) != {wanted}:
        some = next((text for text in given.values() if text != wanted), b"").decode(errors="replace")
        raise Failed(f"{name}: wrong answer to {FAMILY}/{case.name}: {len(replies)} messages, {count} expected; {some[:1000]}")


def ping_pong(address, seconds, process, connections=8, streams=8):
    """True ping-pong: a message is sent when the reply to the last one is there."""
    command = [PROGRAMS / "load" / "pingpong", address, seconds, connections, streams]
    printed, used, most = load.run(command, seconds, process)
    try:
        seen = json.loads(printed.splitlines()[-1])
        found = load.Load(int(seen["messages"]), float(seen["seconds"]))
    except (ValueError, KeyError, IndexError):
        raise Failed(f"pingpong has printed no figures: {printed}") from None
    return load.finish(found, used, most, printed, process)


def send(case, process, path, seconds, size=None):
    address = process.ready["grpc"]
    if case.name == "chat":
        return ping_pong(address, seconds, process)
    url = f"http://{address}/{SERVICE}/{case.method}"
    options = {"streams": case.streams, "kind": "application/grpc", "size": size, "each": case.replies}
    return load.h2load(url, path, seconds, process, **options)


def measure(ctx, case, servers):
    path = work_dir(FAMILY) / f"{case.name}.request"
    path.write_bytes(frame(encode(case.request)))
    answer = frame(encode(case.reply)) * case.replies
    result = Comparison(f"{FAMILY}/{case.name}", case.title, what="messages" if case.replies > 1 else "calls")
    if case.name == "chat":
        result.what = "messages"

    def right(one, process):
        check(one.name, process.ready["grpc"], case)

    def ask_for(process, seconds):
        return send(case, process, path, seconds, len(answer))

    running = servers.of(result.name, case.name)
    with contextlib.ExitStack() as stack:
        running = limits(ctx, stack, FAMILY, result.name, case.name, answer) + running
        compare(ctx, result, running, right, ask_for, 1)


def run(ctx, wanted):
    with contextlib.ExitStack() as stack:
        servers = Servers(ctx, stack, FAMILY)
        for case in CASES.values():
            name = f"{FAMILY}/{case.name}"
            if name in wanted:
                with ctx.attempt(name):
                    measure(ctx, case, servers)
