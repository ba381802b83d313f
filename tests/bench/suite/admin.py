# SPDX-License-Identifier: MIT
"""Perilune's admin socket."""

import json
import socket
import time

from .paths import Failed


def command(path, name):
    """(the answer to a command, seconds that it took)"""
    begin, answer = time.perf_counter(), b""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as one:
        one.settimeout(60)
        one.connect(path)
        one.sendall(json.dumps({"command": name}).encode() + b"\n")
        while part := one.recv(65536):
            answer += part
    return json.loads(answer), time.perf_counter() - begin


def reload(path):
    """Seconds that it took."""
    answer, seconds = command(path, "reload")
    if answer.get("result") != "reloaded":
        raise Failed(f"reload: {answer}")
    return seconds


def reloads(path):
    """How many there have been."""
    return command(path, "status")[0]["reloads"]


def generations(path):
    """Those that are alive."""
    return command(path, "status")[0]["generations"]
