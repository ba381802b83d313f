# SPDX-License-Identifier: MIT
"""The load generators of the benchmark count what they should, and end with an error when anything is lost, wrong or twice."""

import base64
import contextlib
import hashlib
import json
import os
import re
import socket
import struct
import subprocess
import threading

import pytest

from harness import ROOT

LOAD = ROOT / "tests" / "bench" / "load"
BUNDLES = ROOT / "tests" / "bench" / "bundles"


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    folder = tmp_path_factory.mktemp("load")
    for name in ("subscribers", "pingpong"):
        command = ["gcc", "-std=gnu17", "-D_GNU_SOURCE", "-O1", LOAD / f"{name}.c", "-o", folder / name, "-lnghttp2"]
        subprocess.run(command, check=True, timeout=60)
    return lambda name: folder / name


def run(*command, patience=30):
    env = os.environ | {"LOAD_PATIENCE": str(patience)}
    return subprocess.run(list(map(str, command)), env=env, capture_output=True, text=True, timeout=100)


def figures(done):
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_subscribers_of_the_real_server(program, start):
    server = start(BUNDLES / "graphql")
    lines = figures(run(program("subscribers"), server.ready["http"], 200, 3))
    assert len(lines) == 3
    for line in lines:
        assert line["connected"] == 200 and 0 < line["first_us"] <= line["median_us"] <= line["last_us"]


@pytest.mark.parametrize("mode", ["chat", "stream"])
def test_messages_of_the_real_server(program, start, mode):
    server = start(BUNDLES / "grpc", "--grpc", "127.0.0.1:0")
    [line] = figures(run(program("pingpong"), server.ready["grpc"], 1, 2, 8, mode))
    assert line["messages"] > 0 and line["seconds"] >= 1


class Subscriptions:
    """A server of three subscriptions; `give(n, text)` makes what its subscriber number n is sent for a publication."""

    def __init__(self, give):
        self.give, self.lock = give, threading.Condition()
        self.subscribers, self.publications = [], 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            one, _ = self.listener.accept()
            threading.Thread(target=self.serve, args=(one, one.makefile("rb")), daemon=True).start()

    def serve(self, sock, stream):
        with sock, contextlib.suppress(OSError):
            while line := stream.readline():
                headers = dict(part.decode().strip().split(": ", 1) for part in iter(stream.readline, b"\r\n"))
                if line.startswith(b"GET"):
                    return self.websocket(sock, stream, headers)
                self.publish(sock, stream.read(int(headers["Content-Length"])))
        return None

    def websocket(self, sock, stream, headers):
        accept = base64.b64encode(
            hashlib.sha1(f"{headers['Sec-WebSocket-Key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode()).digest()
        )
        sock.sendall(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n"
            b"Sec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n" % accept
        )
        while head := stream.read(2):
            size = head[1] & 0x7F
            if size == 126:
                (size,) = struct.unpack("!H", stream.read(2))
            mask, masked = stream.read(4), stream.read(size)
            text = bytes(byte ^ mask[i % 4] for i, byte in enumerate(masked))
            if head[0] & 15 == 8:
                sock.sendall(b"\x88\x02\x03\xe8")
                return
            if head[0] & 15 == 1 and b"connection_init" in text:
                sock.sendall(frame('{"payload": {"type": "x"}, "type" : "connection_ack"}'))
            elif head[0] & 15 == 1:
                with self.lock:
                    self.subscribers.append(sock)
                    self.lock.notify_all()

    def publish(self, sock, body):
        text = re.search(r'publish\(text: "(.*?)"\)', json.loads(body)["query"]).group(1)
        with self.lock:
            self.lock.wait_for(lambda: len(self.subscribers) == 3)
            self.publications += 1
            for number, one in enumerate(self.subscribers):
                one.sendall(self.give(number, text))
        answer = b'{"data":{"publish":true}}'
        sock.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(answer), answer))


def frame(text, opcode=0x81):
    head = bytes([opcode, len(text)]) if len(text) < 126 else struct.pack("!BBH", opcode, 126, len(text))
    return head + text.encode()


def following(text):
    return json.dumps({"id": "1", "type": "next", "payload": {"data": {"published": {"text": text}}, "extensions": {"a": ["}"]}}})


def usual(number, text):
    return frame(following(text))


def test_subscribers_take_what_servers_may_send(program):
    """Fragments with a ping between, long frames, probes that come to some only."""

    def give(number, text):
        message = following(text)
        if text.startswith("probe 1 "):
            return usual(number, text) if number == 1 else b""
        if number == 0:
            return (
                frame(message[:20], 0x01) + frame("are you there", 0x89) + frame(message[20:50], 0x00) + frame(message[50:], 0x80)
            )
        return frame(message + " " * 300)

    server = Subscriptions(give)
    lines = figures(run(program("subscribers"), server.address, 3, 2))
    assert [line["connected"] for line in lines] == [3, 3]
    assert server.publications >= 4


FAULTS = {
    "lost": (
        lambda n, text: b"" if n == 1 and "round 2" in text else usual(n, text),
        "round 2: 1 of 3 subscribers have received nothing",
    ),
    "twice": (
        lambda n, text: usual(n, text) * (2 if n == 2 and "round 1" in text else 1),
        'has received "round 1 of the benchmark" twice',
    ),
    "twice in the last round": (
        lambda n, text: usual(n, text) * (2 if n == 2 and "round 2" in text else 1),
        "twice|more than was published",
    ),
    "another text": (
        lambda n, text: usual(n, "something" if "round 2" in text else text),
        '"round 2 of the benchmark" was published',
    ),
    "never live": (lambda n, text: b"", "have received none of"),
    "closed": (
        lambda n, text: b"\x88\x04\x11\x30no" if "round 1" in text else usual(n, text),
        "the server closes a connection: 4400 no",
    ),
    "masked": (lambda n, text: b"\x81\x81abcde", "masks its frames"),
    "an error": (
        lambda n, text: frame('{"id":"1","type":"error","payload":[]}'),
        'the server sends: {"id":"1","type":"error"',
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_subscribers_end_with_an_error(program, fault):
    give, message = FAULTS[fault]
    done = run(program("subscribers"), Subscriptions(give).address, 3, 2, patience=2)
    assert done.returncode == 1
    assert re.search(message.replace("(", r"\("), done.stderr), done.stderr


def test_more_subscribers_than_files(program):
    done = run(program("subscribers"), "127.0.0.1:1", 1000000, 1)
    assert done.returncode == 1 and "the hard limit is" in done.stderr
