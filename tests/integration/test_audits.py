# SPDX-License-Identifier: MIT
"""GraphQL over HTTP as the `graphql-http` package audits it."""

import json
import subprocess
from pathlib import Path

from harness import SLOWNESS

CLIENTS = Path(__file__).parent / "clients"


def test_audits(start, blog):
    server = start(blog)
    command = ["node", str(CLIENTS / "audits.mjs"), server.url]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60 * SLOWNESS, cwd=CLIENTS)
    assert result.returncode == 0, result.stderr
    audits = json.loads(result.stdout)
    assert [audit for audit in audits if audit["status"] != "ok"] == []
    assert len(audits) == 61
