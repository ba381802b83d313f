# SPDX-License-Identifier: MIT
"""JavaScript clients that people use, against examples/blog."""

import subprocess
from pathlib import Path

import pytest

from harness import PERILUNE, SLOWNESS, environment

CLIENTS = Path(__file__).parent / "clients"


def run(script, server, *arguments):
    command = ["node", str(CLIENTS / script), server.url, server.ready["admin"], *arguments]
    env = environment({"PERILUNE": PERILUNE, "CLIENT_TIMEOUT_S": str(20 * SLOWNESS)})
    result = subprocess.run(command, capture_output=True, text=True, timeout=60 * SLOWNESS, cwd=CLIENTS, env=env)
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == "ok"


@pytest.mark.parametrize("script", ["request.mjs", "apollo.mjs", "apollo4_defer.mjs"])
def test_client(start, blog, script):
    run(script, start(blog))


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize(
    "command", ["apollo3.mjs", "apollo4_websocket.mjs", "apollo4_multipart.mjs", "urql.mjs", "sse.mjs", "sse.mjs single"]
)
def test_subscribing_client(start, blog, command, workers):
    """Queries, errors, mutations with the cache after them, and subscriptions with a reload in between."""
    script, *arguments = command.split()
    run(script, start(blog, workers=workers), *arguments)
