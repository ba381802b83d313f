# SPDX-License-Identifier: MIT
"""What gRPC clients call: names of DNS with several addresses, and services of Consul that come and go."""

import shlex
import socket
import subprocess

import pytest

import harness
from consul import Consul
from grpc_backend import DRIVER, Backend, failed, ran
from harness import run_cli, wait_until

SPREAD = """
local target, options, n = ...
local c = client(target, json.decode(options))
local seen, count = {}, 0
for _ = 1, tonumber(n) do
  local text = c:Echo({}, { timeout = 10 }).text
  seen[text] = (seen[text] or 0) + 1
end
return seen
"""
ROUND_ROBIN = '{"balance": "round_robin"}'


def backend(name, **options):
    """A server whose answers say who it is."""

    def echo(item, _context):
        item.text = name
        return item

    return Backend(Echo=echo, **options)


@pytest.fixture
def server(start):
    return start(DRIVER)


def seen(server, target, options=ROUND_ROBIN, calls=8):
    return ran(server, SPREAD, target, options, str(calls))


# -- Consul --
@pytest.mark.core
def test_instances_come_and_go(server):
    with Consul() as consul, backend("a") as a, backend("b") as b:
        consul.register("users", "a", a.port)
        target = f"consul://{consul.address}/users?wait=600"
        assert seen(server, target) == {"a": 8}
        consul.register("users", "b", b.port, address="127.0.0.1", node="10.255.0.9")
        wait_until(lambda: seen(server, target) == {"a": 4, "b": 4}, what="both are called")
        consul.deregister("a")
        wait_until(lambda: seen(server, target) == {"b": 8}, what="a is not called any more")
        consul.set_status("b", "critical")
        consul.register("users", "a", a.port)
        wait_until(lambda: seen(server, target) == {"a": 8}, what="a again")
        # Nothing was asked for but by blocking queries: one for each change, or two where changes met.
        assert len(consul.queries) < 20
        assert all("index" in query for _path, query, _token in consul.queries[1:])


def test_parameters(server):
    with Consul(token="se&cret") as consul, backend("a") as a, backend("b") as b, backend("c") as c:
        consul.register("my service", "a", a.port, tags=("blue", "v2"), dc="eu")
        consul.register("my service", "b", b.port, tags=("blue",), dc="eu")
        consul.register("my service", "c", c.port, tags=("blue", "v2"))
        target = f"consul://{consul.address}/my%20service?dc=eu&tag=blue&tag=v2&token=se%26cret"
        assert seen(server, target) == {"a": 8}
        assert "se&cret" not in server.log() and "se%26cret" not in server.log()


def test_warnings(server):
    with Consul() as consul, backend("a") as a, backend("b") as b, backend("c") as c:
        consul.register("users", "a", a.port)
        consul.register("users", "b", b.port, status="warning")
        consul.register("users", "c", c.port, status="critical")
        assert seen(server, f"consul://{consul.address}/users") == {"a": 8}
        target = f"consul://{consul.address}/users?passing=false"
        wait_until(lambda: seen(server, target) == {"a": 4, "b": 4}, what="both are called")


def test_weights(server):
    with Consul() as consul, backend("a") as a, backend("b") as b:
        consul.register("users", "a", a.port, weights=(3, 1))
        consul.register("users", "b", b.port)
        target = f"consul://{consul.address}/users"
        weighted = '{"balance": "weighted"}'
        wait_until(lambda: len(seen(server, target, weighted)) == 2, what="both are connected")
        assert seen(server, target, weighted, calls=40) == {"a": 30, "b": 10}


def test_an_agent_that_fails(server):
    """What was found before stays in use; the agent is asked again, and then followed again."""
    with Consul() as consul, backend("a") as a, backend("b") as b:
        consul.register("users", "a", a.port)
        target = f"consul://{consul.address}/users"
        assert seen(server, target) == {"a": 8}
        consul.fail()
        server.wait_log("the agent answers 500: No cluster leader")
        assert seen(server, target) == {"a": 8}
        consul.register("users", "b", b.port)
        consul.fail(None)
        wait_until(lambda: seen(server, target) == {"a": 4, "b": 4}, what="both are called", seconds=30)


def test_an_agent_that_begins_anew(server):
    """Its index is smaller than the one that was seen: a query that names that would wait for ever."""
    with Consul() as consul, backend("a") as a, backend("b") as b:
        consul.register("users", "a", a.port)
        target = f"consul://{consul.address}/users?wait=600"
        assert seen(server, target) == {"a": 8}
        wait_until(lambda: len(consul.queries) == 2, what="the query that waits")
        consul.start_anew()
        consul.register("users", "b", b.port)
        wait_until(lambda: seen(server, target) == {"a": 4, "b": 4}, what="both are called", seconds=30)
        consul.deregister("a")
        wait_until(lambda: seen(server, target) == {"b": 8}, what="a is not called any more")


