# SPDX-License-Identifier: MIT
"""The HTTP edge: what a client sees of GraphQL over HTTP/1.1, HTTP/2 and TLS."""

import asyncio
import gzip
import json
import socket
import ssl
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlencode

import brotli
import httpx
import pytest

from harness import SLOWNESS, http1, read_http1, self_signed, tls_client, wait_until

pytestmark = pytest.mark.core

JSON = "application/json"
GRAPHQL = "application/graphql-response+json"
ORIGIN = "https://shop.example"

BUNDLE = {
    "app.lua": f'return {{ name = "http", http = {{ cors = {{ origins = {{ "{ORIGIN}" }} }} }} }}',
    "schema/schema.graphql": """
        type Query {
          hello: String!
          echo(text: String!, number: Int): String
          big(size: Int!): String!
          fail: String
          needed: String!
          self: Query
        }
        type Mutation { set(number: Int!): Int }
    """,
    "resolvers/all.lua": """
        local errors = require "perilune.errors"
        return {
          Query = {
            hello = function() return "world" end,
            echo = function(_, args) return args.text end,
            big = function(_, args) return string.rep("x", args.size) end,
            fail = function() error(errors.not_found "no such thing") end,
            needed = function() return nil end,
            self = function() return {} end,
          },
          Mutation = { set = function(_, args) return args.number end },
        }
    """,
}
HELLO = {"query": "{ hello }"}
WORLD = {"data": {"hello": "world"}}


@pytest.fixture(scope="module")
def server(start_shared):
    return start_shared(BUNDLE)


@pytest.fixture(autouse=True)
def still_well(server):
    """Whatever a test sends, the server answers the next client."""
    yield
    assert httpx.post(server.url, json=HELLO).json() == WORLD


# -- requests and content types --
def test_post(server):
    response = server.post(HELLO)
    assert response.status_code == 200
    assert response.headers["content-type"].startswith(JSON)
    assert response.content == b'{"data":{"hello":"world"}}'


def test_keys_come_in_query_order(server):
    response = server.post({"query": '{ z: hello a: echo(text: "a") m: hello self { b: hello a: hello } }'})
    assert response.text == '{"data":{"z":"world","a":"a","m":"world","self":{"b":"world","a":"world"}}}'


def test_get(server):
    query = urlencode({"query": "query A($t: String!) { echo(text: $t) }", "variables": '{"t":"a b+ü"}', "operationName": "A"})
    assert server.get("/graphql?" + query).json() == {"data": {"echo": "a b+ü"}}


def test_get_does_not_run_mutations(server):
    response = server.get("/graphql?" + urlencode({"query": "mutation { set(number: 1) }"}))
    assert response.status_code == 405
    assert "POST" in response.headers["allow"]


def test_get_without_query(server):
    assert server.get("/graphql", headers={"accept": JSON}).status_code == 400


@pytest.mark.parametrize(
    ("accept", "type_"),
    [
        (None, JSON),
        ("*/*", JSON),
        ("application/*", JSON),
        (JSON, JSON),
        (GRAPHQL, GRAPHQL),
        (f"{GRAPHQL}, {JSON}", GRAPHQL),
        (f"{JSON};q=0.5, {GRAPHQL};q=0.9", GRAPHQL),
        (f"{JSON};q=0.9, {GRAPHQL};q=0.5", JSON),
        (f"text/html, {JSON}", JSON),
    ],
)
def test_accept(server, accept, type_):
    headers = {"accept": accept} if accept else {}
    request = server._client.build_request("POST", server.url, json=HELLO, headers=headers)
    if accept is None:
        del request.headers["accept"]
    response = server._client.send(request)
    assert response.status_code == 200
    assert response.headers["content-type"].partition(";")[0] == type_


def test_accept_nothing_that_we_have(server):
    assert server.post(HELLO, {"accept": "application/xml"}).status_code == 406


