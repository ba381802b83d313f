# SPDX-License-Identifier: MIT
"""connectconformance in client mode: perilune.grpc calls its servers, sound ones and others. Every case has to pass."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from harness import PERILUNE, ROOT, SLOWNESS, environment, fail_on_sanitizer_report, go_tool

HERE = Path(__file__).parent / "connect_client"
CONFIG = """
features:
  versions: [HTTP_VERSION_2]
  protocols: [PROTOCOL_GRPC]
  codecs: [CODEC_PROTO]
  compressions: [COMPRESSION_IDENTITY, COMPRESSION_GZIP, COMPRESSION_DEFLATE, COMPRESSION_ZSTD]
  supportsTlsClientCerts: true
  supportsMessageReceiveLimit: true
"""


@pytest.mark.timeout(120 * SLOWNESS)
def test_grpc(tmp_path):
    bundle = tmp_path / "bundle"
    shutil.copytree(HERE, bundle, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    shutil.copytree(ROOT / "build" / "go" / "proto", bundle / "proto")
    (tmp_path / "config.yaml").write_text(CONFIG)
    wrapper = [sys.executable, str(HERE / "call.py"), str(bundle), str(tmp_path)]
    command = [go_tool("connectconformance"), "--mode", "client", "--conf", str(tmp_path / "config.yaml"), "-v", "--", *wrapper]
    env = environment({"PERILUNE": os.path.abspath(PERILUNE)})
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=100 * SLOWNESS)
    for log in tmp_path.glob("*/client.log"):
        fail_on_sanitizer_report(log.read_text(errors="replace"))
    assert done.returncode == 0, (done.stdout + done.stderr)[-20000:]
    assert int(re.search(r"(\d+) passed", done.stdout + done.stderr).group(1)) > 1000
