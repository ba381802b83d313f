# SPDX-License-Identifier: MIT
"""connectconformance in server mode: its client calls a bundle by each protocol there is. Every case has to pass."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from harness import PERILUNE, ROOT, SLOWNESS, environment, fail_on_sanitizer_report, go_tool

HERE = Path(__file__).parent / "connect"
GRPC = """
features:
  versions: [HTTP_VERSION_2]
  protocols: [PROTOCOL_GRPC]
  codecs: [CODEC_PROTO]
  compressions: [COMPRESSION_IDENTITY, COMPRESSION_GZIP, COMPRESSION_DEFLATE, COMPRESSION_ZSTD]
  supportsTlsClientCerts: true
"""


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """The bundle, with the service's own .proto files."""
    directory = tmp_path_factory.mktemp("connect") / "bundle"
    shutil.copytree(HERE, directory, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    shutil.copytree(ROOT / "build" / "go" / "proto", directory / "proto")
    return directory


def run(bundle, tmp_path, config):
    """Runs the cases of a configuration: how many there were."""
    (tmp_path / "config.yaml").write_text(config)
    wrapper = [sys.executable, str(HERE / "serve.py"), str(bundle), str(tmp_path)]
    command = [go_tool("connectconformance"), "--mode", "server", "--conf", str(tmp_path / "config.yaml"), "-v", "--trace"]
    command += ["--max-servers", "2", "--", *wrapper]
    done = subprocess.run(
        command, env=environment({"PERILUNE": os.path.abspath(PERILUNE)}), capture_output=True, text=True, timeout=100 * SLOWNESS
    )
    for log in tmp_path.glob("server-*.log"):
        fail_on_sanitizer_report(log.read_text(errors="replace"))
    assert done.returncode == 0, (done.stdout + done.stderr)[-20000:]
    return int(re.search(r"(\d+) passed", done.stdout + done.stderr).group(1))


@pytest.mark.timeout(120 * SLOWNESS)
def test_grpc(bundle, tmp_path):
    assert run(bundle, tmp_path, GRPC) > 1000
