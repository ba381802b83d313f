# SPDX-License-Identifier: MIT
"""gRPC from clients that are broken or hostile: each gets the answer that the protocol has for it, memory stays bounded, and
a bystander's calls go on meanwhile."""

import contextlib
import gzip
import os
import socket
import ssl
import threading
import zlib
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

import grpc_client as client
from grpc_bundle import ECHO, GRPC
from grpc_client import Raw, connect, fails, frame, literal, request_block
from harness import MEASURED, SLOWNESS, self_signed, wait_until

PROTOCOL_ERROR, FLOW_CONTROL_ERROR, STREAM_CLOSED, FRAME_SIZE_ERROR, CALM = 1, 3, 5, 6, 11
BOUND = (32 << 20) * SLOWNESS


@pytest.fixture(scope="module")
def server(start_shared):
    return start_shared({"services/echo.lua": ECHO}, *GRPC, env=MEASURED)


class Bystander:
    """Makes calls all the time, on a connection of its own."""

    def __init__(self, server):
        self.server, self.stop, self.calls, self.failures = server, threading.Event(), 0, []
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self):
        with connect(self.server) as echo:
            while not self.stop.is_set():
                try:
                    assert echo.unary("Echo")(b"x", timeout=20 * SLOWNESS) == b"x"
                    self.calls += 1
                except grpc.RpcError as error:
                    self.failures.append(repr(error))
                self.stop.wait(0.01)


@pytest.fixture(autouse=True)
def bystander(server):
    """The calls of others do not fail; and in the end nothing of the test's is left."""
    one = Bystander(server)
    yield one
    seen = one.calls
    wait_until(lambda: one.calls > seen or one.failures, 20, "a call of the bystander's")
    one.stop.set()
    one.thread.join()
    assert one.failures == []
    wait_until(lambda: sum(w["grpc"]["calls"] for w in server.status()["workers"]) == 0, what="all calls to end")
    wait_until(lambda: sum(w["grpc"]["connections"] for w in server.status()["workers"]) == 0, what="all to leave")


@contextlib.contextmanager
def bounded(server):
    """Memory does not grow by more than BOUND."""
    before = server.memory()
    yield
    assert server.memory() - before < BOUND


# -- floods --
@pytest.mark.core
def test_rapid_reset(server):
    block = request_block(b"/test.Echo/Sleep")
    with bounded(server), Raw(server).greet() as raw:
        for i in range(20):
            data = b"".join(
                frame(client.HEADERS, client.END_HEADERS, 1 + 2 * (i * 200 + k), block)
                + frame(client.RST_STREAM, 0, 1 + 2 * (i * 200 + k), b"\0\0\0\x08")
                for k in range(200)
            )
            if not raw.send(data):
                break
        assert raw.goaway() == (CALM, b"too many streams are reset")
    server.wait_log("gRPC connection ended", "too many streams are reset", '"peer":"127.0.0.1:')
    assert sum(worker["grpc"]["floods_total"] for worker in server.status()["workers"]) == 1


@pytest.mark.core
def test_resets_that_the_server_is_made_to_send(server):
    block = request_block(b"/test.Echo/Sum")
    # The peer reads meanwhile: what the server says last comes behind thousands of resets.
    with bounded(server), Raw(server).greet() as raw, ThreadPoolExecutor(1) as reader:
        goaway = reader.submit(raw.goaway)
        for i in range(300):
            data = b"".join(
                frame(client.HEADERS, client.END_HEADERS, 1 + 2 * (i * 200 + k), block)
                + frame(client.WINDOW_UPDATE, 0, 1 + 2 * (i * 200 + k), b"\x7f\xff\xff\xff")
                for k in range(200)
            )
            if not raw.send(data):
                break
        assert goaway.result()[0] == CALM


FLOODS = {
    "ping": frame(client.PING, 0, 0, b"12345678"),
    "ping answers": frame(client.PING, client.ACK, 0, b"12345678"),
    "settings": frame(client.SETTINGS),
    "settings of windows": frame(client.SETTINGS, 0, 0, b"\0\4\0\0\0\1") + frame(client.SETTINGS, 0, 0, b"\0\4\0\0\xff\xff"),
    "settings answers": frame(client.SETTINGS, client.ACK),
    "priority": frame(client.PRIORITY, 0, 1, b"\0\0\0\0\1"),
    "window": frame(client.WINDOW_UPDATE, 0, 0, b"\0\0\0\1"),
    "unknown": frame(0x99, 0, 0, b"what"),
    "large unknown": frame(0x99, 0, 0, bytes(16384)),
    "empty data": frame(client.DATA, 0, 1),
    "goaway": frame(client.GOAWAY, 0, 0, bytes(8)),
}


