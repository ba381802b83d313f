#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""serve.py BUNDLE LOG_DIRECTORY: what connectconformance starts in server mode. HTTP/1.1 goes to the HTTP port, HTTP/2 to that of
gRPC, or, with HTTP_2=http in the environment, to the HTTP port as well.

Reads a ServerCompatRequest from stdin, runs Perilune with the bundle as it says, and answers with a ServerCompatResponse. Both
are a few fields, each behind its length: they are read and written here by hand, so that the wrapper needs no library."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

HTTP_1 = 1


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def fields(data):
    """{number: value} of a message with integers and bytes."""
    found, at = {}, 0
    while at < len(data):
        key, at = varint(data, at)
        value, at = varint(data, at)
        if key & 7 == 2:
            value, at = data[at : at + value], at + value
        found[key >> 3] = value
    return found


def number(value):
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def text(field, value):
    return number(field << 3 | 2) + number(len(value)) + value


def read_request():
    size = int.from_bytes(sys.stdin.buffer.read(4), "big")
    return fields(sys.stdin.buffer.read(size))


def write_response(host, port, certificate):
    message = text(1, host.encode()) + number(2 << 3) + number(port) + (text(3, certificate) if certificate else b"")
    sys.stdout.buffer.write(len(message).to_bytes(4, "big") + message)
    sys.stdout.buffer.flush()


def flags(request, directory):
    """The program's flags, and the name of the address in its ready line that serves what is asked for."""
    version, tls, ca, credentials = (request.get(key) for key in (2, 4, 5, 7))
    on_http = version == HTTP_1 or os.environ.get("HTTP_2") == "http"
    if not tls:
        both = ["--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0"]
        return both, "http" if on_http else "grpc"
    credentials = fields(credentials)
    (directory / "cert.pem").write_bytes(credentials[1])
    (directory / "key.pem").write_bytes(credentials[2])
    both = ["--http", "127.0.0.1:0", "--https", "127.0.0.1:0", "--grpc", "off", "--grpcs", "127.0.0.1:0"]
    both += ["--tls-cert", directory / "cert.pem", "--tls-key", directory / "key.pem"]
    if ca:
        (directory / "ca.pem").write_bytes(ca)
        both += ["--https-client-ca", directory / "ca.pem", "--grpc-client-ca", directory / "ca.pem"]
    return both, "https" if on_http else "grpcs"


def main():
    bundle, logs = sys.argv[1:]
    request = read_request()
    with tempfile.TemporaryDirectory() as directory:
        more, address = flags(request, Path(directory))
        command = ["setpriv", "--pdeathsig", "KILL", os.environ["PERILUNE"], "run", bundle, "--workers", "1", "--no-watch"]
        command += ["--admin", Path(directory) / "admin", "--drain", "1", *more]
        limit = request.get(6)
        env = os.environ | ({"MAX_MESSAGE": str(limit)} if limit else {})
        log = Path(logs) / f"server-{os.getpid()}.log"
        with log.open("wb") as stderr:
            server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, env=env)
        signal.signal(signal.SIGTERM, lambda *_: server.send_signal(signal.SIGTERM))
        line = server.stdout.readline()
        if not line:
            sys.exit(f"the server has not started: {log.read_text()}")
        ready = json.loads(line)
        host, _, port = ready[address].rpartition(":")
        write_response(host, int(port), fields(request[7])[1] if request.get(4) else None)
        sys.exit(server.wait())


main()
