# SPDX-License-Identifier: MIT
"""Perilune at a path of a program that runs libh2o itself (examples/embed-h2o), with two loops."""

import concurrent.futures
import contextlib
import http.server
import shutil
import signal
import socket
import struct
import threading

import grpc
import httpx
import pytest

from grpc_bundle import ECHO
from grpc_client import connect, fails
from h2o_host import EXAMPLE, H2oHost
from harness import SLOWNESS, http1, read_http1, run, self_signed, tls_client, wait_until, write_bundle
from streams import EventStream, WebSocket
from subscription_bundle import BUNDLE

pytestmark = pytest.mark.core

SLEEPER = {
    "resolvers/resolvers.lua": """
local time = require "perilune.time"
local log = require "perilune.log"
return { Query = { hello = function()
  local _ <close> = setmetatable({}, { __close = function() log.info "the sleeper is over" end })
  log.info "the sleeper has begun"
  time.sleep(100)
end } }
"""
}
SERVICES = {"services/echo.lua": ECHO}


class Upstream(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = f"upstream saw {self.path}".encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


@pytest.fixture(scope="module")
def upstream():
    """What the program passes on to, below /proxy."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Upstream) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()


@pytest.fixture(scope="module")
def host(tmp_path_factory, upstream):
    directory = tmp_path_factory.mktemp("h2o")
    bundle = write_bundle(directory / "bundle", BUNDLE | SERVICES)
    with H2oHost(bundle, directory / "host.log", "--proxy", upstream, "--grpc", "127.0.0.1:0", path="/api") as host:
        yield host


def client(http2):
    return httpx.Client(http1=not http2, http2=http2, timeout=20 * SLOWNESS)


@pytest.mark.parametrize("http2", [False, True], ids=["http1", "http2"])
def test_neighbours_on_one_connection(host, http2):
    with client(http2) as asks:
        for _ in range(3):
            answer = asks.post(host.url, json={"query": "{ hello }"})
            assert answer.json() == {"data": {"hello": "world"}}
            assert answer.http_version == ("HTTP/2" if http2 else "HTTP/1.1")
            assert asks.post(f"{host.url}/graphql", json={"query": "{ hello }"}).json() == answer.json()
            assert asks.get(f"{host.url}/healthz").text == "ok\n"
            assert "served by h2o" in asks.get(f"{host.base}/index.html").text
            assert asks.get(f"{host.base}/proxy/a?b").text == "upstream saw /a?b"
            assert asks.get(f"{host.base}/nowhere").status_code == 404
            missing = asks.get(f"{host.url}/nowhere")
            assert (missing.status_code, missing.json()) == (404, {"errors": [{"message": "not found"}]})


def test_subscriptions(host):
    expected = [{"data": {"count": i}} for i in (1, 2, 3)]
    for http2 in (False, True):
        with EventStream(host, "subscription { count(to: 3, pause: 0.01) }", http2=http2) as stream:
            assert stream.rest() == expected
            assert stream.completed
    with WebSocket(host) as socket_:
        socket_.subscribe("subscription { count(to: 3, pause: 0.01) }")
        assert [socket_.next() for _ in range(3)] == expected
        assert socket_.receive() == {"id": "1", "type": "complete"}


@pytest.mark.tsan
def test_events_reach_all_loops(host):
    """Connections go to any of the loops."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(WebSocket(host)) for _ in range(8)]
        for one in sockets:
            one.subscribe("subscription { said { text } }")
            one.send(type="ping")  # the answer comes when the subscription has been begun
            assert one.receive() == {"type": "pong"}
        assert host.data('mutation { say(text: "to all") }') == {"say": True}
        for one in sockets:
            assert one.next() == {"data": {"said": {"text": "to all"}}}


def test_calls(host):
    frame = struct.pack(">BI", 0, 5) + b"hello"
    with client(False) as asks:
        web = asks.post(f"{host.url}/test.Echo/Upper", content=frame, headers={"content-type": "application/grpc-web"})
        assert web.content.startswith(struct.pack(">BI", 0, 5) + b"HELLO")
        assert b"grpc-status:0" in web.content.replace(b" ", b"")
        one = asks.post(f"{host.url}/test.Echo/Upper", content=b"hello", headers={"content-type": "application/proto"})
        assert one.content == b"HELLO"


def test_native_grpc(host):
    """On the listening socket that the program has given to each loop."""
    with contextlib.ExitStack() as stack:
        for _ in range(4):
            echo = stack.enter_context(connect(host))
            assert echo.unary("Upper")(b"hello", timeout=20) == b"HELLO"
            assert list(echo.bidi("Chat")(iter([b"a", b"b"]), timeout=20)) == [b"re: a", b"re: b"]
            assert fails(lambda one=echo: one.unary("Fail")(b"not_found", timeout=20)).details() == "failed: not_found"


def test_the_page(tmp_path):
    """GraphiQL's own files are found from wherever the page is."""
    with H2oHost(EXAMPLE / "app", tmp_path / "host.log", path="/deep/page", threads=1) as host, client(True) as asks:
        for path in ("/deep/page", "/deep/page/graphql"):
            page = asks.get(host.base + path, headers={"accept": "text/html"})
            if page.status_code == 501:  # a build without the page
                continue
            script = page.text.split('type="module" src="')[1].split('"')[0]
            answer = asks.get(page.url.join(script))
            assert (answer.status_code, answer.headers["content-type"].split(";")[0]) == (200, "text/javascript"), path


def test_a_client_that_leaves(tmp_path):
    bundle = write_bundle(tmp_path / "bundle", {"schema/schema.graphql": "type Query { hello: String }"} | SLEEPER)
    with H2oHost(bundle, tmp_path / "host.log") as host:
        for count in (1, 2):
            with socket.create_connection(host.address) as one:
                one.sendall(http1({"query": "{ hello }"}))
                wait_until(lambda n=count: host.log_text().count("the sleeper has begun") == n, what="the request")
            wait_until(lambda n=count: host.log_text().count("the sleeper is over") == n, what="the cancellation")


@pytest.mark.tsan
def test_reloads_under_load(tmp_path):
    """No request fails, on two loops."""
    bundle = write_bundle(tmp_path / "bundle", BUNDLE)
    counts = {}
    with H2oHost(bundle, tmp_path / "host.log") as host:
        ending = threading.Event()

        def ask(http2):
            seen = 0
            with client(http2) as asks:
                while not ending.is_set():
                    answer = asks.post(host.url, json={"query": "{ hello }"})
                    word = answer.json()["data"]["hello"]
                    assert word.startswith("world"), answer.text
                    counts[word] = counts.get(word, 0) + 1
                    seen += 1
            return seen

        with concurrent.futures.ThreadPoolExecutor() as pool:
            asking = [pool.submit(ask, http2) for http2 in (False, False, True, True)]
            try:
                for i in range(10):
                    text = BUNDLE["resolvers/resolvers.lua"].replace('"world"', f'"world{i}"')
                    write_bundle(bundle, {"resolvers/resolvers.lua": text})
                    host.reload()
                    wait_until(lambda word=f"world{i}": counts.get(word), what="an answer of the new code")
                write_bundle(bundle, {"resolvers/resolvers.lua": "return {"})
                host.reload(ok=False)
                assert host.graphql("{ hello }") == {"data": {"hello": "world9"}}
            finally:
                ending.set()
            assert all(one.result() > 0 for one in asking)


def test_the_end(tmp_path):
    """What is in hand is finished; streams and WebSockets are told; the program's own connections are its own."""
    late = 'function() require "perilune.log".info "begun" time.sleep(0.5) return "late" end'
    text = BUNDLE["resolvers/resolvers.lua"].replace('function() return "world" end', late)
    bundle = write_bundle(tmp_path / "bundle", BUNDLE | {"resolvers/resolvers.lua": text})
    with H2oHost(bundle, tmp_path / "host.log", "--grpc", "127.0.0.1:0") as host:
        with WebSocket(host) as one, host.connect() as waiting, host.connect() as idle:
            one.subscribe("subscription { never }")
            one.send(type="ping")
            assert one.receive() == {"type": "pong"}
            idle.sendall(b"GET /index.html HTTP/1.1\r\nHost: a\r\n\r\n")
            assert read_http1(idle)[0] == 200
            waiting.sendall(http1({"query": "{ hello }"}))
            host.wait_log("begun")
            host.signal(signal.SIGTERM)
            assert one.closed()[0] == 1001
            status, _, body = read_http1(waiting)
            assert (status, body) == (200, b'{"data":{"hello":"late"}}')
        host.process.wait(20 * SLOWNESS)


def test_tls(tmp_path):
    certificate, key = self_signed(tmp_path)
    flags = ("--certificate", certificate, "--key", key, "--grpc", "127.0.0.1:0")
    bundle = write_bundle(tmp_path / "bundle", BUNDLE | SERVICES)
    with H2oHost(bundle, tmp_path / "host.log", *flags) as host, tls_client(certificate) as asks:
        url = host.url.replace("http://127.0.0.1", "https://localhost")
        answer = asks.post(url, json={"query": "{ hello }"})
        assert (answer.http_version, answer.json()) == ("HTTP/2", {"data": {"hello": "world"}})
        assert "served by h2o" in asks.get(url.replace("/graphql", "/")).text
        credentials = grpc.ssl_channel_credentials(certificate.read_bytes())
        with connect(host, address=host.ready["grpc"].replace("127.0.0.1", "localhost"), credentials=credentials) as echo:
            assert echo.unary("Upper")(b"hello", timeout=20) == b"HELLO"


WHO = {
    "resolvers/resolvers.lua": """
return { Query = { hello = function(_, _, ctx) return ctx.certificate and ctx.certificate.common_name or "nobody" end } }
""",
    "services/who.lua": """
return { ["test.Echo"] = { Upper = function(_, call) return call.certificate.common_name end } }
""",
}


def test_clients_with_certificates(tmp_path):
    """The program has asked for them; the app knows them, on paths of the program's and on its own socket for gRPC."""
    certificate, key = self_signed(tmp_path)
    (tmp_path / "client").mkdir()
    own, own_key = self_signed(tmp_path / "client", "orders")
    flags = ("--certificate", certificate, "--key", key, "--client-ca", own, "--grpc", "127.0.0.1:0")
    bundle = write_bundle(tmp_path / "bundle", BUNDLE | WHO)
    with H2oHost(bundle, tmp_path / "host.log", *flags) as host:
        url = host.url.replace("http://127.0.0.1", "https://localhost")
        for http2 in (False, True):
            for _ in range(2):  # of which the second one may resume the session of the first
                with tls_client(certificate, http2, (own, own_key)) as asks:
                    for _ in range(2):
                        assert asks.post(url, json={"query": "{ hello }"}).json() == {"data": {"hello": "orders"}}
            with tls_client(certificate, http2) as asks, pytest.raises(httpx.TransportError):
                asks.post(url, json={"query": "{ hello }"})
        pair = {"private_key": own_key.read_bytes(), "certificate_chain": own.read_bytes()}
        credentials = grpc.ssl_channel_credentials(certificate.read_bytes(), **pair)
        with connect(host, address=host.ready["grpc"].replace("127.0.0.1", "localhost"), credentials=credentials) as echo:
            assert echo.unary("Upper")(b"", timeout=20) == b"orders"


def test_the_example_builds_against_what_is_installed(installed, tmp_path):
    example = tmp_path / "clean"
    shutil.copytree(EXAMPLE, example, ignore=shutil.ignore_patterns("embed-h2o"))
    run("make", cwd=example, env=installed[1])
    with H2oHost(example / "app", tmp_path / "host.log", program=example / "embed-h2o", env=installed[1]) as host:
        assert host.graphql("{ hello }") == {"data": {"hello": "Hello, world!"}}
        with EventStream(host, "subscription { count(to: 2) }") as stream:
            assert stream.rest() == [{"data": {"count": 1}}, {"data": {"count": 2}}]