@pytest.mark.core
@pytest.mark.parametrize("name", FLOODS)
def test_floods(server, name):
    flood = FLOODS[name]
    repeat = max(1, (1 << 16) // len(flood))
    with bounded(server), Raw(server).greet() as raw:
        raw.send(frame(client.HEADERS, client.END_HEADERS, 1, request_block(b"/test.Echo/Sum")))
        for _ in range(1000):
            if not raw.send(flood * repeat):
                break
        found = raw.goaway()
        assert found is None or found[0] in (CALM, PROTOCOL_ERROR)


@pytest.mark.core
def test_continuation_flood(server):
    with bounded(server), Raw(server).greet() as raw:
        raw.send(frame(client.HEADERS, 0, 1, request_block(b"/test.Echo/Echo")))
        piece = frame(client.CONTINUATION, 0, 1, b"".join(literal(b"x%d" % i, b"y" * 100) for i in range(50)))
        for _ in range(2000):
            if not raw.send(piece):
                break
        raw.goaway()


@pytest.mark.core
def test_streams_beyond_the_limit(server):
    block = request_block(b"/test.Echo/Sum")
    with Raw(server).greet() as raw:
        raw.send(frame(client.SETTINGS, client.ACK))
        raw.send(b"".join(frame(client.HEADERS, client.END_HEADERS, 1 + 2 * i, block) for i in range(110)))
        refused = 0
        for kind, _, _, payload in raw.frames():
            if kind == client.RST_STREAM:
                assert payload == b"\0\0\0\7"
                refused += 1
            if refused == 10:
                break
        for i in range(110, 100000):
            if not raw.send(frame(client.HEADERS, client.END_HEADERS, 1 + 2 * i, block)):
                break
        raw.goaway()


# -- frames that are wrong --
WRONG_FRAMES = {
    "headers on stream 0": (frame(client.HEADERS, 5, 0, request_block(b"/x")), PROTOCOL_ERROR),
    "headers on an even stream": (frame(client.HEADERS, 5, 2, request_block(b"/x")), PROTOCOL_ERROR),
    "headers with too much padding": (frame(client.HEADERS, 5 | 8, 1, b"\xff" + request_block(b"/x")), PROTOCOL_ERROR),
    "headers that are no HPACK": (frame(client.HEADERS, 5, 1, b"\xff\xff\xff\xff\xff\xff"), 9),
    "headers that refer to no entry": (frame(client.HEADERS, 5, 1, b"\xfe"), 9),
    "a block that another frame interrupts": (
        frame(client.HEADERS, 0, 1, b"\x83") + frame(client.PING, 0, 0, bytes(8)),
        PROTOCOL_ERROR,
    ),
    "continuation of nothing": (frame(client.CONTINUATION, 4, 1, b"\x83"), PROTOCOL_ERROR),
    "data on stream 0": (frame(client.DATA, 0, 0, b"x"), PROTOCOL_ERROR),
    "data on an idle stream": (frame(client.DATA, 0, 1, b"x"), PROTOCOL_ERROR),
    "settings on a stream": (frame(client.SETTINGS, 0, 1), PROTOCOL_ERROR),
    "settings of five bytes": (frame(client.SETTINGS, 0, 0, bytes(5)), FRAME_SIZE_ERROR),
    "an answer to settings with bytes": (frame(client.SETTINGS, client.ACK, 0, bytes(6)), FRAME_SIZE_ERROR),
    "a window too large": (frame(client.SETTINGS, 0, 0, b"\0\4\x80\0\0\0"), FLOW_CONTROL_ERROR),
    "a frame size too small": (frame(client.SETTINGS, 0, 0, b"\0\5\0\0\0\1"), PROTOCOL_ERROR),
    "ping of seven bytes": (frame(client.PING, 0, 0, bytes(7)), FRAME_SIZE_ERROR),
    "ping on a stream": (frame(client.PING, 0, 1, bytes(8)), PROTOCOL_ERROR),
    "window update of three bytes": (frame(client.WINDOW_UPDATE, 0, 0, bytes(3)), FRAME_SIZE_ERROR),
    "window update of nothing": (frame(client.WINDOW_UPDATE, 0, 0, bytes(4)), PROTOCOL_ERROR),
    "window that overflows": (frame(client.WINDOW_UPDATE, 0, 0, b"\x7f\xff\xff\xff"), FLOW_CONTROL_ERROR),
    "reset of an idle stream": (frame(client.RST_STREAM, 0, 1, bytes(4)), PROTOCOL_ERROR),
    "reset of five bytes": (frame(client.RST_STREAM, 0, 1, bytes(5)), FRAME_SIZE_ERROR),
    "push promise": (frame(5, 4, 1, b"\0\0\0\2\x83"), PROTOCOL_ERROR),
    "a frame too large": (frame(client.DATA, 0, 1, bytes(16385)), FRAME_SIZE_ERROR),
}


@pytest.mark.core
@pytest.mark.parametrize("name", WRONG_FRAMES)
def test_wrong_frames(server, name):
    data, error = WRONG_FRAMES[name]
    with Raw(server).greet() as raw:
        raw.send(data)
        found = raw.goaway()
        assert found is not None and found[0] == error, found
    with Raw(server).greet() as raw:  # the same in pieces
        for i in range(min(len(data), 200)):
            if not raw.send(data[i : i + 1]):
                break


@pytest.mark.core
def test_garbage(server):
    for data in (os.urandom(1000), client.PREFACE + os.urandom(1000), client.PREFACE[:20], b"P", b"\x16\x03\1\2\0\1\0", b""):
        with Raw(server) as raw:
            raw.send(data)
            raw.socket.shutdown(1)
            raw.goaway()


def read_all(connection):
    data = b""
    with contextlib.suppress(ConnectionError):
        while piece := connection.recv(65536):
            data += piece
    return data


UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQ\r\n\r\n"
)


