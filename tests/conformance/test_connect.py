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
CONFIG = """
features:
  versions: [%s]
  protocols: [%s]
  codecs: [CODEC_PROTO, CODEC_JSON]
  compressions: [COMPRESSION_IDENTITY, COMPRESSION_GZIP, COMPRESSION_DEFLATE, COMPRESSION_ZSTD]
  supportsTlsClientCerts: true
  supportsHalfDuplexBidiOverHttp1: true
"""
# HTTP/2 on the HTTP port, where a request is handed over when all of it is there.
HALF_DUPLEX = """
features:
  versions: [HTTP_VERSION_2]
  protocols: [PROTOCOL_CONNECT, PROTOCOL_GRPC_WEB]
  codecs: [CODEC_PROTO, CODEC_JSON]
  compressions: [COMPRESSION_IDENTITY, COMPRESSION_GZIP]
  streamTypes: [STREAM_TYPE_UNARY, STREAM_TYPE_CLIENT_STREAM, STREAM_TYPE_SERVER_STREAM, STREAM_TYPE_HALF_DUPLEX_BIDI_STREAM]
  supportsTlsClientCerts: true
"""
SECONDS = 400 * SLOWNESS


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """The bundle, with the service's own .proto files."""
    directory = tmp_path_factory.mktemp("connect") / "bundle"
    shutil.copytree(HERE, directory, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    shutil.copytree(ROOT / "build" / "go" / "proto", directory / "proto")
    return directory


def run(bundle, tmp_path, config, port="grpc"):
    """Runs the cases of a configuration: how many there were."""
    (tmp_path / "config.yaml").write_text(config)
    wrapper = [sys.executable, str(HERE / "serve.py"), str(bundle), str(tmp_path)]
    command = [go_tool("connectconformance"), "--mode", "server", "--conf", str(tmp_path / "config.yaml"), "-v", "--trace"]
    command += ["--max-servers", "2", "--parallel", "16", "--", *wrapper]
    env = environment({"PERILUNE": os.path.abspath(PERILUNE), "HTTP_2": port})
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=SECONDS)
    for log in tmp_path.glob("server-*.log"):
        fail_on_sanitizer_report(log.read_text(errors="replace"))
    assert done.returncode == 0, (done.stdout + done.stderr)[-20000:]
    return int(re.search(r"(\d+) passed", done.stdout + done.stderr).group(1))


@pytest.mark.timeout(SECONDS + 20)
@pytest.mark.parametrize(
    "protocol, versions, cases",
    [
        ("PROTOCOL_GRPC", "HTTP_VERSION_2", 1532),
        ("PROTOCOL_GRPC_WEB", "HTTP_VERSION_1, HTTP_VERSION_2", 2560),
        ("PROTOCOL_CONNECT", "HTTP_VERSION_1, HTTP_VERSION_2", 3176),
    ],
)
def test_server(bundle, tmp_path, protocol, versions, cases):
    assert run(bundle, tmp_path, CONFIG % (versions, protocol)) == cases


@pytest.mark.timeout(SECONDS + 20)
def test_http_port(bundle, tmp_path):
    assert run(bundle, tmp_path, HALF_DUPLEX, port="http") == 1388
