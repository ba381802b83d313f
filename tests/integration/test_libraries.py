# SPDX-License-Identifier: MIT
"""Libraries that are written in Lua, tested in Lua: the bundle `libraries`, run by `perilune test`."""

import shutil
from pathlib import Path

import pytest

from harness import SLOWNESS, run_cli

pytestmark = pytest.mark.core


def test_the_libraries_own_tests_pass(tmp_path):
    bundle = tmp_path / "bundle"
    shutil.copytree(Path(__file__).parent / "libraries", bundle)
    result = run_cli("test", bundle, timeout=60 * SLOWNESS)
    assert result.returncode == 0, result.stdout + result.stderr
    assert ", 0 failed" in result.stdout
    assert not list(bundle.glob("libraries.db*"))  # tests have databases of their own
