# SPDX-License-Identifier: MIT
"""gRPC services in Lua, as clients see them: grpcio for what clients do, raw frames for what they should not."""

import contextlib
import signal
import threading
import time

import grpc
import pytest

import grpc_client as client
from grpc_bundle import ECHO, GRPC
from grpc_client import Raw, connect, fails, frame
from harness import FULL, MEASURED, SLOWNESS, run_cli, wait_until


@pytest.fixture(scope="module")
def server(start_shared):
    return start_shared({"services/echo.lua": ECHO}, *GRPC, env=MEASURED)


@pytest.fixture
def echo(server):
    with connect(server) as service:
        yield service


# -- the four kinds --
@pytest.mark.core
def test_unary(echo):
    assert echo.unary("Echo")(b"hello") == b"hello"
    assert echo.unary("Echo")(b"") == b""
    assert echo.unary("Upper")(bytes(range(97, 123)) * 1000) == bytes(range(65, 91)) * 1000


@pytest.mark.core
def test_server_stream(echo):
    assert list(echo.server_stream("Count")(b"1000")) == [str(i).encode() for i in range(1, 1001)]
    assert list(echo.server_stream("Count")(b"0")) == []


@pytest.mark.core
def test_client_stream(echo):
    assert echo.client_stream("Sum")(iter([b"abc"] * 1000)) == b"1000 3000"
    assert echo.client_stream("Sum")(iter([])) == b"0 0"


@pytest.mark.core
def test_bidi_is_interleaved(echo):
    sent = []

    def requests():
        for i in range(5):
            sent.append(i)
            yield str(i).encode()
            wait_until(lambda n=i: len(answers) > n, what="an answer before the next request")

    answers = []
    for answer in echo.bidi("Chat")(requests()):
        answers.append(answer)
    assert answers == [f"re: {i}".encode() for i in range(5)]


def test_many_calls_on_a_connection(echo):
    calls = [echo.unary("Echo").future(str(i).encode()) for i in range(2000)]
    assert [call.result(timeout=30 * SLOWNESS) for call in calls] == [str(i).encode() for i in range(2000)]


# -- errors --
CODES = [code for code in grpc.StatusCode if code is not grpc.StatusCode.OK]


@pytest.mark.parametrize("code", CODES, ids=lambda code: code.name.lower())
def test_codes(echo, code):
    error = fails(lambda: echo.unary("Fail")(code.name.lower().encode()))
    assert error.code() is code
    assert error.details() == f"failed: {code.name.lower()}"


@pytest.mark.core
def test_violations(echo):
    error = fails(lambda: echo.unary("Invalid")(b""))
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert error.details() == "bad \u00fc%"
    details = dict(error.trailing_metadata())["grpc-status-details-bin"]
    assert b"type.googleapis.com/google.rpc.BadRequest" in details and b"too long" in details


@pytest.mark.core
def test_unexpected_errors_stay_inside(server, echo):
    error = fails(lambda: echo.unary("Crash")(b"", metadata=[("x-request-id", "req-42")]))
    assert error.code() is grpc.StatusCode.INTERNAL
    assert error.details() == "Internal server error (request req-42)"
    line = server.wait_log("method failed", "secret", "req-42")
    assert "services/echo.lua" in line


def test_unknown_names(echo):
    error = fails(lambda: echo.unary("Nope")(b""))
    assert (error.code(), error.details()) == (grpc.StatusCode.UNIMPLEMENTED, "unknown method Nope for service test.Echo")
    error = fails(lambda: echo.channel.unary_unary("/no.Such/Thing")(b""))
    assert (error.code(), error.details()) == (grpc.StatusCode.UNIMPLEMENTED, "unknown service no.Such")


def test_endless_loop(echo):
    error = fails(lambda: echo.unary("Loop")(b""))
    assert error.code() in (grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.RESOURCE_EXHAUSTED)
    assert echo.unary("Echo")(b"still here") == b"still here"


