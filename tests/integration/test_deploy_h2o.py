# SPDX-License-Identifier: MIT
"""Perilune behind Debian's h2o server, with the configuration of docs/deploy-h2o.md."""

import json
import os
import re
import shutil
import socket
import ssl
import subprocess

import httpx
import pytest

from harness import ROOT, self_signed, tls_client
from streams import WebSocket

SCHEMA = """
type Query { header(name: String!): String }
type Mutation { say(text: String!): Boolean }
type Subscription { said: String  never: String }
"""
RESOLVERS = """
local log = require "perilune.log"
local time = require "perilune.time"
return {
  Query = {
    header = function(_, args, ctx) return ctx.headers[args.name] end,
  },
  Mutation = { say = function(_, args, ctx) ctx.pubsub:publish("said", args.text) return true end },
  Subscription = {
    said = {
      subscribe = function(_, _, ctx) return ctx.pubsub:subscribe "said" end,
      resolve = function(text) return text end,
    },
    never = function()
      log.info "never has begun"
      return { next = function() time.sleep(1000) end, close = function() log.info "never is over" end }
    end,
  },
}
"""
SERVICE = 'return { ["user.v1.UserService"] = { Echo = function(req) return req:upper() end } }'
BUNDLE = {
    "app.lua": "return {}",
    "schema/schema.graphql": SCHEMA,
    "resolvers/resolvers.lua": RESOLVERS,
    "services/user.lua": SERVICE,
}


class Proxy:
    """h2o with the page's configuration, in which names of the machine are others."""

    def __init__(self, directory, upstream):
        self.directory = directory
        certificate, key = self_signed(directory)
        self.certificate = certificate
        self.sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
        tls, plain = (one.getsockname()[1] for one in self.sockets)
        (directory / "www").mkdir()
        (directory / "www" / "index.html").write_text("a file of h2o's")
        text = re.search(r"```yaml\n(.*?)```", (ROOT / "docs" / "deploy-h2o.md").read_text(), re.S)[1]
        for old, new in {
            "/etc/ssl/api.example/chain.pem": certificate,
            "/etc/ssl/api.example/key.pem": key,
            "/run/h2o.pid": directory / "h2o.pid",
            "/var/log/h2o": directory,
            "/var/www": directory / "www",
            "http://127.0.0.1:8080": upstream,
            "api.example:443": f"localhost:{tls}",
            "api.example:80": f"localhost:{plain}",
            "https://api.example/": f"https://localhost:{tls}/",
            "port: 443": f"host: 127.0.0.1\n      port: {tls}",
            "port: 80\n": f"host: 127.0.0.1\n      port: {plain}\n",
            "user: debian-h2o\n": "user: root\n" if os.getuid() == 0 else "",
        }.items():
            assert old in text, old
            text = text.replace(old, str(new))
        self.config = directory / "h2o.conf"
        self.config.write_text(text)
        self.url = f"https://localhost:{tls}/graphql"
        self.base, self.plain = f"https://localhost:{tls}", f"http://127.0.0.1:{plain}"
        self.log = directory / "h2o.log"

    def __enter__(self):
        # h2o takes sockets that are open already: so no port need be guessed.
        fds = [one.fileno() for one in self.sockets]
        ports = ";".join(f"{one.getsockname()[1]}={one.fileno()}" for one in self.sockets)
        command = ["setpriv", "--pdeathsig", "KILL", shutil.which("h2o") or "/usr/bin/h2o", "-c", str(self.config)]
        env = os.environ | {"SERVER_STARTER_PORT": ports, "SERVER_STARTER_GENERATION": "1"}
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, env=env, pass_fds=fds, stdout=log, stderr=log)
        for one in self.sockets:
            one.close()
        return self

    def __exit__(self, kind, error, trace):
        self.process.kill()
        self.process.wait()

    def client(self, http2=True):
        return tls_client(self.certificate, http2)


@pytest.fixture(scope="module")
def server(start_shared):
    return start_shared(BUNDLE)


@pytest.fixture(scope="module")
def proxy(server, tmp_path_factory):
    with Proxy(tmp_path_factory.mktemp("h2o"), server.base) as proxy:
        yield proxy


