# SPDX-License-Identifier: MIT
"""perilune.grpc: which server a call goes to, what happens when it fails, and when there is none."""

import collections
import http.server
import json
import threading
import time
import urllib.parse

import grpc
import pytest

from grpc_backend import DRIVER, Backend, failed, ran, run
from harness import SLOWNESS, wait_until


@pytest.fixture(scope="module")
def server(start_shared):
    return start_shared(DRIVER)


def echo(item, _context):
    return item


def free_port():
    with Backend(Echo=echo) as backend:
        return backend.port


def lua_config(**config):
    """A service config for all methods, as a Lua string."""
    return "[==[" + json.dumps({"methodConfig": [{"name": [{}], **config}]}) + "]==]"


# -- connections --
def test_a_server_that_comes_back(server):
    code = "return client(...):Echo({ text = 'x' }, { timeout = 20, wait_for_ready = true }).text"
    with Backend(Echo=echo) as backend:
        assert ran(server, code, backend.address) == "x"
        port = backend.port
    answer = failed(server, "return client(...):Echo({ text = 'x' }, { timeout = 20 }).text", f"127.0.0.1:{port}")
    assert answer["code"] == "UNAVAILABLE"
    with Backend(Echo=echo, port=port) as backend:
        assert ran(server, code, backend.address) == "x"


def test_wait_for_ready(server):
    port = free_port()
    address = f"127.0.0.1:{port}"
    answer = failed(server, "return client(...):Echo({}, { wait_for_ready = true, timeout = 0.2 })", address)
    assert answer["code"] == "DEADLINE_EXCEEDED"
    assert "waiting for a connection to " + address in answer["message"]
    code = """
return grpc.client(..., "test.v1.Test", { reconnect = { initial = 0.05, max = 0.1 } })
  :Echo({ text = "x" }, { wait_for_ready = true, timeout = 60 }).text
"""
    results = []
    thread = threading.Thread(target=lambda: results.append(run(server, code, address)))
    thread.start()
    server.wait_log("gRPC endpoint cannot be reached", address)
    with Backend(Echo=echo, port=port):
        thread.join(60 * SLOWNESS)
    assert results == [{"ok": True, "result": "x"}]


@pytest.mark.parametrize("policy", ["round_robin", "least_request", "weighted"])
def test_balancing(server, policy):
    counts = collections.Counter()

    def count(name):
        def method(item, _context):
            counts[name] += 1
            return item

        return method

    code = """
local target, policy, n = ...
local c = client(target, { balance = policy })
for _ = 1, n do c:Echo({}, { wait_for_ready = true }) end
return true
"""
    with Backend(Echo=count("a")) as a, Backend(Echo=count("b")) as b, Backend(Echo=count("c")) as c:
        target = "ipv4:" + ",".join(one.address for one in (a, b, c))
        wait_until(lambda: ran(server, code, target, policy, "5") and len(counts) == 3, what="calls of all")
        counts.clear()
        assert ran(server, code, target, policy, "60")
        assert sum(counts.values()) == 60
        assert set(counts) == {"a", "b", "c"}
        if policy != "least_request":
            assert max(counts.values()) - min(counts.values()) <= 3, counts
        # One goes: the others take its calls.
        a.stop()
        counts.clear()
        wait_until(lambda: run(server, code, target, policy, "10")["ok"], 20, "calls without a")
        assert counts["b"] + counts["c"] >= 10


class Consul(http.server.ThreadingHTTPServer):
    """The part of an agent's API that clients ask: a service's healthy instances, as soon as they are others."""

    daemon_threads = True

    def __init__(self):
        self.instances, self.index, self.changed, self.queries = [], 1, threading.Condition(), []
        super().__init__(("127.0.0.1", 0), self.Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def set(self, *addresses):
        with self.changed:
            self.instances = addresses
            self.index += 1
            self.changed.notify_all()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            consul = self.server
            consul.queries.append(self.path)
            seen = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(self.path).query)).get("index")
            with consul.changed:
                consul.changed.wait_for(lambda: str(consul.index) != seen, 30 * SLOWNESS)
                split = [one.rsplit(":", 1) for one in consul.instances]
                index = consul.index
            services = [{"Service": {"Address": host, "Port": int(port)}, "Node": {}, "Checks": []} for host, port in split]
            body = json.dumps(services).encode()
            self.send_response(200)
            self.send_header("X-Consul-Index", str(index))
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass


