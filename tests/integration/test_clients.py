# SPDX-License-Identifier: MIT
"""JavaScript clients that people use, against examples/blog."""

import subprocess
from pathlib import Path

import pytest

from harness import SLOWNESS

CLIENTS = Path(__file__).parent / "clients"


@pytest.mark.parametrize("script", ["request.mjs", "apollo.mjs"])
def test_client(start, blog, script):
    server = start(blog)
    result = subprocess.run(
        ["node", str(CLIENTS / script), server.url], capture_output=True, text=True, timeout=60 * SLOWNESS, cwd=CLIENTS
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == "ok"