def test_the_end_of_a_stream_that_the_client_has_not_ended(echo):
    stop = threading.Event()

    def requests():
        yield b"one"
        stop.wait(20)

    call = echo.bidi("Enough")(requests())
    assert next(call) == b"one"
    error = fails(lambda: next(call))
    stop.set()
    assert (error.code(), error.details()) == (grpc.StatusCode.ABORTED, "enough")


# -- metadata --
@pytest.mark.core
def test_metadata(echo):
    metadata = [("x-in", "1"), ("x-in", "2"), ("in-bin", b"\xff")]
    answer, call = echo.unary("Metadata").with_call(b"", metadata=metadata)
    assert answer == b"1|2 \xff test.Echo/Metadata grpc"
    assert [tuple(one) for one in call.initial_metadata()] == [
        ("x-bin", b"\0\xff"),
        ("x-many", "a"),
        ("x-many", "b"),
        ("x-one", "1"),
    ] or {tuple(one) for one in call.initial_metadata()} == {
        ("x-bin", b"\0\xff"),
        ("x-many", "a"),
        ("x-many", "b"),
        ("x-one", "1"),
    }
    assert [tuple(one) for one in call.trailing_metadata()] == [("t-bin", b"\1\2")]


def test_early_headers(echo):
    stop = threading.Event()

    def requests():
        stop.wait(20)
        yield b"x"

    call = echo.bidi("Early")(requests())
    assert ("early", "yes") in [tuple(one) for one in call.initial_metadata()]
    stop.set()
    assert list(call) == [b"x"]


def test_metadata_too_large(server):
    with connect(server, options=[("grpc.absolute_max_metadata_size", 1 << 20), ("grpc.max_metadata_size", 1 << 20)]) as echo:
        error = fails(lambda: echo.unary("Echo")(b"", metadata=[("x-large", "y" * 20000)]))
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert echo.unary("Echo")(b"next") == b"next"


# -- deadlines and cancellation --
@pytest.mark.core
def test_deadline(server, echo):
    closed = server.log_text().count("closed sleep")
    error = fails(lambda: echo.unary("Sleep")(b"30", timeout=0.3))
    assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    wait_until(lambda: server.log_text().count("closed sleep") == closed + 1, what="the coroutine to be closed")
    assert echo.unary("Deadline")(b"", timeout=10) == b"true"
    assert echo.unary("Deadline")(b"") == b"nil"


@pytest.mark.core
def test_cancellation(server, echo):
    closed = server.log_text().count("closed")
    unary = echo.unary("Sleep").future(b"30")
    stop = threading.Event()

    def requests():
        yield b"x"
        stop.wait(20)

    chat = echo.bidi("Chat")(requests())
    assert next(chat) == b"re: x"
    chat.cancel()
    unary.cancel()
    stop.set()
    wait_until(lambda: server.log_text().count("closed") >= closed + 2, what="the coroutines to be closed")


# -- compression --
@pytest.mark.parametrize("algorithm", [grpc.Compression.Gzip, grpc.Compression.Deflate], ids=["gzip", "deflate"])
def test_compression(server, algorithm):
    with connect(server, compression=algorithm) as echo:
        assert echo.unary("Echo")(b"x" * 100000) == b"x" * 100000
        assert echo.client_stream("Sum")(iter([b"y" * 5000] * 20)) == b"20 100000"


def test_message_limit(start):
    server = start({"services/echo.lua": ECHO, "app.lua": 'return { grpc = { max_message = "100kB" } }'}, *GRPC)
    with connect(server, compression=grpc.Compression.Gzip) as echo:
        error = fails(lambda: echo.unary("Echo")(b"x" * 200000))
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert echo.unary("Echo")(b"x" * 100000) == b"x" * 100000


# -- streams and memory --
MEGABYTES = 1024 if FULL or SLOWNESS < 4 else 200
MEGABYTE = b"x" * (1 << 20)
WIDE = [("grpc.max_receive_message_length", 1 << 24)]


def stream_out(echo, count):
    return sum(len(piece) for piece in echo.server_stream("Large")(b"%d" % count))


def stream_in(echo, count):
    assert echo.client_stream("Sum")(MEGABYTE for _ in range(count)) == f"{count} {count << 20}".encode()
    return count << 20


