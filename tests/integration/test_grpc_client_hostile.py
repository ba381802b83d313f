# SPDX-License-Identifier: MIT
"""perilune.grpc and servers that misbehave: HTTP/2 by hand."""

import contextlib
import socket
import struct
import threading
import time

import pytest

from grpc_backend import DRIVER, failed, ran, run
from grpc_client import ACK, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, PREFACE, RST_STREAM, SETTINGS, frame, literal
from harness import MEASURED, SLOWNESS, wait_until

OK = b"\x88" + literal(b"content-type", b"application/grpc")
TRAILERS = literal(b"grpc-status", b"0")
ITEM = b"\0\0\0\0\3\x0a\1x"  # a message: { text = "x" }


@pytest.fixture(scope="module")
def server(start_shared):
    return start_shared(DRIVER, env=MEASURED)


class Peer:
    """One connection of a client, seen from a server that is written by hand."""

    def __init__(self, connection):
        self.connection, self.data = connection, b""
        connection.settimeout(30 * SLOWNESS)

    def read(self, count):
        while len(self.data) < count:
            piece = self.connection.recv(65536)
            if not piece:
                raise EOFError
            self.data += piece
        taken, self.data = self.data[:count], self.data[count:]
        return taken

    def frame(self):
        head = self.read(9)
        length = int.from_bytes(head[:3], "big")
        return head[3], head[4], int.from_bytes(head[5:9], "big"), self.read(length)

    def until(self, kind, stream=None):
        """The next frame of that kind."""
        while True:
            one = self.frame()
            if one[0] == kind and (stream is None or one[2] == stream):
                return one

    def send(self, *frames):
        self.connection.sendall(b"".join(frames))

    def greet(self, settings=b""):
        assert self.read(len(PREFACE)) == PREFACE
        self.send(frame(SETTINGS, payload=settings))
        return self

    def closed(self):
        with contextlib.suppress(EOFError, ConnectionError):
            while True:
                self.frame()


@contextlib.contextmanager
def serving(talk):
    """Listens; talk(peer) runs for each connection."""
    listener = socket.create_server(("127.0.0.1", 0))

    def one(connection):
        with connection, contextlib.suppress(EOFError, ConnectionError, TimeoutError):
            talk(Peer(connection))

    def accept():
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=one, args=(listener.accept()[0],), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    yield f"127.0.0.1:{listener.getsockname()[1]}"
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join(10 * SLOWNESS)


ECHO = "return client(...):Echo({ text = 'x' }, { timeout = 60 }).text"


def answering(*frames):
    """A server that answers each request on stream 1 so."""

    def talk(peer):
        peer.greet()
        peer.until(DATA)
        peer.send(*frames)
        peer.closed()

    return talk


def code_of(server, talk, code=ECHO):
    with serving(talk) as address:
        answer = failed(server, code, address)
    return answer["code"], answer["message"]


def test_a_sound_answer(server):
    whole = answering(
        frame(HEADERS, END_HEADERS, 1, OK), frame(DATA, 0, 1, ITEM), frame(HEADERS, END_HEADERS | END_STREAM, 1, TRAILERS)
    )
    with serving(whole) as address:
        assert ran(server, ECHO, address) == "x"


def test_bytes_in_small_pieces(server):
    def talk(peer):
        peer.greet()
        peer.until(DATA)
        answer = frame(HEADERS, END_HEADERS, 1, OK)
        for i in range(len(ITEM)):
            answer += frame(DATA, 0, 1, ITEM[i : i + 1])
        answer += frame(HEADERS, END_HEADERS | END_STREAM, 1, TRAILERS)
        for i in range(len(answer)):
            peer.send(answer[i : i + 1])
        peer.closed()

    with serving(talk) as address:
        assert ran(server, ECHO, address) == "x"


@pytest.mark.core
def test_answers_that_are_none(server):
    def headers(*fields, end=True):
        block = b"".join(literal(*one) for one in fields)
        return frame(HEADERS, END_HEADERS | (END_STREAM if end else 0), 1, block)

    status = (b":status", b"200")
    kind = (b"content-type", b"application/grpc")
    for frames, code, words in [
        ([headers((b":status", b"503"))], "UNAVAILABLE", "HTTP status 503"),
        ([headers((b":status", b"404"))], "UNIMPLEMENTED", "HTTP status 404"),
        ([headers((b":status", b"502"), end=False)], "UNAVAILABLE", "HTTP status 502"),
        ([headers(status, (b"content-type", b"text/html"))], "UNKNOWN", 'its content type is "text/html"'),
        ([headers(status, kind)], "INTERNAL", "without a status"),
        ([headers(status, kind, (b"grpc-status", b"0"))], "UNIMPLEMENTED", "no response"),
        ([headers(status, kind, (b"grpc-status", b"xy"))], "UNKNOWN", ""),
        ([headers(status, kind, (b"grpc-status", b"5"), (b"grpc-message", b"%zz%e4%"))], "NOT_FOUND", "%zz"),
        ([headers((b":status", b"503"), kind, (b"grpc-status", b"5"))], "NOT_FOUND", ""),
        ([frame(RST_STREAM, 0, 1, struct.pack(">I", 8))], "CANCELLED", "reset"),
        ([frame(RST_STREAM, 0, 1, struct.pack(">I", 11))], "RESOURCE_EXHAUSTED", "reset"),
        ([frame(RST_STREAM, 0, 1, struct.pack(">I", 0))], "INTERNAL", "reset"),
    ]:
        got = code_of(server, answering(*frames))
        assert got[0] == code, (frames, got)
        assert words in got[1], (frames, got)


