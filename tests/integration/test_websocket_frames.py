# SPDX-License-Identifier: MIT
"""RFC 6455 on the wire: what a peer may send, how it may cut it, and with which code the rest is closed."""

import json
import os
import struct

import pytest

from harness import MEASURED, SLOWNESS, wait_until

pytestmark = pytest.mark.core

BUNDLE = {
    "app.lua": "return { http = { websocket = { max_message = 10000 } } }",
    "schema/schema.graphql": "type Query { hello: String! }",
    "resolvers/all.lua": 'return { Query = { hello = function() return "hello" end } }',
}
CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
FIN = 0x80
INIT = b'{"type":"connection_init"}'


@pytest.fixture(scope="module")
def server(start_shared):
    return start_shared(BUNDLE, env=MEASURED)


def frame(opcode, payload=b"", fin=True, reserved=0, masked=True, mask=b"\x01\x82\xf3\x04"):
    first = (FIN if fin else 0) | reserved << 4 | opcode
    length = len(payload)
    second = length if length < 126 else 126 if length < 65536 else 127
    extra = b"" if length < 126 else struct.pack(">H", length) if length < 65536 else struct.pack(">Q", length)
    if not masked:
        return bytes([first, second]) + extra + payload
    return bytes([first, second | 0x80]) + extra + mask + bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))


class Peer:
    """A connection that has been upgraded."""

    def __init__(self, server):
        self.socket = server.connect()
        self.data = b""
        self.socket.sendall(
            b"GET /graphql HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            b"Sec-WebSocket-Extensions: permessage-deflate\r\nSec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n"
        )
        while b"\r\n\r\n" not in self.data:
            self._more()
        head, _, self.data = self.data.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 "), head
        assert b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in head
        assert b"extensions" not in head.lower()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def _more(self):
        piece = self.socket.recv(65536)
        if not piece:
            raise EOFError
        self.data += piece

    def send(self, data):
        self.socket.sendall(data)

    def _take(self, count):
        while len(self.data) < count:
            self._more()
        taken, self.data = self.data[:count], self.data[count:]
        return taken

    def read(self):
        """(opcode, payload); the server sends whole frames without a mask."""
        first, second = self._take(2)
        assert first & 0xF0 == FIN and not second & 0x80
        length = second
        if second >= 126:
            length = int.from_bytes(self._take(2 if second == 126 else 8), "big")
        return first & 0xF, self._take(length)

    def read_close(self):
        """The code of the close frame, after which the connection ends."""
        while True:
            opcode, payload = self.read()
            if opcode == CLOSE:
                break
        assert not self.data
        try:
            rest = self.socket.recv(1)
        except ConnectionResetError:
            rest = b""
        assert rest == b""
        return int.from_bytes(payload[:2], "big") if payload else None

    def acknowledge(self):
        opcode, payload = self.read()
        assert (opcode, json.loads(payload)["type"]) == (TEXT, "connection_ack")


def close_frame(code, reason=b""):
    return frame(CLOSE, struct.pack(">H", code) + reason)


BROKEN = {
    "not masked": (frame(TEXT, INIT, masked=False), 1002),
    **{f"reserved bits {bits:03b}": (frame(TEXT, INIT, reserved=bits), 1002) for bits in range(1, 8)},
    **{f"opcode {opcode}": (frame(opcode), 1002) for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)},
    "ping in fragments": (frame(PING, b"a", fin=False), 1002),
    "close in fragments": (frame(CLOSE, b"", fin=False), 1002),
    "ping of 126 bytes": (frame(PING, bytes(126)), 1002),
    "continuation of nothing": (frame(CONTINUATION, b"a"), 1002),
    "unfinished continuation of nothing": (frame(CONTINUATION, b"a", fin=False), 1002),
    "message within a message": (frame(TEXT, b"{", fin=False) + frame(TEXT, b"}"), 1002),
    "length in two bytes that fits one": (b"\x81\xfe\x00\x05" + bytes(9), 1002),
    "length in eight bytes that fits two": (b"\x81\xff" + (65535).to_bytes(8, "big") + bytes(4), 1002),
    "negative length": (b"\x81\xff" + (1 << 63).to_bytes(8, "big") + bytes(4), 1002),
    "half a close code": (frame(CLOSE, b"\x03"), 1002),
    **{f"close code {code}": (close_frame(code), 1002) for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535)},
    "close reason that is not UTF-8": (close_frame(1000, b"\xff"), 1007),
    "text that is not UTF-8": (frame(TEXT, b'{"type":"\xff"}'), 1007),
    "text that is cut within a character": (frame(TEXT, b"\xe2\x82"), 1007),
    "surrogate": (frame(TEXT, b"\xed\xa0\x80"), 1007),
    "overlong": (frame(TEXT, b"\xc0\xaf"), 1007),
    "beyond Unicode": (frame(TEXT, b"\xf4\x90\x80\x80"), 1007),
    "not UTF-8 in the second fragment": (frame(TEXT, b"a\xe2", fin=False) + frame(CONTINUATION, b"a", fin=False), 1007),
    "message of 10,001 bytes": (frame(TEXT, b" " * 10001), 1009),
    "message of 10,001 bytes in fragments": (frame(TEXT, b" " * 10000, fin=False) + frame(CONTINUATION, b" "), 1009),
    "message of 2^62 bytes": (b"\x82\xff" + (1 << 62).to_bytes(8, "big") + bytes(4), 1009),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_breaks_the_protocol_is_closed_with_its_code(server, name):
    data, code = BROKEN[name]
    with Peer(server) as peer:
        peer.send(data)
        assert peer.read_close() == code
    with Peer(server) as peer:
        for i in range(len(data)):
            try:
                peer.send(data[i : i + 1])
            except (BrokenPipeError, ConnectionResetError):
                break
        assert peer.read_close() == code