def stream_both_ways(echo, count):
    return sum(len(piece) for piece in echo.bidi("Early")(MEGABYTE for _ in range(count)))


@pytest.mark.core
@pytest.mark.parametrize("stream", [stream_out, stream_in, stream_both_ways])
def test_a_gigabyte_through_64_megabytes(start, stream):
    server = start({"services/echo.lua": ECHO}, *GRPC, env=MEASURED)
    with connect(server, options=WIDE) as echo:
        assert stream(echo, MEGABYTES) == MEGABYTES << 20
    assert server.peak() < (64 << 20) * SLOWNESS


def test_a_compressed_stream_through_64_megabytes(start):
    server = start({"services/echo.lua": ECHO}, *GRPC, env=MEASURED)
    with connect(server, options=WIDE, compression=grpc.Compression.Gzip) as echo:
        assert stream_both_ways(echo, 100) == 100 << 20
    assert server.peak() < (64 << 20) * SLOWNESS


def test_slow_readers(server, echo):
    """Clients that take one message and then nothing: each costs what its window and the bound on unsent bytes hold."""
    before = server.memory()
    with contextlib.ExitStack() as stack:
        for _ in range(20):
            slow = stack.enter_context(connect(server))
            call = slow.server_stream("Large")(b"1000")
            assert len(next(call)) == 1 << 20
            stack.callback(call.cancel)
        time.sleep(1)  # for windows to fill; the bound holds at any time
        used = server.memory() - before
        assert echo.unary("Echo")(b"quick") == b"quick"
    assert used < (100 << 20) * SLOWNESS, used
    wait_until(lambda: sum(w["grpc"]["calls"] for w in server.status()["workers"]) == 0, what="all calls to end")


# -- settings and addresses --
def test_keepalive_settings(start):
    server = start({"services/echo.lua": ECHO, "app.lua": "return { grpc = { keepalive = { min_interval = 60 } } }"}, *GRPC)
    with Raw(server).greet() as raw:
        for _ in range(4):
            raw.send(frame(client.PING, 0, 0, b"12345678"))
        assert raw.goaway() == (0xB, b"too_many_pings")


def test_keepalive_of_the_server(start):
    """A client that is silent is asked; one that does not answer is cut."""
    settings = "return { grpc = { keepalive = { time = 0.3, timeout = 0.5 } } }"
    server = start({"services/echo.lua": ECHO, "app.lua": settings}, *GRPC)
    with Raw(server).greet() as raw:
        pings = 0
        for kind, flags, _, payload in raw.frames():
            if kind == client.PING and not flags & client.ACK:
                pings += 1
                if pings <= 3:
                    raw.send(frame(client.PING, client.ACK, 0, payload))
        assert pings == 4


def test_idle_connections_are_drained(start):
    server = start({"services/echo.lua": ECHO, "app.lua": "return { grpc = { idle_timeout = 0.3 } }"}, *GRPC)
    with Raw(server).greet() as raw:
        assert raw.goaway() == (0, b"")


def test_age_and_idle(start):
    server = start(
        {"services/echo.lua": ECHO, "app.lua": "return { grpc = { max_age = 0.5, max_age_grace = 0.5, idle_timeout = 60 } }"},
        *GRPC,
    )
    with Raw(server).greet() as raw:
        assert raw.goaway() == (0, b"")
    with connect(server) as echo:  # clients connect anew
        for _ in range(20):
            assert echo.unary("Echo")(b"x") == b"x"
            time.sleep(0.1)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("max_message = 'large'", "grpc.max_message must be a size"),
        ("compression = 'lzma'", 'grpc.compression must be "mirror", "gzip"'),
        ("keepalive = { often = 1 }", 'There is no setting "grpc.keepalive.often".'),
        ("idle_timeout = true", "grpc.idle_timeout must be a number of seconds"),
    ],
)
def test_wrong_settings(bundle, setting, message):
    result = run_cli("check", bundle({"services/echo.lua": ECHO, "app.lua": f"return {{ grpc = {{ {setting} }} }}"}))
    assert result.returncode == 1
    assert message in result.stdout


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("return 1", "services/a.lua: A file of services must return a table"),
        ("return { ['a b'] = {} }", '"a b" is no name of a service'),
        ("return { ['a.B'] = 1 }", "The service a.B must be a table { Method = function }, not an integer"),
        ("return { ['a.B'] = { C = 1 } }", "a.B.C must be a function"),
        ("return { ['a.B'] = { C = { stream = print } } }", "a.B.C must be a function"),
        ("return { ['test.Echo'] = { Echo = print } }", "The method test.Echo/Echo is there already"),
        ("return {", "services/a.lua:1"),
    ],
)
def test_wrong_services(bundle, text, message):
    result = run_cli("check", bundle({"services/echo.lua": ECHO, "services/a.lua": text}))
    assert result.returncode == 1
    assert message in result.stdout