@pytest.mark.parametrize("type_", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"])
def test_content_types_of_simple_requests_are_refused(server, type_):
    assert server.post(json.dumps(HELLO).encode(), {"content-type": type_}).status_code == 415


def test_content_type_missing(server):
    with server.connect() as connection:
        connection.sendall(b'POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Length: 21\r\n\r\n{"query":"{ hello }"}')
        assert read_http1(connection)[0] == 415


@pytest.mark.parametrize("type_", ["application/json", "application/json; charset=utf-8", "Application/JSON;charset=UTF-8"])
def test_content_types_that_are_json(server, type_):
    assert server.post(json.dumps(HELLO).encode(), {"content-type": type_}).json() == WORLD


# -- status codes: request errors are 200 for application/json, 400 for application/graphql-response+json --
REQUEST_ERRORS = {
    "syntax": {"query": "{"},
    "validation": {"query": "{ nothing }"},
    "unknown operation": {"query": "query A { hello }", "operationName": "B"},
    "which operation": {"query": "query A { hello } query B { hello }"},
    "variable of a wrong type": {"query": 'query ($n: Int) { echo(text: "", number: $n) }', "variables": {"n": "1"}},
    "variable missing": {"query": "query ($t: String!) { echo(text: $t) }"},
}


@pytest.mark.parametrize("payload", REQUEST_ERRORS.values(), ids=REQUEST_ERRORS)
@pytest.mark.parametrize(("accept", "status"), [(JSON, 200), (GRAPHQL, 400)])
def test_request_errors(server, payload, accept, status):
    response = server.post(payload, {"accept": accept})
    assert response.status_code == status
    assert "data" not in response.json()
    assert response.json()["errors"][0]["message"]


@pytest.mark.parametrize("accept", [JSON, GRAPHQL])
def test_field_errors_are_200(server, accept):
    response = server.post({"query": "{ hello fail }"}, {"accept": accept})
    assert response.status_code == 200
    error = response.json()["errors"][0]
    assert response.json()["data"] == {"hello": "world", "fail": None}
    assert error == {
        "message": "no such thing",
        "locations": [{"line": 1, "column": 9}],
        "path": ["fail"],
        "extensions": error["extensions"],
    }
    assert error["extensions"]["code"] == "NOT_FOUND"


def test_null_propagates(server):
    response = server.graphql("{ hello self { needed } }")
    assert response["data"] == {"hello": "world", "self": None}
    assert response["errors"][0]["path"] == ["self", "needed"]
    assert server.graphql("{ needed }")["data"] is None


def test_locations(server):
    error = server.graphql("{\n  hello\n  nothing\n}")["errors"][0]
    assert error["locations"] == [{"line": 3, "column": 3}]
    assert error["message"] == 'Cannot query field "nothing" on type "Query".'


def test_messages_name_what_is_wrong(server):
    assert "B" in server.graphql("query A { hello }", operation="B")["errors"][0]["message"]
    message = server.graphql('query ($n: Int) { echo(text: "", number: $n) }', {"n": "1"})["errors"][0]["message"]
    assert "$n" in message
    message = server.graphql('query ($n: Int) { echo(text: "", number: $n) }', {"n": 2**31})["errors"][0]["message"]
    assert "2147483648" in message


# -- bad bytes --
@pytest.mark.parametrize(
    ("body", "byte"),
    [
        (b'{"query": @}', "10"),
        (b'{"query":"{ hello }"', "20"),
        (b'{"query":"{ hello }"} x', "22"),
        (b'{"query":"\x01"}', "10"),
    ],
)
def test_malformed_json_names_the_byte(server, body, byte):
    response = server.post(body)
    assert response.status_code == 400
    assert f"byte {byte}" in response.json()["errors"][0]["message"]


@pytest.mark.parametrize(
    "body", [b"", b"null", b"[]", b'"text"', b"12", b"{}", b'{"query":null}', b'{"query":"{ hello }","variables":[]}']
)
def test_json_that_is_no_request(server, body):
    assert server.post(body).status_code == 400


@pytest.mark.parametrize("bad", [b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xf5\x80\x80\x80", b"\xc0\xaf"])
def test_invalid_utf8(server, bad):
    response = server.post(b'{"query":"{ echo(text: \\"' + bad + b'\\") }"}')
    assert response.status_code == 400
    response.content.decode("utf-8")


def test_unicode_goes_through(server):
    text = 'ü € 😀 " \\ / \b\f\n\r\t \u2028'
    assert server.data("query ($t: String!) { echo(text: $t) }", {"t": text}) == {"echo": text}


def test_body_too_large(server):
    response = server.post({"query": "{ hello }" + " " * (2 << 20)})
    assert response.status_code == 413


def quickly(seconds=2.0):
    end = time.monotonic() + seconds * SLOWNESS
    return lambda: time.monotonic() < end


@pytest.mark.parametrize(
    "query",
    ["{" * 100_000, "{ self " * 50_000, "{ echo(text: " + "[" * 100_000, "query ($v: " + "[" * 100_000, "{ a: hello " * 20_000],
    ids=["braces", "fields", "lists", "types", "aliases"],
)
def test_deep_documents(server, query):
    soon = quickly()
    assert server.graphql(query)["errors"]
    assert soon()


@pytest.mark.parametrize("text", [b"[" * 100_000, b'{"a":' * 100_000], ids=["lists", "maps"])
def test_deep_json(server, text):
    soon = quickly()
    assert server.post(b'{"query":"{ hello }","variables":' + text).status_code == 400
    assert soon()


def test_cyclic_fragments(server):
    query = "{ ...A } fragment A on Query { self { ...B } } fragment B on Query { self { ...A } }"
    assert 'Cannot spread fragment "A" within itself via "B".' in server.graphql(query)["errors"][0]["message"]


def test_many_fragments_that_spread_each_other(server):
    soon = quickly()
    fragments = " ".join(f"fragment F{i} on Query {{ ...F{i + 1} ...F{i + 1} }}" for i in range(1000))
    server.graphql("{ ...F0 } " + fragments + " fragment F1000 on Query { hello }")
    assert soon()


def test_many_equal_fields(server):
    soon = quickly()
    server.graphql("{ " + "hello " * 2000 + "}")
    assert soon()


@pytest.mark.parametrize(
    "raw", [b"\x00\x01\x02\r\n\r\n", b"GET\r\n\r\n", b"POST /graphql HTTP/9.9\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nxx\r\n\r\n"]
)
def test_bytes_that_are_no_http(server, raw):
    with server.connect() as connection:
        connection.sendall(raw)
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(65536):
            pass


# -- other paths and methods --
def test_not_found(server):
    assert server.get("/nowhere").status_code == 404


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
def test_method_not_allowed(server, method):
    response = server.request(method, "/graphql", content=b"{}", headers={"content-type": JSON})
    assert response.status_code == 405
    assert {"GET", "POST"} <= {one.strip() for one in response.headers["allow"].split(",")}


def test_health(server):
    assert server.get("/healthz").status_code == 200
    assert server.get("/readyz").status_code == 200


def test_pretty(server):
    response = server.post(HELLO, url=server.url + "?pretty")
    assert response.text.rstrip("\n") == '{\n  "data": {\n    "hello": "world"\n  }\n}'


# -- headers --
def test_request_id(server):
    assert server.post(HELLO, {"x-request-id": "abc-123"}).headers["x-request-id"] == "abc-123"
    made = {server.post(HELLO).headers["x-request-id"] for _ in range(3)}
    assert len(made) == 3
    assert server.post(HELLO, {"x-request-id": "x" * 200}).headers["x-request-id"] != "x" * 200


def test_cors(server):
    response = server.post(HELLO, {"origin": ORIGIN})
    assert response.headers["access-control-allow-origin"] == ORIGIN
    assert "origin" in response.headers["vary"].lower()
    assert "access-control-allow-origin" not in server.post(HELLO, {"origin": "https://other.example"}).headers
    assert "access-control-allow-origin" not in server.post(HELLO).headers


def test_cors_on_errors(server):
    assert server.post(b"{", {"origin": ORIGIN}).headers["access-control-allow-origin"] == ORIGIN


def test_preflight(server):
    asked = {"access-control-request-method": "POST", "access-control-request-headers": "content-type,x-token"}
    response = server.request("OPTIONS", "/graphql", headers={"origin": ORIGIN} | asked)
    assert response.status_code in (200, 204)
    assert response.headers["access-control-allow-origin"] == ORIGIN
    assert "POST" in response.headers["access-control-allow-methods"]
    allowed = response.headers["access-control-allow-headers"].lower()
    assert "content-type" in allowed and "x-token" in allowed
    assert int(response.headers["access-control-max-age"]) > 0
    response = server.request("OPTIONS", "/graphql", headers={"origin": "https://other.example"} | asked)
    assert "access-control-allow-origin" not in response.headers


@pytest.mark.parametrize("encoding", ["gzip", "br"])
def test_compression(server, encoding):
    with server._client.stream(
        "POST", server.url, json={"query": "{ big(size: 100000) }"}, headers={"accept-encoding": encoding}
    ) as r:
        raw = b"".join(r.iter_raw())
        assert r.headers["content-encoding"] == encoding
        assert "accept-encoding" in r.headers["vary"].lower()
    assert len(raw) < 2000
    raw = brotli.decompress(raw) if encoding == "br" else gzip.decompress(raw)
    assert json.loads(raw) == {"data": {"big": "x" * 100_000}}


def test_no_compression_where_it_does_not_pay(server):
    assert "content-encoding" not in server.post(HELLO, {"accept-encoding": "gzip, br"}).headers
    plain = server.post({"query": "{ big(size: 100000) }"}, {"accept-encoding": "identity"})
    assert "content-encoding" not in plain.headers


# -- connections --
def test_keep_alive_and_close(server):
    with server.connect() as connection:
        for _ in range(3):
            connection.sendall(http1(HELLO))
            status, _, body = read_http1(connection)
            assert (status, json.loads(body)) == (200, WORLD)
        connection.sendall(http1(HELLO, headers=["Connection: close"]))
        assert read_http1(connection)[0] == 200
        assert connection.recv(1) == b""


def test_pipelining(server):
    with server.connect() as connection:
        queries = [{"query": f'{{ echo(text: "{i}") }}'} for i in range(10)]
        connection.sendall(b"".join(map(http1, queries)))
        received = b""
        while received.count(b'{"data"') < 10 or not received.endswith(b"}}"):
            received += connection.recv(65536)
        answers = [part.partition(b"}}")[0] for part in received.split(b'{"data":')[1:]]
        assert answers == [b'{"echo":"%d"' % i for i in range(10)]


def test_chunked_body(server):
    with server.connect() as connection:
        head = b"POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
        connection.sendall(head + b'a\r\n{"query":"\r\n')
        connection.sendall(b'b\r\n{ hello }"}\r\n0\r\n\r\n')
        assert json.loads(read_http1(connection)[2]) == WORLD


def test_byte_by_byte(server):
    with server.connect() as connection:
        for byte in http1(HELLO):
            connection.sendall(bytes([byte]))
        assert json.loads(read_http1(connection)[2]) == WORLD


def test_stalled_connections_disturb_nobody(server):
    stalled = [server.connect() for _ in range(50)]
    try:
        for i, connection in enumerate(stalled):
            connection.sendall(http1(HELLO)[: 20 + 3 * i])
        for _ in range(20):
            assert server.graphql("{ hello }") == WORLD
    finally:
        for connection in stalled:
            connection.close()


def test_half_closed_connection_gets_its_answer(server):
    with server.connect() as connection:
        connection.sendall(http1(HELLO))
        connection.shutdown(socket.SHUT_WR)
        assert json.loads(read_http1(connection)[2]) == WORLD


def test_clients_that_hang_up(server):
    before = server.descriptors()
    for i in range(100):
        with server.connect() as connection:
            connection.sendall(http1({"query": "{ big(size: 1000000) }"})[: None if i % 2 else 60])
    wait_until(lambda: server.descriptors() <= before + 2, seconds=20, what="connections to go")


def test_many_clients_at_once(server):
    def client(number):
        with httpx.Client(timeout=30 * SLOWNESS) as one:
            return [
                one.post(server.url, json={"query": f'{{ echo(text: "{number}") }}'}).json()["data"]["echo"] for _ in range(5)
            ]

    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(client, range(64))) == [[str(i)] * 5 for i in range(64)]


# -- HTTP/2 --
def test_curl_with_prior_knowledge(server):
    command = ["curl", "-sS", "--http2-prior-knowledge", "-H", "content-type: application/json", "-d", json.dumps(HELLO)]
    printed = subprocess.run(
        [*command, "-w", "\n%{http_version} %{http_code}", server.url], capture_output=True, text=True, check=True
    )
    assert printed.stdout == '{"data":{"hello":"world"}}\n2 200'


def test_many_streams_on_one_connection(server):
    async def all_of_them():
        limits = httpx.Limits(max_connections=1)
        async with httpx.AsyncClient(http1=False, http2=True, limits=limits, timeout=30 * SLOWNESS) as client:
            posts = [client.post(server.url, json={"query": f'{{ echo(text: "{i}") }}'}) for i in range(100)]
            return [response.json()["data"]["echo"] for response in await asyncio.gather(*posts)]

    assert asyncio.run(all_of_them()) == [str(i) for i in range(100)]


def test_http2_large_answer_and_errors(server):
    with httpx.Client(http1=False, http2=True, timeout=30 * SLOWNESS) as client:
        big = client.post(server.url, json={"query": "{ big(size: 3000000) }"}, headers={"accept-encoding": "identity"})
        assert big.http_version == "HTTP/2"
        assert big.json() == {"data": {"big": "x" * 3_000_000}}
        assert client.post(server.url, content=b"{").status_code in (400, 415)
        assert client.get(server.base + "/nowhere").status_code == 404


# -- TLS --
@pytest.fixture(scope="module")
def tls_server(start_shared, tmp_path_factory):
    certificate, key = self_signed(tmp_path_factory.mktemp("tls"))
    server = start_shared(BUNDLE, "--https", "127.0.0.1:0", "--tls-cert", certificate, "--tls-key", key)
    server.certificate = certificate
    return server


@pytest.mark.parametrize(("offered", "version"), [(True, "HTTP/2"), (False, "HTTP/1.1")])
def test_tls(tls_server, offered, version):
    with tls_client(tls_server.certificate, http2=offered) as client:
        response = client.post(f"https://{tls_server.ready['https']}/graphql", json=HELLO)
        assert response.json() == WORLD
        assert response.http_version == version
    assert tls_server.graphql("{ hello }") == WORLD, "plain HTTP goes on beside it"


@pytest.mark.parametrize(("offer", "chosen"), [(["h2", "http/1.1"], "h2"), (["http/1.1"], "http/1.1"), (["h2"], "h2")])
def test_alpn(tls_server, offer, chosen):
    context = ssl.create_default_context(cafile=str(tls_server.certificate))
    context.set_alpn_protocols(offer)
    host, _, port = tls_server.ready["https"].rpartition(":")
    with (
        socket.create_connection((host, int(port)), timeout=20) as plain,
        context.wrap_socket(plain, server_hostname=host) as tls,
    ):
        assert tls.selected_alpn_protocol() == chosen
        assert tls.version() in ("TLSv1.2", "TLSv1.3")


def test_old_tls_is_refused(tls_server):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    host, _, port = tls_server.ready["https"].rpartition(":")
    with socket.create_connection((host, int(port)), timeout=20) as plain, pytest.raises((ssl.SSLError, ConnectionError)):
        context.wrap_socket(plain, server_hostname=host)


def test_bytes_that_are_no_tls(tls_server):
    host, _, port = tls_server.ready["https"].rpartition(":")
    with socket.create_connection((host, int(port)), timeout=20) as plain:
        plain.sendall(http1(HELLO))
        plain.shutdown(socket.SHUT_WR)
        try:
            while plain.recv(65536):
                pass
        except ConnectionResetError:
            pass
