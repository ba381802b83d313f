#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""call.py BUNDLE LOG_DIRECTORY: what connectconformance starts in client mode.

Runs Perilune with the bundle, hands each ClientCompatRequest of stdin to it, and writes its ClientCompatResponse to stdout."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from concurrent import futures
from pathlib import Path

import grpc

PATH = "/perilune.conformance.Driver/Run"
AT_ONCE = 16


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def fields(data):
    """{number: value} of a message with integers and bytes; the last one of each number."""
    found, at = {}, 0
    while at < len(data):
        key, at = varint(data, at)
        value, at = varint(data, at)
        if key & 7 == 2:
            value, at = data[at : at + value], at + value
        found[key >> 3] = value
    return found


def file_of(directory, pem):
    path = directory / (hashlib.sha256(pem).hexdigest()[:16] + ".pem")
    if not path.exists():
        part = path.with_suffix(f".{threading.get_ident()}")
        part.write_bytes(pem)
        part.replace(path)
    return str(path)


def metadata_of(directory, request):
    """Where the files of TLS are."""
    known, metadata = fields(request), []
    if known.get(8):
        metadata.append(("ca", file_of(directory, known[8])))
    if known.get(9):
        credentials = fields(known[9])
        metadata.append(("certificate", file_of(directory, credentials[1])))
        metadata.append(("key", file_of(directory, credentials[2])))
    return metadata


def read_requests():
    while True:
        head = sys.stdin.buffer.read(4)
        if len(head) < 4:
            return
        yield sys.stdin.buffer.read(int.from_bytes(head, "big"))


def main():
    bundle, logs = sys.argv[1:]
    directory = Path(tempfile.mkdtemp(dir=logs))
    command = [
        os.environ["PERILUNE"],
        "run",
        bundle,
        "--no-watch",
        "--http",
        "127.0.0.1:0",
        "--grpc",
        "127.0.0.1:0",
        "--workers",
        "1",
    ]
    with (directory / "client.log").open("wb") as log:
        server = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log)
    lock = threading.Lock()
    address = json.loads(server.stdout.readline())["grpc"]
    options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    with grpc.insecure_channel(address, options=options) as channel, futures.ThreadPoolExecutor(AT_ONCE) as pool:
        run = channel.unary_unary(PATH, lambda data: data, lambda data: data)

        def one(request):
            response = run(request, metadata=metadata_of(directory, request))
            with lock:
                sys.stdout.buffer.write(len(response).to_bytes(4, "big") + response)
                sys.stdout.buffer.flush()

        for done in [pool.submit(one, request) for request in read_requests()]:
            done.result()
    server.send_signal(signal.SIGTERM)
    return server.wait()


if __name__ == "__main__":
    sys.exit(main())