CODES = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999, None]


@pytest.mark.parametrize("code", CODES)
def test_a_close_is_answered_with_its_code(server, code):
    with Peer(server) as peer:
        peer.send(close_frame(code, "Auf Wiederschauen, Müller".encode()) if code else frame(CLOSE))
        peer.send(frame(TEXT, b"after the end") + frame(PING))
        assert peer.read_close() == code


def test_a_message_may_be_cut_anywhere(server):
    fragments = [frame(CONTINUATION if i else TEXT, INIT[i : i + 1], fin=i == len(INIT) - 1) for i in range(len(INIT))]
    empty_first = frame(TEXT, b"", fin=False) + frame(CONTINUATION, INIT)
    for data in (b"".join(fragments), frame(PING, b"between").join(fragments), empty_first):
        for size in (1, 2, 3, 7, len(data)):
            with Peer(server) as peer:
                for at in range(0, len(data), size):
                    peer.send(data[at : at + size])
                opcode, payload = peer.read()
                while opcode == PONG:
                    assert payload == b"between"
                    opcode, payload = peer.read()
                assert json.loads(payload)["type"] == "connection_ack"


def test_a_message_of_the_most_bytes_is_read(server):
    for length in (125, 126, 127, 9999, 10000):
        with Peer(server) as peer:
            peer.send(frame(TEXT, INIT + b" " * (length - len(INIT))))
            peer.acknowledge()


def test_pings_are_answered(server):
    with Peer(server) as peer:
        for length in (0, 1, 125):
            payload = os.urandom(length)
            peer.send(frame(PING, payload))
            assert peer.read() == (PONG, payload)
        peer.send(b"".join(frame(PING, b"%d" % i) for i in range(10)))
        assert [peer.read() for _ in range(10)] == [(PONG, b"%d" % i) for i in range(10)]
        peer.send(frame(PONG, b"not asked for") + frame(TEXT, INIT))
        peer.acknowledge()


def test_a_flood_of_pings_from_a_peer_that_does_not_read_takes_no_memory(server):
    with Peer(server) as peer, Peer(server) as other:
        flood = frame(PING, bytes(125)) * 1000
        peer.send(flood)
        other.send(frame(PING))
        assert other.read() == (PONG, b"")
        before = server.memory()
        for _ in range(200):
            peer.send(flood)  # 26 MB, whose answers would be as much, and would take several times as much as frames of their own
        other.send(frame(TEXT, INIT))
        other.acknowledge()  # all of it may not have been read, but others are served
        assert server.memory() - before < (8 << 20) * SLOWNESS
        peer.send(close_frame(1000))
        assert peer.read_close() == 1000


def test_connections_leave_nothing_behind(server):
    def websockets():
        return sum(worker["websockets"] for worker in server.status()["workers"])

    wait_until(lambda: websockets() == 0, what="no websockets")
    peers = [Peer(server) for _ in range(50)]
    assert websockets() == 50
    for i, peer in enumerate(peers):
        if i % 2:
            peer.send(frame(TEXT, b"{", fin=False))
        peer.socket.close()
    wait_until(lambda: websockets() == 0, what="no websockets")
