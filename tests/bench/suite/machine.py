# SPDX-License-Identifier: MIT
"""What a run was made on, and with."""

import os
import platform
import re
import resource
import subprocess
from pathlib import Path

from .paths import PERILUNE, ROOT, Failed


def first(pattern, text, default="unknown"):
    found = re.search(pattern, text, re.M)
    return found.group(1).strip() if found else default


def printed(*command):
    """What a program prints, or nothing when it is not there."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    except OSError:
        return ""
    return done.stdout + done.stderr


def describe():
    cpu, memory = Path("/proc/cpuinfo").read_text(), Path("/proc/meminfo").read_text()
    return {
        "processor": first(r"^model name\s*:\s*(.*)$", cpu),
        "cores": os.cpu_count(),
        "memory_gb": round(int(first(r"^MemTotal:\s*(\d+)", memory, "0")) / 1e6, 1),
        "system": first(r'^PRETTY_NAME="?([^"\n]*)', Path("/etc/os-release").read_text()),
        "kernel": platform.release(),
        "load_before": round(os.getloadavg()[0], 2),
    }


def versions():
    """Of what is measured and of what measures."""
    found = {
        "perilune": printed(str(PERILUNE), "--version").strip().removeprefix("perilune "),
        "commit": printed("git", "-C", str(ROOT), "describe", "--always", "--dirty").strip(),
        "wrk": first(r"^wrk (\S+)", printed("wrk", "-v")),
        "h2load": first(r"nghttp2/(\S+)", printed("h2load", "--version")),
    }
    for name, package in (
        ("libh2o", "libh2o-evloop-dev"),
        ("nghttp2", "libnghttp2-dev"),
        ("librdkafka", "librdkafka-dev"),
        ("Lua", "liblua5.4-dev"),
    ):
        found[name] = printed("dpkg-query", "-W", "-f=${Version}", package).strip() or "unknown"
    return found


def raise_files(wanted):
    """Lets this process and its children open so many files, or as many as they may. Gives how many that are."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def prepare():
    """The suite itself stays off the servers' core."""
    if (os.cpu_count() or 1) < 2 or not {0, 1} <= os.sched_getaffinity(0):
        raise Failed("needs two cores, 0 for the server and 1 for the load")
    os.sched_setaffinity(0, os.sched_getaffinity(0) - {0})