def test_consul(server):
    """Calls go to the instances that the agent names, and follow them at once."""
    names = []
    consul = Consul()
    code = """
return client((...), { balance = "round_robin" }):Echo({}, { wait_for_ready = true, timeout = 60 }) ~= nil
"""
    with (
        Backend(Echo=lambda item, _: names.append("a") or item) as a,
        Backend(Echo=lambda item, _: names.append("b") or item) as b,
    ):
        target = f"consul://127.0.0.1:{consul.server_port}/shop"
        consul.set(a.address)
        assert ran(server, code, target)
        assert names == ["a"]
        consul.set(b.address)

        def only_b():
            names.clear()
            return ran(server, code, target) and names == ["b"]

        wait_until(only_b, what="calls to b")
    assert consul.queries[0].startswith("/v1/health/service/shop?")
    consul.shutdown()
    consul.server_close()


def test_pick_first_stays_with_one(server):
    names = []
    with Backend(Echo=lambda item, _: names.append("a") or item) as a:
        with Backend(Echo=lambda item, _: names.append("b") or item) as b:
            target = f"ipv4:127.0.0.1:{free_port()},{a.address},{b.address}"
            code = "local c = client(...) for _ = 1, 20 do c:Echo {} end return true"
            assert ran(server, code, target)
            assert names == ["a"] * 20


def test_connections_survive_reloads(start):
    files = dict(DRIVER)
    server = start(files)
    peers = []

    def note(item, context):
        peers.append(context.peer())
        return item

    release = threading.Event()

    def slowly(items, _context):
        for item in items:
            yield item
            release.wait(30 * SLOWNESS)

    with Backend(Echo=note, Chat=slowly) as backend:
        assert ran(server, "return client(...):Echo({}) ~= nil", backend.address)
        results = []
        code = """
local stream <close> = client(...):Chat()
stream:send { text = "one" }
local first = stream:receive().text
stream:send { text = "two" }
stream:close_send()
return { first, stream:receive().text, stream:receive() == nil }
"""
        thread = threading.Thread(target=lambda: results.append(run(server, code, backend.address)))
        thread.start()
        wait_until(lambda: len(backend.calls) == 2, what="the stream")
        for round_ in range(5):
            (server.bundle / "lib.lua").write_text(f"return {round_}")
            server.reload()
            assert ran(server, "return client(...):Echo({}) ~= nil", backend.address)
        release.set()
        thread.join(30 * SLOWNESS)
        assert results == [{"ok": True, "result": ["one", "two", True]}]
        assert len(peers) == 6
        assert len(set(peers)) == 1


def test_idle_connections_are_closed(server):
    peers = []

    def note(item, context):
        peers.append(context.peer())
        return item

    code = """
local c = grpc.client(..., "test.v1.Test", { idle_timeout = 0.1 })
c:Echo {}
time.sleep(0.5)
c:Echo {}
return true
"""
    with Backend(Echo=note) as backend:
        assert ran(server, code, backend.address)
        assert len(set(peers)) == 2


# -- retries --
def flaky(times, code=grpc.StatusCode.UNAVAILABLE, trailers=()):
    """A method that fails so often, then works; and the metadata of its calls."""
    seen = []

    def method(item, context):
        seen.append((time.monotonic(), dict(context.invocation_metadata()).get("grpc-previous-rpc-attempts")))
        if len(seen) <= times:
            context.set_trailing_metadata(tuple(trailers))
            context.abort(code, f"failure {len(seen)}")
        return item

    method.seen = seen
    return method


