# SPDX-License-Identifier: MIT
"""Runs the execution suite once more through the C API, without HTTP."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from suite import bundle_of, cases

PROGRAM = (
    Path(os.environ.get("PERILUNE", Path(__file__).resolve().parents[2] / "build" / "perilune")).parent / "conformance-c-api"
)


@pytest.mark.parametrize("workers", [0, 2])
def test_execution_suite_through_the_c_api(workers):
    work = []
    lines = []
    for schema in cases("graphql-execution"):
        plain = [case for case in schema["cases"] if not case.get("incremental")]
        work += [(schema["id"], case) for case in plain]
        requests = [{"query": case["query"], "variables": case.get("variables")} for case in plain]
        lines.append(json.dumps({"files": bundle_of(schema), "requests": requests}))
    command = [PROGRAM, str(workers)]
    done = subprocess.run(command, input="\n".join(lines) + "\n", capture_output=True, text=True, timeout=300, check=True)
    responses = done.stdout.splitlines()
    assert len(responses) == len(work)
    wrong = [
        (number, case["query"], response)
        for (number, case), response in zip(work, responses, strict=True)
        if json.dumps(json.loads(response)) != json.dumps(case["expected"])
    ]
    assert not wrong, f"{len(wrong)} of {len(work)} cases; the first: {wrong[0]}"
