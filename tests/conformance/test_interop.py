# SPDX-License-Identifier: MIT
"""gRPC's interoperability cases, by grpc-go's client against a bundle."""

import subprocess
from pathlib import Path

import pytest

from harness import SLOWNESS, go_tool

BUNDLE = Path(__file__).parent / "interop"
CASES = [
    "empty_unary",
    "large_unary",
    "client_streaming",
    "server_streaming",
    "ping_pong",
    "empty_stream",
    "custom_metadata",
    "status_code_and_message",
    "special_status_message",
    "unimplemented_method",
    "unimplemented_service",
    "cancel_after_begin",
    "cancel_after_first_response",
    "timeout_on_sleeping_server",
]


@pytest.fixture(scope="module")
def server(start_shared):
    return start_shared(BUNDLE, "--grpc", "127.0.0.1:0")


@pytest.mark.parametrize("case", CASES)
def test_interop(server, case):
    host, _, port = server.ready["grpc"].rpartition(":")
    command = [go_tool("client"), f"--server_host={host}", f"--server_port={port}", f"--test_case={case}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30 * SLOWNESS)
    assert done.returncode == 0, done.stderr[-4000:]