RETRY = {
    "maxAttempts": 4,
    "initialBackoff": "0.01s",
    "maxBackoff": "0.05s",
    "backoffMultiplier": 2,
    "retryableStatusCodes": ["UNAVAILABLE"],
}


def call_with(config):
    return f"""
local c = grpc.client(..., "test.v1.Test", {{ service_config = {config} }})
local response, info = c:Echo({{ text = "x" }}, {{ timeout = 60 }})
return {{ response.text, info.attempts }}
"""


@pytest.mark.core
def test_retries(server):
    method = flaky(2)
    with Backend(Echo=method) as backend:
        assert ran(server, call_with(lua_config(retryPolicy=RETRY)), backend.address) == ["x", 3]
    assert [number for _, number in method.seen] == [None, "1", "2"]


def test_retries_end(server):
    method = flaky(10)
    with Backend(Echo=method) as backend:
        answer = failed(server, call_with(lua_config(retryPolicy=RETRY)), backend.address)
    assert (answer["code"], answer["message"]) == ("UNAVAILABLE", "failure 4")
    assert len(method.seen) == 4
    method = flaky(10, grpc.StatusCode.ABORTED)
    with Backend(Echo=method) as backend:
        assert failed(server, call_with(lua_config(retryPolicy=RETRY)), backend.address)["code"] == "ABORTED"
    assert len(method.seen) == 1


def test_pushback(server):
    config = call_with(lua_config(retryPolicy=RETRY))
    method = flaky(1, trailers=[("grpc-retry-pushback-ms", "400")])
    with Backend(Echo=method) as backend:
        assert ran(server, config, backend.address) == ["x", 2]
    assert method.seen[1][0] - method.seen[0][0] >= 0.39
    method = flaky(1, trailers=[("grpc-retry-pushback-ms", "-1")])
    with Backend(Echo=method) as backend:
        assert failed(server, config, backend.address)["code"] == "UNAVAILABLE"
    assert len(method.seen) == 1


def test_streams_are_retried_until_they_are_answered(server):
    attempts = []

    def total(items, context):
        attempts.append(1)
        numbers = [item.number for item in items]
        if len(attempts) == 1:
            context.abort(grpc.StatusCode.UNAVAILABLE, "not yet")
        return Backend.protos["test.v1.Item"](number=sum(numbers))

    code = f"""
local c = grpc.client(..., "test.v1.Test", {{ service_config = {lua_config(retryPolicy=RETRY)} }})
local stream <close> = c:Sum()
for i = 1, 100 do stream:send {{ number = i }} end
return stream:finish().number
"""
    with Backend(Sum=total) as backend:
        assert ran(server, code, backend.address) == 5050
    assert len(attempts) == 2


def test_throttling(server):
    method = flaky(1000)
    config = {
        "methodConfig": [{"name": [{}], "retryPolicy": RETRY}],
        "retryThrottling": {"maxTokens": 4, "tokenRatio": 0.1},
    }
    code = f"""
local c = grpc.client(..., "test.v1.Test", {{ service_config = [==[{json.dumps(config)}]==] }})
for _ = 1, 10 do pcall(c.Echo, c, {{}}) end
return true
"""
    with Backend(Echo=method) as backend:
        assert ran(server, code, backend.address)
    assert len(method.seen) <= 12


def test_hedging(server):
    entered, release = [], threading.Event()

    def first_hangs(item, context):
        entered.append(context)
        if len(entered) == 1:
            context.add_callback(release.set)
            release.wait(60 * SLOWNESS)
        return item

    hedging = {"maxAttempts": 3, "hedgingDelay": "0.1s", "nonFatalStatusCodes": ["UNAVAILABLE"]}
    with Backend(Echo=first_hangs) as backend:
        text, attempts = ran(server, call_with(lua_config(hedgingPolicy=hedging)), backend.address)
        assert text == "x"
        assert attempts in (2, 3)  # the second one may have been slow, too
        assert release.wait(10 * SLOWNESS)  # the first one was cancelled


