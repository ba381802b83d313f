# SPDX-License-Identifier: MIT
import fcntl
import itertools

import pytest

from crashes import pytest_configure, pytest_runtest_protocol, pytest_xdist_make_scheduler  # noqa: F401
from harness import ROOT, VARIANT, Server, copy_example, environment, run, write_bundle
from results import pytest_runtest_logreport, pytest_sessionfinish  # noqa: F401


@pytest.fixture
def bundle(tmp_path):
    """bundle({path: text}) writes a bundle and returns its directory."""
    numbers = itertools.count(1)

    def make(files):
        return write_bundle(tmp_path / f"bundle{next(numbers)}", files)

    return make


def _starter(directory):
    """A factory of servers, and the list of what it started."""
    servers = []

    def start(source, *flags, **options):
        if isinstance(source, dict):
            source = write_bundle(directory / f"bundle-{len(servers)}", source)
        server = Server(source, directory / f"server-{len(servers)}.log", *flags, **options)
        servers.append(server)
        return server.start()

    return start, servers


def _stop(servers):
    try:
        for server in servers:
            server.stop()
    finally:
        for server in servers:
            server.kill()


@pytest.fixture
def start(tmp_path):
    """start(bundle directory or {path: text}, flags..., workers=, env=) runs a server until the test ends."""
    factory, servers = _starter(tmp_path)
    yield factory
    _stop(servers)


@pytest.fixture(scope="module")
def start_shared(tmp_path_factory, request):
    """As start, for servers that all tests of a module share."""
    factory, servers = _starter(tmp_path_factory.mktemp(request.module.__name__.rpartition(".")[2]))
    yield factory
    _stop(servers)


@pytest.fixture
def blog(tmp_path):
    """A copy of examples/blog."""
    return copy_example("blog", tmp_path)


@pytest.fixture(scope="session")
def installed(tmp_path_factory):
    """Where `make install` has put everything, and an environment in which pkg-config finds it there."""
    folder = tmp_path_factory.mktemp("installed")
    # One process at a time: should the library not be there yet, make links it.
    with (ROOT / "build" / "install.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        run("make", "-C", ROOT, "install", f"VARIANT={VARIANT}", f"DESTDIR={folder}", "PREFIX=/opt/perilune")
    prefix = folder / "opt" / "perilune"
    sanitize = {"asan": "-fsanitize=address,undefined", "tsan": "-fsanitize=thread"}.get(VARIANT, "")
    env = environment() | {
        "PKG_CONFIG_PATH": str(prefix / "lib" / "pkgconfig"),
        "PKG_CONFIG_SYSROOT_DIR": str(folder),
        "LD_LIBRARY_PATH": str(prefix / "lib"),
        "CFLAGS": f"-O1 -g {sanitize}",
        "LDFLAGS": sanitize,
    }
    return prefix, env


@pytest.fixture(scope="session")
def kafka(tmp_path_factory):
    """One node of Apache Kafka, which all tests of a run share: see kafka.topic() and kafka.name()."""
    from kafka import Kafka  # here, so that a run without it needs neither Java nor a client

    cluster = Kafka(tmp_path_factory.mktemp("kafka"))
    yield cluster
    cluster.stop()