@pytest.mark.core
@pytest.mark.parametrize(
    "data",
    [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n{", UPGRADE],
    ids=["get", "post", "upgrade"],
)
def test_http1_is_told_what_is_wrong(server, data):
    with Raw(server) as raw:
        raw.send(data)
        head, _, body = read_all(raw.socket).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 505 ")
        assert b"content-length: %d\r\n" % len(body) in head
        assert b"HTTP/2 from the start" in body


# -- windows --
@pytest.mark.core
def test_a_client_without_a_window(server):
    """It gets headers, and bytes as soon as it has room; meanwhile nothing but one message each waits."""
    with bounded(server), Raw(server) as raw:
        raw.send(client.PREFACE + frame(client.SETTINGS, 0, 0, b"\0\4\0\0\0\0"))
        block = request_block(b"/test.Echo/Large")
        for stream in range(1, 11, 2):
            raw.send(frame(client.HEADERS, client.END_HEADERS, stream, block))
            raw.send(frame(client.DATA, client.END_STREAM, stream, b"\0\0\0\0\x041000"))
        answered = set()
        for kind, _, stream, _ in raw.frames():
            assert kind != client.DATA
            if kind == client.HEADERS:
                answered.add(stream)
            if len(answered) == 5:
                break
        raw.send(frame(client.WINDOW_UPDATE, 0, 7, b"\0\0\0\7"))
        kind, _, stream, payload = next(one for one in raw.frames() if one[0] == client.DATA)
        assert (stream, payload) == (7, b"\0\0\x10\0\0xx")


@pytest.mark.core
def test_a_stream_window_that_overflows(server):
    with Raw(server).greet() as raw:
        raw.send(frame(client.HEADERS, client.END_HEADERS, 1, request_block(b"/test.Echo/Sum")))
        raw.send(frame(client.WINDOW_UPDATE, 0, 1, b"\x7f\xff\xff\xff"))
        assert raw.outcome(1).reset == FLOW_CONTROL_ERROR
        assert raw.call(3, b"/test.Echo/Echo", data=b"\0\0\0\0\1a").status == 0


@pytest.mark.core
def test_more_data_than_the_window_allows(server):
    with bounded(server), Raw(server).greet() as raw:
        raw.send(frame(client.HEADERS, client.END_HEADERS, 1, request_block(b"/test.Echo/Sleep")))
        for _ in range(2000):
            if not raw.send(frame(client.DATA, 0, 1, bytes(16384))):
                break
        raw.goaway()


@pytest.mark.core
def test_data_on_streams_that_have_ended(server):
    with bounded(server), Raw(server).greet() as raw:
        assert raw.call(1, b"/no.Such/Method").status == 12
        for _ in range(200):
            if not raw.send(frame(client.DATA, 0, 1, bytes(16384))):
                break
        outcome = raw.call(3, b"/test.Echo/Echo", data=b"\0\0\0\0\1a")
        assert outcome is None or outcome.status == 0


@pytest.mark.core
def test_data_on_a_stream_that_the_server_has_ended(server):
    """What is still on its way when a call is refused does no harm; and its bytes do not use up the connection's window."""
    with bounded(server), Raw(server).greet() as raw:
        raw.send(frame(client.SETTINGS, client.ACK))
        for stream in range(1, 201, 2):
            raw.send(frame(client.HEADERS, client.END_HEADERS, stream, request_block(b"/no.Such/Method")))
            raw.send(frame(client.DATA, 0, stream, bytes(16384)) * 4)
            outcome = raw.outcome(stream)
            assert outcome.status == 12
        assert raw.call(201, b"/test.Echo/Echo", data=b"\0\0\0\0\1a").status == 0


# -- headers --
@pytest.mark.core
def test_headers_beyond_the_limit(server):
    with bounded(server), Raw(server).greet() as raw:
        many = [(b"x-%d" % i, b"y" * 100) for i in range(120)]  # in more than one frame
        block = request_block(b"/test.Echo/Echo", *many)
        raw.send(frame(client.HEADERS, client.END_STREAM, 1, block[:10000]))
        raw.send(frame(client.CONTINUATION, client.END_HEADERS, 1, block[10000:]))
        outcome = raw.outcome(1)
        assert outcome.status == 8 and "metadata" in outcome.headers["grpc-message"]
        assert raw.call(3, b"/test.Echo/Echo", data=b"\0\0\0\0\1a").status == 0


@pytest.mark.core
def test_headers_that_refer_to_a_large_one_again_and_again(server):
    with bounded(server), Raw(server).greet() as raw:
        bomb = b"\x40\x01y\x7f\x81\x1e" + b"a" * 3968 + b"\xbe" * 10000
        raw.send(frame(client.HEADERS, 5, 1, request_block(b"/test.Echo/Echo") + bomb))
        assert raw.goaway()[0] == CALM


def test_requests_that_are_no_calls(server):
    with Raw(server).greet() as raw:
        assert raw.call(1, b"/test.Echo/Echo", (b"content-type", b"text/plain")) is not None
        post = b"\x86" + literal(b":authority", b"x") + literal(b":path", b"/test.Echo/Echo")
        raw.send(frame(client.HEADERS, 5, 3, b"\x82" + post + literal(b"content-type", b"application/grpc")))
        outcome = raw.outcome(3)
        assert outcome.headers == {":status": "405", "allow": "POST"}
        raw.send(frame(client.HEADERS, 5, 5, b"\x83" + post))
        assert raw.outcome(5).headers[":status"] == "415"
        raw.send(frame(client.HEADERS, 5, 7, b"\x83" + post + literal(b"content-type", b"application/json")))
        assert raw.outcome(7).headers[":status"] in ("200", "400", "415")
        for i, path in enumerate(
            [b"/", b"x", b"//", b"/test.Echo", b"/test.Echo/", b"/test.Echo/Echo?x", b"*", b"/\xff/\xfe", b"/" * 100]
        ):
            outcome = raw.call(9 + 2 * i, path)
            assert outcome.status == 12 or outcome.reset == PROTOCOL_ERROR, path


@pytest.mark.core
@pytest.mark.parametrize(
    "value", ["1", "", "S", "123456789S", "-1S", "+1S", "1x", " 1S", "1 S", "1.5S", "0x1S", "S1", "1SS", "99999999"]
)
def test_malformed_timeouts(server, value):
    with Raw(server).greet() as raw:
        outcome = raw.call(1, b"/test.Echo/Echo", (b"grpc-timeout", value.encode()), data=b"\0\0\0\0\1a")
        assert outcome.status == 13 or (value == " 1S" and outcome.reset == PROTOCOL_ERROR)  # HTTP/2 forbids the blank


@pytest.mark.core
def test_timeouts_at_the_edges(server):
    with Raw(server).greet() as raw:
        for i, (value, status) in enumerate([("99999999H", 0), ("00000001H", 0), ("0S", 4), ("0n", 4), ("00000000H", 4)]):
            outcome = raw.call(1 + 2 * i, b"/test.Echo/Echo", (b"grpc-timeout", value.encode()), data=b"\0\0\0\0\1a")
            assert outcome.status == status, value


@pytest.mark.core
def test_trailers_of_the_client(server):
    with Raw(server).greet() as raw:
        raw.send(frame(client.HEADERS, client.END_HEADERS, 1, request_block(b"/test.Echo/Echo")))
        raw.send(frame(client.DATA, 0, 1, b"\0\0\0\0\1a"))
        raw.send(frame(client.HEADERS, client.END_HEADERS | client.END_STREAM, 1, literal(b"x-checksum", b"1")))
        outcome = raw.outcome(1)
        assert (outcome.status, outcome.data) == (0, b"\0\0\0\0\1a")
        # Without the end of the stream they are an error of that stream.
        raw.send(frame(client.HEADERS, client.END_HEADERS, 3, request_block(b"/test.Echo/Sum")))
        raw.send(frame(client.HEADERS, client.END_HEADERS, 3, literal(b"x-checksum", b"1")))
        assert raw.outcome(3).reset == PROTOCOL_ERROR
        # A pseudo-header is none.
        raw.send(frame(client.HEADERS, client.END_HEADERS, 5, request_block(b"/test.Echo/Sum")))
        raw.send(frame(client.HEADERS, client.END_HEADERS | client.END_STREAM, 5, literal(b":path", b"/x")))
        assert raw.outcome(5).reset == PROTOCOL_ERROR


def test_metadata_that_is_no_base64(server):
    with Raw(server).greet() as raw:
        for i, value in enumerate([b"!", b"A", b"AA=A", b"====", b"\x7f"]):
            outcome = raw.call(1 + 2 * i, b"/test.Echo/Echo", (b"x-bin", value), data=b"\0\0\0\0\1a")
            assert outcome.status == 0 or outcome.reset == PROTOCOL_ERROR


# -- messages --
@pytest.mark.core
@pytest.mark.parametrize(
    ("message", "status"),
    [
        (b"\0\0\0\0\5ab", 13),
        (b"\0\0\0", 13),
        (b"\7\0\0\0\0", 13),
        (b"\2\0\0\0\1a", 13),
        (b"\x80\0\0\0\1a", 13),
        (b"\0\xff\xff\xff\xff", 8),
        (b"\0\0\x40\0\1", 8),
        (b"\1\0\0\0\1a", 13),
        (b"", 12),
        (b"\0\0\0\0\1a" * 2, 12),
    ],
)
def test_malformed_messages(server, message, status):
    with Raw(server).greet() as raw:
        for i, method in enumerate(["Echo", "Count", "Sum", "Chat"]):
            outcome = raw.call(1 + 2 * i, b"/test.Echo/" + method.encode(), data=message)
            if status == 12 and method in ("Sum", "Chat"):  # any number of messages is fine
                assert outcome.status == 0
            else:
                assert outcome.status == status, method


def zstd_of_zeros(count, size):
    """A frame of so many blocks, four bytes each."""
    frame_head = b"\x28\xb5\x2f\xfd\x00\x38"
    return frame_head + b"".join((size << 3 | 2 | (i + 1 == count)).to_bytes(3, "little") + b"\0" for i in range(count))


def bomb(coding):
    if coding == "zstd":
        return zstd_of_zeros(8192, 128 << 10)
    pack = zlib.compressobj(9, zlib.DEFLATED, 31 if coding == "gzip" else 15)
    zeros = bytes(1 << 20)
    return b"".join([*(pack.compress(zeros) for _ in range(200)), pack.flush()])


def sound(coding):
    return {"gzip": gzip.compress(b"a" * 1000), "deflate": zlib.compress(b"a" * 1000), "zstd": zstd_of_zeros(1, 1000)}[coding]


def message(payload, flags=1):
    return bytes([flags]) + len(payload).to_bytes(4, "big") + payload


@pytest.mark.core
@pytest.mark.parametrize("coding", ["gzip", "deflate", "zstd"])
def test_compressed_messages(server, coding):
    good = sound(coding)
    with bounded(server), Raw(server).greet() as raw:

        def send(stream, payload, status, flags=1):
            encoding = (b"grpc-encoding", coding.encode())
            outcome = raw.call(stream, b"/test.Echo/Echo", encoding, data=message(payload, flags))
            assert outcome.status == status, (outcome, payload[:20])

        send(1, good, 0)
        send(3, good[:-1], 13)
        send(5, good[: len(good) // 2], 13)
        send(7, good + b"x", 13)
        send(9, os.urandom(100), 13)
        send(11, bytes(100), 13)
        send(13, b"\xff" * 100, 13)
        send(15, good, 0, flags=0)  # as it is
        raw.send(frame(client.SETTINGS, client.ACK))  # the window is what the server says
        large = bomb(coding)
        assert len(large) < 250000
        send(17, large, 8)
        send(19, good, 0)
    with Raw(server).greet() as raw:
        outcome = raw.call(1, b"/test.Echo/Echo", (b"grpc-encoding", b"br"), data=message(good))
        assert outcome.status == 12 and outcome.headers["grpc-accept-encoding"] == "identity,gzip,deflate,zstd"


@pytest.mark.core
def test_messages_that_are_begun_and_never_finished(start):
    """They have to make room for those that are finished."""
    server = start({"services/echo.lua": ECHO, "app.lua": 'return { grpc = { max_held = "16MB" } }'}, *GRPC, env=MEASURED)
    with contextlib.ExitStack() as stack, connect(server) as echo:
        before = server.memory()
        for _ in range(4):
            raw = stack.enter_context(Raw(server).greet())
            for stream in range(1, 41, 2):
                raw.send(frame(client.HEADERS, client.END_HEADERS, stream, request_block(b"/test.Echo/Echo")))
                raw.send(frame(client.DATA, 0, stream, b"\0\0\x3f\xff\xff" + bytes(16000)))
                raw.send(frame(client.DATA, 0, stream, bytes(16384)) * 2)
        for _ in range(20):
            assert len(echo.unary("Echo")(bytes(1 << 20))) == 1 << 20
        assert server.memory() - before < (64 << 20) * SLOWNESS


# -- peers that leave, or do not read --
@pytest.mark.core
def test_peers_that_never_read(server):
    with bounded(server), contextlib.ExitStack() as stack:
        for _ in range(10):
            raw = stack.enter_context(Raw(server))
            raw.send(client.PREFACE + frame(client.SETTINGS, 0, 0, b"\0\4\x7f\xff\xff\xff"))
            raw.send(frame(client.WINDOW_UPDATE, 0, 0, b"\x7f\xff\0\0"))
            for stream in range(1, 11, 2):
                raw.send(frame(client.HEADERS, client.END_HEADERS, stream, request_block(b"/test.Echo/Count")))
                raw.send(frame(client.DATA, client.END_STREAM, stream, b"\0\0\0\0\x0810000000"))
        wait_until(lambda: sum(w["grpc"]["calls"] for w in server.status()["workers"]) >= 50, what="all to run")


@pytest.mark.core
def test_peers_that_leave_in_the_middle(server):
    block = request_block(b"/test.Echo/Chat")
    with bounded(server):
        for i in range(100):
            with Raw(server).greet() as raw:
                raw.send(
                    frame(client.HEADERS, client.END_HEADERS, 1, block) + frame(client.DATA, 0, 1, b"\0\0\0\0\2a")[: 5 + i % 12]
                )
                if i % 2:
                    raw.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


# -- TLS --
def tls(server, certificate, protocols):
    context = ssl.create_default_context(cafile=str(certificate))
    if protocols:
        context.set_alpn_protocols(protocols)
    port = int(server.ready["grpcs"].rpartition(":")[2])
    return context.wrap_socket(socket.create_connection(("127.0.0.1", port), timeout=20 * SLOWNESS), server_hostname="localhost")


@pytest.mark.core
def test_tls_without_http2(start, tmp_path):
    certificate, key = self_signed(tmp_path)
    server = start({"services/echo.lua": ECHO}, *GRPC, "--grpcs", "localhost:0", "--tls-cert", certificate, "--tls-key", key)
    for protocols in (None, ["http/1.1"]):
        with tls(server, certificate, protocols) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert read_all(connection).startswith(b"HTTP/1.1 505 ")
    with tls(server, certificate, None) as connection, Raw(server, connection).greet() as raw:  # it knows by itself
        assert raw.call(1, b"/test.Echo/Echo", data=b"\0\0\0\0\1a").status == 0
    with tls(server, certificate, ["h2", "http/1.1"]) as connection:
        assert connection.selected_alpn_protocol() == "h2"
    # Without TLS, and with TLS where there is none.
    port = int(server.ready["grpcs"].rpartition(":")[2])
    for data in (client.PREFACE + frame(client.SETTINGS), b"GET / HTTP/1.1\r\n\r\n", os.urandom(500)):
        with socket.create_connection(("127.0.0.1", port), timeout=20 * SLOWNESS) as plain:
            plain.sendall(data)
            plain.shutdown(1)
            read_all(plain)
    with connect(server, credentials=grpc.ssl_channel_credentials(certificate.read_bytes())) as echo:
        assert fails(lambda: echo.unary("Echo")(b"", timeout=5)).code() is grpc.StatusCode.UNAVAILABLE