def test_no_instance(server):
    call = "return client((...)):Echo({}, { timeout = 10 }).text"
    with Consul() as consul, backend("a") as a:
        target = f"consul://{consul.address}/users"
        error = failed(server, call, target)
        assert error["code"] == "UNAVAILABLE"
        assert "Consul knows no instance whose checks pass" in error["message"]
        consul.register("users", "a", a.port)
        calling = "local target = ... return { pcall(function() return client(target):Echo({}).text end) }"
        wait_until(lambda: ran(server, calling, target) == [True, "a"], what="a is called")


def test_a_token_that_may_not(server):
    call = "return client((...)):Echo({}, { timeout = 10 }).text"
    with Consul(token="right") as consul:
        error = failed(server, call, f"consul://{consul.address}/users?token=wrong")
        assert error["code"] == "UNAVAILABLE"
        assert "the agent answers 403: ACL not found (the token may not read this service)" in error["message"]
        assert "token=" not in error["message"]


def test_perilune_call_by_consul():
    with Consul() as consul, backend("a") as a:
        consul.register("users", "a", a.port)
        target = f"consul://{consul.address}/users"
        result = run_cli("call", target, "list", "--plaintext")
        assert result.returncode == 1 and "the server does not have reflection" in result.stderr
        assert a.calls == []


# -- DNS --
def several(names):
    """Servers with these names on one port of as many addresses: 127.0.0.1, 127.0.0.2 and ::1."""
    addresses = ["127.0.0.1", "127.0.0.2", "[::1]"][: len(names)]
    for _ in range(20):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        servers = []
        try:
            for name, address in zip(names, addresses, strict=True):
                servers.append(backend(name, address=f"{address}:{port}"))
            return port, servers
        except (AssertionError, RuntimeError):
            for one in servers:
                one.stop()
    raise AssertionError("no port is free on all addresses")


@pytest.fixture
def hosts(tmp_path, monkeypatch):
    """Servers that are started see another /etc/hosts: hosts.write_text() says which. In a mount namespace of their own."""
    file, wrapper = tmp_path / "hosts", tmp_path / "perilune-with-hosts"
    file.write_text("127.0.0.1 localhost\n")
    mount = f"mount --bind {shlex.quote(str(file))} /etc/hosts"
    for unshare in ("unshare --mount", "unshare --map-root-user --mount"):
        if subprocess.run([*unshare.split(), "sh", "-c", mount], capture_output=True).returncode == 0:
            break
    else:
        pytest.skip("no mount namespace can be had here, so /etc/hosts cannot be another one")
    wrapper.write_text(
        f'#!/bin/sh\nexec {unshare} sh -c \'{mount} && exec "$0" "$@"\' {shlex.quote(str(harness.PERILUNE))} "$@"\n'
    )
    wrapper.chmod(0o755)
    monkeypatch.setattr(harness, "PERILUNE", str(wrapper))
    return file


def test_all_addresses_of_a_name(hosts, start):
    port, servers = several(["a", "b", "c"])
    hosts.write_text("127.0.0.1 localhost many.test\n127.0.0.2 many.test\n::1 many.test\n")
    with servers[0], servers[1], servers[2]:
        server = start(DRIVER)
        target = f"dns:///many.test:{port}"
        wait_until(lambda: seen(server, target, calls=9) == {"a": 3, "b": 3, "c": 3}, what="all three are called")


def test_a_list(server):
    with backend("a") as a, backend("b") as b:
        target = f"ipv4:{a.address},{b.address}"
        wait_until(lambda: seen(server, target) == {"a": 4, "b": 4}, what="both are called")


def test_unix_sockets(server, tmp_path):
    path = tmp_path / "a.sock"
    with backend("a", address=f"unix:{path}"):
        assert seen(server, f"unix:{path}") == {"a": 8}
        assert seen(server, f"unix://{path}") == {"a": 8}


@pytest.mark.parametrize("target", ["nosuch.invalid:80", "dns:///a..b:80"])
def test_a_name_that_is_none(server, target):
    error = failed(server, "return client((...)):Echo({}, { timeout = 20 }).text", target)
    assert error["code"] == "UNAVAILABLE"
    assert "cannot look up" in error["message"]


def test_a_target_that_is_none(server):
    error = failed(server, "return client((...)):Echo({}).text", "xds:///users")
    assert 'there are no targets like "xds:///users"' in error["message"]
