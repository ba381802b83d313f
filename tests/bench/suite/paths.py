# SPDX-License-Identifier: MIT
"""Where things are, and what ends a run."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
OUT = ROOT / "build" / "bench"
WORK = Path(os.environ.get("BENCH_WORK", OUT / "work"))
PEERS = OUT / "peers"
BUNDLES = ROOT / "tests" / "bench" / "bundles"
# Always the release build, unless the suite itself is tested.
PERILUNE = Path(os.environ.get("BENCH_PERILUNE", ROOT / "build" / "perilune"))
# Of the same build as the server: limits and load generators.
PROGRAMS = Path(os.environ.get("BENCH_PROGRAMS", PERILUNE.parent / "tests" / "bench"))


class Failed(Exception):
    """What a run ends with: a text for the person who started it."""


def work_dir(name):
    """A folder for what a family of cases writes: requests, logs, databases."""
    folder = WORK / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder
