# SPDX-License-Identifier: MIT
"""A gRPC client of bytes (grpcio), and one that writes HTTP/2 frames by hand, for tests of services."""

import contextlib
import socket
import struct
from dataclasses import dataclass, field

import grpc
import hpack

from harness import SLOWNESS


def _same(message):
    return message


class Service:
    """Calls of a service's methods: messages are bytes. s.unary("Echo")(b"x", timeout=1)."""

    def __init__(self, channel, name="test.Echo"):
        self.channel, self.name = channel, name

    def _path(self, method):
        return f"/{self.name}/{method}"

    def unary(self, method):
        return self.channel.unary_unary(self._path(method), _same, _same)

    def server_stream(self, method):
        return self.channel.unary_stream(self._path(method), _same, _same)

    def client_stream(self, method):
        return self.channel.stream_unary(self._path(method), _same, _same)

    def bidi(self, method):
        return self.channel.stream_stream(self._path(method), _same, _same)


@contextlib.contextmanager
def connect(server, name="test.Echo", address=None, credentials=None, options=(), **channel_options):
    """A channel to a running server, as a Service."""
    target = address or server.ready["grpc"]
    options = [("grpc.enable_retries", 0), ("grpc.use_local_subchannel_pool", 1), *options]
    if credentials:
        channel = grpc.secure_channel(target, credentials, options=options, **channel_options)
    else:
        channel = grpc.insecure_channel(target, options=options, **channel_options)
    with channel:
        yield Service(channel, name)


def fails(call):
    """The error that call() raises."""
    try:
        call()
    except grpc.RpcError as error:
        return error
    raise AssertionError("the call has not failed")


# -- HTTP/2 by hand --
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0, 1, 2, 3, 4, 6, 7, 8, 9
END_STREAM, ACK, END_HEADERS = 1, 1, 4
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def frame(kind, flags=0, stream=0, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def literal(name, value):
    """A header field for HPACK, not indexed; short ones only."""
    return bytes([0, len(name)]) + name + bytes([len(value)]) + value


def request_block(path, *more):
    """POST over http, nothing indexed."""
    block = b"\x83\x86" + literal(b":authority", b"x") + literal(b":path", path)
    return block + literal(b"content-type", b"application/grpc") + b"".join(literal(*one) for one in more)


@dataclass
class Outcome:
    """What a server made of a request: status and headers of HTTP, trailers, and the error of a reset."""

    headers: dict = field(default_factory=dict)
    trailers: dict = field(default_factory=dict)
    data: bytes = b""
    reset: int | None = None

    @property
    def status(self):
        """grpc-status; None: there is none."""
        text = self.trailers.get("grpc-status", self.headers.get("grpc-status"))
        return None if text is None else int(text)


class Raw:
    """A connection on which a test says what it likes."""

    def __init__(self, server, connection=None):
        host, _, port = server.ready["grpc"].rpartition(":")
        self.socket = connection or socket.create_connection((host, int(port)), timeout=20 * SLOWNESS)
        self.buffer = b""
        self.decoder = hpack.Decoder()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def greet(self):
        self.send(PREFACE + frame(SETTINGS))
        return self

    def send(self, data):
        """False: the server has closed."""
        try:
            self.socket.sendall(data)
        except OSError:
            return False
        return True

    def frames(self):
        """Frames until the server closes: (type, flags, stream, payload)."""
        while True:
            while len(self.buffer) < 9 or len(self.buffer) < 9 + int.from_bytes(self.buffer[:3], "big"):
                try:
                    piece = self.socket.recv(65536)
                except ConnectionError:
                    return
                if not piece:
                    return
                self.buffer += piece
            length = int.from_bytes(self.buffer[:3], "big")
            kind, flags = self.buffer[3], self.buffer[4]
            stream = int.from_bytes(self.buffer[5:9], "big")
            payload, self.buffer = self.buffer[9 : 9 + length], self.buffer[9 + length :]
            yield kind, flags, stream, payload

    def goaway(self):
        """The error and the text of the GOAWAY that ends the connection; None: it was cut without one."""
        found = None
        for kind, _, _, payload in self.frames():
            if kind == GOAWAY:
                found = int.from_bytes(payload[4:8], "big"), payload[8:]
        return found

    def outcome(self, wanted):
        """The Outcome of a stream, when it has ended; None: the connection ended first. Others' answers are dropped."""
        found = Outcome()
        for kind, flags, stream, payload in self.frames():
            if kind == HEADERS:
                fields = dict(self.decoder.decode(payload))
                if stream == wanted and found.headers:
                    found.trailers = fields
                elif stream == wanted:
                    found.headers = fields
            elif kind == DATA and stream == wanted:
                found.data += payload
            elif kind == RST_STREAM and stream == wanted:
                found.reset = int.from_bytes(payload, "big")
                return found
            if stream == wanted and kind in (HEADERS, DATA) and flags & END_STREAM:
                return found
        return None

    def call(self, stream, path, *more, data=None):
        """A request with these further headers and bytes, and its Outcome."""
        if data is None:
            self.send(frame(HEADERS, END_HEADERS | END_STREAM, stream, request_block(path, *more)))
        else:
            self.send(frame(HEADERS, END_HEADERS, stream, request_block(path, *more)))
            for at in range(0, len(data), 16384):
                self.send(frame(DATA, 0, stream, data[at : at + 16384]))
            self.send(frame(DATA, END_STREAM, stream))
        return self.outcome(stream)