def test_unix_socket(start, tmp_path):
    path = tmp_path / "grpc.sock"
    server = start({"services/echo.lua": ECHO}, "--grpc", f"unix:{path}", workers=2)
    assert server.ready["grpc"] == f"unix:{path}"
    with connect(server) as echo:
        assert echo.unary("Echo")(b"x") == b"x"


def test_without_services(start):
    server = start({"app.lua": "return {}"})
    assert "grpc" not in server.ready
    server = start({"services/echo.lua": ECHO}, "--grpc", "off")
    assert "grpc" not in server.ready


def test_interceptors(start):
    server = start(
        {
            "services/echo.lua": ECHO,
            "app.lua": """
local errors = require "perilune.errors"
return { interceptors = { function(ctx, next)
  if not ctx.headers.authorization then error(errors.unauthenticated "who are you?") end
  ctx.user = ctx.headers.authorization
  local outcome = next(ctx)
  ctx.trailers["x-outcome"] = ctx.operation_name .. " " .. outcome.code
  return outcome
end } }
""",
        },
        *GRPC,
    )
    with connect(server) as echo:
        error = fails(lambda: echo.unary("Echo")(b""))
        assert (error.code(), error.details()) == (grpc.StatusCode.UNAUTHENTICATED, "who are you?")
        _, call = echo.unary("Echo").with_call(b"", metadata=[("authorization", "ann")])
        assert tuple(call.trailing_metadata()[0]) == ("x-outcome", "test.Echo/Echo OK")
        error = fails(lambda: echo.unary("Fail")(b"not_found", metadata=[("authorization", "ann")]))
        assert tuple(error.trailing_metadata()[0]) == ("x-outcome", "test.Echo/Fail NOT_FOUND")


# -- the end --
def test_drain(start):
    """SIGTERM: calls in hand are finished, the client is told with GOAWAY, and nothing is lost."""
    server = start({"services/echo.lua": ECHO}, *GRPC)
    with connect(server) as echo:
        assert echo.unary("Echo")(b"x") == b"x"
        slow = echo.unary("Sleep").future(b"1")
        stop = threading.Event()

        def requests():
            yield b"a"
            stop.wait(20)
            yield b"b"

        chat = echo.bidi("Chat")(requests())
        assert next(chat) == b"re: a"
        server.signal(signal.SIGTERM)
        server.wait_log("stopping")
        time.sleep(0.3)
        stop.set()
        assert list(chat) == [b"re: b"]
        assert slow.result(timeout=10 * SLOWNESS) == b"slept"
        assert server.process.wait(10 * SLOWNESS) == 0


def test_drain_ends(start):
    server = start({"services/echo.lua": ECHO}, *GRPC, "--drain", "1")
    with connect(server) as echo:
        call = echo.unary("Sleep").future(b"60")
        wait_until(lambda: server.status()["workers"][0]["grpc"]["calls"] == 1)
        server.signal(signal.SIGTERM)
        assert call.exception(timeout=10 * SLOWNESS).code() is grpc.StatusCode.UNAVAILABLE
        assert server.process.wait(10 * SLOWNESS) == 0
        assert "drain timed out: gRPC connections are cut" in server.log_text()