def test_messages_that_are_none(server):
    begin, end = frame(HEADERS, END_HEADERS, 1, OK), frame(HEADERS, END_HEADERS | END_STREAM, 1, TRAILERS)
    for data, code, words in [
        (b"\2\0\0\0\0", "INTERNAL", "flags"),
        (b"\1\0\0\0\0", "INTERNAL", "named no compression"),
        (b"\0\0\0\0\5\x0a\1x", "INTERNAL", "in the middle of a message"),
        (b"\0\xff\xff\xff\xff", "RESOURCE_EXHAUSTED", "4294967295 bytes"),
        (b"\0\0\0\0\1\xff", "INTERNAL", "cannot be read"),
        (ITEM + ITEM, "UNIMPLEMENTED", "more than one response"),
    ]:
        got = code_of(server, answering(begin, frame(DATA, 0, 1, data), end))
        assert got[0] == code, (data, got)
        assert words in got[1], (data, got)


def test_codings_that_are_none(server):
    end = frame(HEADERS, END_HEADERS | END_STREAM, 1, TRAILERS)
    for coding, data, code, words in [
        (b"br", b"\1\0\0\0\1x", "INTERNAL", "not offered"),
        (b"gzip", b"\1\0\0\0\1x", "INTERNAL", ""),
    ]:
        begin = frame(HEADERS, END_HEADERS, 1, OK + literal(b"grpc-encoding", coding))
        got = code_of(server, answering(begin, frame(DATA, 0, 1, data), end))
        assert got[0] == code, got
        assert words in got[1], got


def test_a_server_of_something_else(server):
    def http1(peer):
        peer.read(len(PREFACE))
        peer.send(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        peer.closed()

    def noise(peer):
        peer.send(bytes(range(256)) * 40)
        peer.closed()

    def leaves(peer):
        peer.read(3)

    for talk in (http1, noise):
        code, message = code_of(server, talk)
        assert code == "UNAVAILABLE"
        assert "does not speak HTTP/2" in message
    assert code_of(server, leaves)[0] == "UNAVAILABLE"


@pytest.mark.core
def test_a_server_that_never_says_anything(server):
    def silent(peer):
        peer.closed()

    code = "return grpc.client(..., 'test.v1.Test', { connect_timeout = 0.3 }):Echo({}, { timeout = 60 })"
    code, message = code_of(server, silent, code)
    assert (code, "has not begun to speak HTTP/2" in message) == ("UNAVAILABLE", True)
    code = "return client(...):Echo({}, { timeout = 0.3 })"
    assert code_of(server, silent, code)[0] == "DEADLINE_EXCEEDED"


def test_a_server_that_never_answers(server):
    reset = threading.Event()

    def silent(peer):
        peer.greet()
        peer.until(RST_STREAM)
        reset.set()
        peer.closed()

    code = f"return client(...):Echo({{}}, {{ timeout = {SLOWNESS} }})"
    with serving(silent) as address:
        assert failed(server, code, address)["code"] == "DEADLINE_EXCEEDED"
        assert reset.wait(10 * SLOWNESS)


def test_a_server_whose_deadline_is_over_first(server):
    def resets(peer):
        peer.greet()
        peer.until(DATA)
        time.sleep(0.49)
        peer.send(frame(RST_STREAM, 0, 1, struct.pack(">I", 8)))
        peer.closed()

    code = "return client(...):Echo({}, { timeout = 0.5 })"
    assert code_of(server, resets, code)[0] == "DEADLINE_EXCEEDED"


def test_keepalive_finds_the_dead(server):
    pings = []

    def dead(peer):
        peer.greet()
        pings.append(peer.until(PING))
        peer.closed()

    def alive(peer):
        peer.greet()
        for _ in range(3):
            pings.append(peer.until(PING))
            peer.send(frame(PING, ACK, 0, pings[-1][3]))
        peer.send(frame(HEADERS, END_HEADERS, 1, OK), frame(DATA, 0, 1, ITEM))
        peer.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, TRAILERS))
        peer.closed()

    code = (
        "return grpc.client(..., 'test.v1.Test', { keepalive = { time = 0.1, timeout = 0.3 } }):Echo({}, { timeout = 60 }).text"
    )
    code_, message = code_of(server, dead, code)
    assert (code_, "pings" in message) == ("UNAVAILABLE", True)
    with serving(alive) as address:
        assert ran(server, code.replace("timeout = 0.3", f"timeout = {20 * SLOWNESS}"), address) == "x"


