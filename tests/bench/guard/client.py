# SPDX-License-Identifier: MIT
"""Clients that send one request after the other, always the same bytes in the same packets, so that a server's work for each
is the same. They know as much of HTTP/1.1 and HTTP/2 as that takes."""

import socket

HEADERS, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 1, 4, 6, 7, 8
END_STREAM, END_HEADERS, ACK = 1, 4, 1
WINDOW = 2**31 - 1


class Closed(Exception):
    """The server has closed the connection, or said that it will."""


def connect(address):
    host, port = address.rsplit(":", 1)
    connection = socket.create_connection((host, int(port)), timeout=60)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


class Http1:
    def __init__(self, address, path, headers, body):
        self.socket = connect(address)
        lines = [f"POST {path} HTTP/1.1", f"host: {address}", f"content-length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in headers]
        self.bytes = "\r\n".join([*lines, "", ""]).encode() + body

    def request(self):
        """The response, head and body."""
        self.socket.sendall(self.bytes)
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += self._receive()
        head, _, body = answer.partition(b"\r\n\r\n")
        length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        while len(body) < length:
            body += self._receive()
        return head + b"\r\n\r\n" + body

    def _receive(self):
        received = self.socket.recv(65536)
        if not received:
            raise Closed
        return received


def frame(kind, flags, stream, payload=b""):
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


class Http2:
    """Without TLS. The first request's headers go into the server's table, the others are indices into it, as a client's."""

    def __init__(self, address, path, headers, body):
        self.socket = connect(address)
        own = [(":method", "POST"), (":scheme", "http"), (":path", path), (":authority", address)]
        fields = [*own, ("content-length", str(len(body))), *headers]
        self.literal = b"".join(b"\x40" + text(name) + text(value) for name, value in fields)
        self.indexed = bytes(0x80 | 62 + i for i in reversed(range(len(fields))))
        self.body = body
        self.stream = -1
        self.received = b""
        settings = (4).to_bytes(2, "big") + WINDOW.to_bytes(4, "big")
        update = frame(WINDOW_UPDATE, 0, 0, (WINDOW - 65535).to_bytes(4, "big"))
        self.socket.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(SETTINGS, 0, 0, settings) + update)

    def request(self):
        """The payloads of the frames of the response."""
        self.stream += 2
        block = self.literal if self.stream == 1 else self.indexed
        data = frame(0, END_STREAM, self.stream, self.body)
        self.socket.sendall(frame(HEADERS, END_HEADERS, self.stream, block) + data)
        answer = b""
        while True:
            kind, flags, stream, payload = self._frame()
            if stream == self.stream:
                answer += payload
                if kind in (0, HEADERS) and flags & END_STREAM:
                    return answer
            elif kind in (SETTINGS, PING) and not flags & ACK:
                self.socket.sendall(frame(kind, ACK, 0, payload if kind == PING else b""))
            elif kind == GOAWAY:
                raise Closed(payload)

    def _frame(self):
        head = self._take(9)
        return head[3], head[4], int.from_bytes(head[5:9], "big"), self._take(int.from_bytes(head[:3], "big"))

    def _take(self, length):
        while len(self.received) < length:
            more = self.socket.recv(65536)
            if not more:
                raise Closed
            self.received += more
        taken, self.received = self.received[:length], self.received[length:]
        return taken


def text(value):
    return bytes([len(value)]) + value.encode()


def grpc(address, method, message):
    headers = [("content-type", "application/grpc"), ("te", "trailers"), ("user-agent", "guard")]
    return Http2(address, f"/{method}", headers, b"\0" + len(message).to_bytes(4, "big") + message)