def test_service_config_sets_deadlines(server):
    def sleep(item, context):
        gone = threading.Event()
        context.add_callback(gone.set)
        gone.wait(30 * SLOWNESS)
        return item

    with Backend(Echo=sleep) as backend:
        answer = failed(server, call_with(lua_config(timeout="0.2s")), backend.address)
        assert answer["code"] == "DEADLINE_EXCEEDED"


# -- breakers --
def test_a_breaker_for_each_endpoint(server):
    bad, good = [], []

    def broken(item, context):
        bad.append(1)
        context.abort(grpc.StatusCode.UNAVAILABLE, "broken")

    code = """
local target, n = ...
local c = client(target, { balance = "round_robin", breaker = { failures = 3, open = 600 } })
local failures = 0
for _ = 1, n do
  if not pcall(c.Echo, c, {}, { wait_for_ready = true }) then failures = failures + 1 end
end
return failures
"""
    with Backend(Echo=broken) as a, Backend(Echo=lambda item, _: good.append(1) or item) as b:
        target = f"ipv4:{a.address},{b.address}"
        wait_until(lambda: ran(server, code, target, "1") >= 0 and bad and good, what="calls of both")
        ran(server, code, target, "60")
        assert len(bad) == 3
        assert ran(server, code, target, "20") == 0
        server.wait_log("circuit breaker opened", a.address)


def test_a_breaker_by_name(server):
    calls = []

    def broken(_item, context):
        calls.append(1)
        context.abort(grpc.StatusCode.INTERNAL, "broken")

    code = """
local breaker = require "perilune.breaker"
local c = grpc.client(..., "test.v1.Test", { breaker = breaker.new("backend", { failures = 3, open = 60 }) })
local codes = {}
for i = 1, 5 do
  local ok, failure = pcall(c.Echo, c, {})
  codes[i] = failure.code
end
local ok, failure = pcall(c.Chat, c)
codes[6] = failure.code
return codes
"""
    with Backend(Echo=broken) as backend:
        codes = ran(server, code, backend.address)
    assert codes == ["INTERNAL"] * 3 + ["UNAVAILABLE"] * 3
    assert len(calls) == 3


# -- health --
class Health:
    """grpc.health.v1.Health/Watch, by hand."""

    def __init__(self, backend):
        self.serving, self.changed, self.asked = True, threading.Condition(), []

        def watch(request, context):
            self.asked.append(request)
            last = None
            while context.is_active():
                with self.changed:
                    if self.serving == last:
                        self.changed.wait(0.05)
                    now = self.serving
                if now != last:
                    last = now
                    yield b"\x08\x01" if now else b"\x08\x02"

        handler = grpc.unary_stream_rpc_method_handler(watch)
        handlers = grpc.method_handlers_generic_handler("grpc.health.v1.Health", {"Watch": handler})
        backend.server.add_generic_rpc_handlers((handlers,))

    def set(self, serving):
        with self.changed:
            self.serving = serving
            self.changed.notify_all()


def test_health_checking(server):
    names = []
    a = Backend(Echo=lambda item, _: names.append("a") or item)
    b = Backend(Echo=lambda item, _: names.append("b") or item)
    health = Health(a)  # b has no such service: it counts as healthy
    health.set(False)
    code = """
local c = client(..., { balance = "round_robin", service_config = { healthCheckConfig = { serviceName = "shop" } } })
for _ = 1, 10 do c:Echo({}, { wait_for_ready = true, timeout = 60 }) end
return true
"""
    code = code.replace("client(...,", "client((...),")
    with a, b:
        target = f"ipv4:{a.address},{b.address}"
        assert ran(server, code, target)
        wait_until(lambda: health.asked, what="Watch")
        assert health.asked[0] == b"\x0a\x04shop"
        assert set(names) == {"b"}
        health.set(True)
        wait_until(lambda: ran(server, code, target) and "a" in names, what="calls to a")
        health.set(False)

        def only_b():
            names.clear()
            return ran(server, code, target) and set(names) == {"b"}

        wait_until(only_b, what="no calls to a")