def test_a_server_that_never_reads(server):
    """What a call sends waits in the script; memory is bounded."""

    def deaf(peer):
        peer.greet(struct.pack(">HI", 4, 65535))
        time.sleep(30 * SLOWNESS)

    code = """
local stream <close> = client(...):Sum({ timeout = 1 })
local data, sent = ("x"):rep(100000), 0
local ok, failure = pcall(function()
  for _ = 1, 10000 do
    stream:send { data = data }
    sent = sent + 1
  end
end)
return { failure.code, sent }
"""
    with serving(deaf) as address:
        before = server.memory()
        code_, sent = ran(server, code, address)
        assert code_ == "DEADLINE_EXCEEDED"
        assert sent < 10
        assert server.memory() - before < 32e6 * SLOWNESS


def test_going_away(server):
    """What the server has not worked on is called again, elsewhere or on a new connection; what it has goes on."""
    connections = []

    def leaves(peer):
        connections.append(1)
        peer.greet()
        peer.until(DATA)
        if len(connections) == 1:  # refused: above the last stream
            peer.send(frame(GOAWAY, 0, 0, struct.pack(">II", 0, 0)))
        else:
            peer.send(frame(GOAWAY, 0, 0, struct.pack(">II", 1, 0)), frame(HEADERS, END_HEADERS, 1, OK))
            peer.send(frame(DATA, 0, 1, ITEM), frame(HEADERS, END_HEADERS | END_STREAM, 1, TRAILERS))
        peer.closed()

    code = "return client(...):Echo({ text = 'x' }, { timeout = 60, wait_for_ready = true }).text"
    with serving(leaves) as address:
        assert ran(server, code, address) == "x"
        assert len(connections) == 2
        assert ran(server, code, address) == "x"
        assert len(connections) == 3


def test_refused_streams_are_called_again_once(server):
    requests = []

    def refuses(peer):
        peer.greet()
        while True:
            _, _, stream, _ = peer.until(DATA)
            requests.append(stream)
            peer.send(frame(RST_STREAM, 0, stream, struct.pack(">I", 7)))

    assert code_of(server, refuses)[0] == "UNAVAILABLE"
    assert len(requests) == 2


def test_floods(server):
    """Frames without effect, and headers without end: the connection goes, and memory does not grow."""

    def settings(peer):
        peer.greet()
        peer.until(DATA)
        while True:
            peer.send(frame(SETTINGS) * 1000)

    def pings(peer):
        peer.greet()
        peer.until(DATA)
        while True:
            peer.send(frame(PING, 0, 0, bytes(8)) * 1000)

    def unknown(peer):
        peer.greet()
        peer.until(DATA)
        while True:
            peer.send(frame(0xEE, 0, 0, bytes(1000)) * 100)

    def endless(peer):
        peer.greet()
        peer.until(DATA)
        peer.send(frame(HEADERS, 0, 1, OK))
        while True:
            peer.send(frame(9, 0, 1, literal(b"a" * 100, b"b" * 100) * 50) * 10)

    before = server.memory()
    for talk in (settings, pings, unknown, endless):
        assert code_of(server, talk)[0] in ("UNAVAILABLE", "INTERNAL", "RESOURCE_EXHAUSTED")
    assert server.memory() - before < 32e6 * SLOWNESS


def test_large_headers(server):
    large = b"".join(literal(b"h%02d" % i, b"v" * 100) for i in range(200))
    code, message = code_of(server, answering(frame(HEADERS, END_HEADERS, 1, b"\x88"), frame(9, END_HEADERS, 1, b"")))
    block = b"\x88" + literal(b"content-type", b"application/grpc") + large
    pieces = [block[i : i + 16000] for i in range(0, len(block), 16000)]
    frames = [frame(HEADERS, 0, 1, pieces[0])]
    frames += [frame(9, END_HEADERS if one is pieces[-1] else 0, 1, one) for one in pieces[1:]]
    code, message = code_of(server, answering(*frames))
    assert (code, "too large" in message) == ("RESOURCE_EXHAUSTED", True)


def test_a_server_that_dies_within_an_answer(server):
    def dies(peer):
        peer.greet()
        peer.until(DATA)
        peer.send(frame(HEADERS, END_HEADERS, 1, OK), frame(DATA, 0, 1, ITEM))

    code = """
local stream = client(...):List {}
local first = stream:receive().text
local ok, failure = pcall(stream.receive, stream)
return { first, failure.code }
"""
    with serving(dies) as address:
        assert ran(server, code, address) == ["x", "UNAVAILABLE"]


def test_others_are_unaffected(server):
    """While one server hangs, calls to others go on."""

    def silent(peer):
        peer.greet()
        peer.closed()

    whole = answering(
        frame(HEADERS, END_HEADERS, 1, OK), frame(DATA, 0, 1, ITEM), frame(HEADERS, END_HEADERS | END_STREAM, 1, TRAILERS)
    )
    with serving(silent) as hanging, serving(whole) as sound:
        thread = threading.Thread(target=run, args=(server, "return client(...):Echo({}, { timeout = 1 })", hanging))
        thread.start()
        assert ran(server, ECHO, sound) == "x"
        thread.join()
    wait_until(lambda: ran(server, "return true"))