def header(asks, proxy, name, **headers):
    answer = asks.post(
        proxy.url, json={"query": "query ($n: String!) { header(name: $n) }", "variables": {"n": name}}, headers=headers
    )
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]["header"]


@pytest.mark.parametrize("http2", [True, False], ids=["http2", "http1"])
def test_what_arrives(proxy, http2):
    with proxy.client(http2) as asks:
        answer = asks.post(proxy.url, json={"query": "{ __typename }"})
        assert (answer.http_version, answer.json()) == ("HTTP/2" if http2 else "HTTP/1.1", {"data": {"__typename": "Query"}})
        assert header(asks, proxy, "x-forwarded-for") == "127.0.0.1"
        assert header(asks, proxy, "x-forwarded-for", **{"x-forwarded-for": "6.6.6.6"}) == "127.0.0.1"
        assert header(asks, proxy, "x-forwarded-proto", **{"x-forwarded-proto": "http"}) == "https"
        assert header(asks, proxy, "host") == proxy.base.removeprefix("https://")


def test_paths(proxy):
    with proxy.client() as asks:
        assert asks.get(f"{proxy.base}/").text == "a file of h2o's"
        assert asks.get(f"{proxy.base}/readyz").text == "ready\n"
        assert asks.get(f"{proxy.base}/metrics").status_code == 404
        moved = asks.get(f"{proxy.plain}/graphql?a", headers={"host": f"localhost:{proxy.plain.rpartition(':')[2]}"})
        assert (moved.status_code, moved.headers["location"]) == (308, f"{proxy.base}/graphql?a")


def test_large_bodies(proxy):
    with proxy.client(False) as asks:
        assert asks.post(proxy.url, content=b"x" * 3_000_000).status_code == 413
    with proxy.client() as asks, pytest.raises(httpx.RemoteProtocolError, match="StreamReset"):
        asks.post(proxy.url, content=b"x" * 3_000_000)


def test_calls(proxy):
    with proxy.client() as asks:
        url = f"{proxy.base}/user.v1.UserService/Echo"
        assert asks.post(url, content=b"hello", headers={"content-type": "application/proto"}).content == b"HELLO"
        answer = asks.post(url, content=b"\0\0\0\0\5hello", headers={"content-type": "application/grpc-web"})
        assert answer.content.startswith(b"\0\0\0\0\5HELLO\x80")


def say(server, text):
    assert server.data("mutation ($text: String!) { say(text: $text) }", {"text": text}) == {"say": True}


@pytest.mark.parametrize("http2", [True, False], ids=["http2", "http1"])
def test_events_come_as_they_are_sent(server, proxy, http2):
    """Each is published when the one before has been seen."""
    with proxy.client(http2) as asks:
        request = {"json": {"query": "subscription { said }"}, "headers": {"accept": "text/event-stream"}}
        with asks.stream("POST", proxy.url, **request) as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            lines = answer.iter_lines()
            for text in ("one", "two", "three"):
                say(server, text)
                data = next(line for line in lines if line.startswith("data:"))
                assert json.loads(data[5:]) == {"data": {"said": text}}


def test_websockets(server, proxy):
    context = ssl.create_default_context(cafile=str(proxy.certificate))
    # The client reads in a thread of its own, and in TLS 1.3 tickets arrive while it sends its request: Python's ssl module
    # does not keep the two apart, and the request is lost about once in a hundred times.
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with WebSocket(proxy, ssl=context) as one:
        one.subscribe("subscription { said }")
        one.send(type="ping")
        assert one.receive() == {"type": "pong"}
        say(server, "to the socket")
        assert one.next() == {"data": {"said": "to the socket"}}


def test_a_client_that_leaves(server, proxy):
    """Over HTTP/2: of an HTTP/1.1 connection h2o finds out when it next writes to it."""
    with proxy.client() as asks:
        request = {"json": {"query": "subscription { never }"}, "headers": {"accept": "text/event-stream"}}
        with asks.stream("POST", proxy.url, **request):
            server.wait_log("never has begun")
    server.wait_log("never is over")
