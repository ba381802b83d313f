# SPDX-License-Identifier: MIT
"""gRPC-Web, Connect and plain HTTP (google.api.http) on both ports: real clients, and requests byte by byte."""

import json
import socket
import ssl
import subprocess
from pathlib import Path

import httpx
import pytest

from grpc_client import connect
from harness import MEASURED, ROOT, SLOWNESS, environment, run_cli, self_signed
from protobuf import descriptor_set

PROTO = """
syntax = "proto3";
package shop.v1;
import "google/api/annotations.proto";
import "google/api/httpbody.proto";
message Item { string name = 1; int64 price = 2; repeated string tags = 3; }
message Upload { string name = 1; google.api.HttpBody content = 2; }
service Shop {
  rpc Get(Item) returns (Item) {
    option idempotency_level = NO_SIDE_EFFECTS;
    option (google.api.http) = { get: "/v1/{name=items/*}" };
  }
  rpc List(Item) returns (stream Item) { option (google.api.http) = { get: "/v1/items" }; }
  rpc Put(Item) returns (Item) { option (google.api.http) = { put: "/v1/items/{name}" body: "*" }; }
  rpc Add(stream Item) returns (Item);
  rpc Chat(stream Item) returns (stream Item);
  rpc Slow(Item) returns (Item);
  rpc Missing(Item) returns (Item);
  rpc Flood(Item) returns (stream Item);
  rpc File(Upload) returns (google.api.HttpBody) { option (google.api.http) = { post: "/v1/files/{name}" body: "content" }; }
}
"""
SERVICE = """
local errors = require "perilune.errors"
local time = require "perilune.time"
local log = require "perilune.log"
return {
  ["shop.v1.Shop"] = {
    Get = function(item, call)
      for _, name in ipairs { "x-name", "x-data-bin" } do call.response_headers[name] = call.metadata[name] end
      call.trailers["x-end"] = item.name == "" and "e" or "c"
      if item.name == "" then error(errors.invalid_argument("a name is needed: ä", { name = "is empty" })) end
      return item
    end,
    List = function(item, call)
      for i = 1, item.price do call:send { name = tostring(i) } end
      if item.name == "late" then error(errors.aborted "enough") end
    end,
    Put = function(item) return item end,
    Add = function(call)
      local names = {}
      for item in call:messages() do names[#names + 1] = item.name end
      return { name = table.concat(names, ",") }
    end,
    Chat = function(call)
      for item in call:messages() do call:send { name = "re " .. item.name } end
    end,
    Slow = function(_, call)
      local guard <close> = setmetatable({}, { __close = function() log.info "slow is over" end })
      log.info "slow has begun"
      time.sleep(300)
      return { name = call.certificate and call.certificate.common_name }
    end,
    File = function(file)
      return { content_type = file.content.content_type .. "+" .. file.name, data = file.content.data:reverse() }
    end,
    Flood = function(_, call)
      local name = ("x"):rep(10000)
      while true do call:send { name = name } end
    end,
  },
  ["shop.v1.Who"] = {
    Is = { unary = function(_, call) return call.certificate and call.certificate.common_name or "nobody" end },
  },
}
"""
BUNDLE = {
    "app.lua": 'return { http = { cors = { origins = { "https://app.example" } } } }',
    "proto/shop/v1/shop.proto": PROTO,
    "services/shop.lua": SERVICE,
}
GRPC = ("--grpc", "127.0.0.1:0")
SHOP = "/shop.v1.Shop/"
CLIENTS = Path(__file__).parent / "clients"
JSON = {"content-type": "application/json"}


@pytest.fixture(scope="module")
def server(start_shared):
    return start_shared(BUNDLE, *GRPC)


@pytest.fixture
def http(server):
    with httpx.Client(base_url=server.base, timeout=20 * SLOWNESS) as client:
        yield client


def post(path, content_type, body):
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def frame(text, flags=0):
    return bytes([flags]) + len(text).to_bytes(4, "big") + text


def frames(data):
    found = []
    while data:
        size = int.from_bytes(data[1:5], "big")
        found.append((data[0], data[5 : 5 + size]))
        data = data[5 + size :]
    return found


def test_real_clients(server, tmp_path):
    """connect-node, connect-web, grpc-web: all protocols, formats, versions of HTTP."""
    names = [
        "google/api/annotations.proto",
        "google/api/http.proto",
        "google/api/httpbody.proto",
        "google/rpc/error_details.proto",
    ]
    files = {name: (ROOT / "proto" / name).read_text() for name in names}
    descriptors = descriptor_set({"shop/v1/shop.proto": PROTO} | files)
    (tmp_path / "shop.binpb").write_bytes(descriptors)
    command = ["node", "rpc.mjs", server.base, "", f"http://{server.ready['grpc']}", str(tmp_path / "shop.binpb")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120 * SLOWNESS, cwd=CLIENTS, env=environment())
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "ok"


@pytest.mark.core
def test_connect(http):
    answer = http.post(SHOP + "Get", json={"name": "a", "price": "9007199254740993"}, headers={"x-name": "n"})
    assert (answer.status_code, answer.json()) == (200, {"name": "a", "price": "9007199254740993"})
    assert (answer.headers["x-name"], answer.headers["trailer-x-end"]) == ("n", "c")
    answer = http.post(SHOP + "Get", json={})
    assert answer.status_code == 400
    error = answer.json()
    assert (error["code"], error["message"]) == ("invalid_argument", "a name is needed: ä")
    assert error["details"][0]["type"] == "google.rpc.BadRequest"
    answer = http.get(SHOP + "Get", params={"encoding": "json", "message": '{"name":"b"}', "connect": "v1"})
    assert answer.json() == {"name": "b"}
    assert http.get(SHOP + "Put?encoding=json&message={}").status_code == 405
    answer = http.post(SHOP + "Get", content=b'{"name"', headers=JSON)
    assert answer.status_code == 400 and answer.json()["code"] == "invalid_argument"
    answer = http.post(SHOP + "Slow", json={}, headers={"connect-timeout-ms": "50"})
    assert answer.status_code == 504 and answer.json()["code"] == "deadline_exceeded"
    answer = http.post(SHOP + "Missing", json={})
    assert answer.status_code == 404 and answer.json()["code"] == "unimplemented"
    assert http.post("/shop.v1.Nope/Get", json={}).json() == {"errors": [{"message": "not found"}]}
    assert http.post(SHOP + "Get", content=b"", headers={"content-type": "application/grpc"}).status_code == 415


@pytest.mark.core
def test_streams_over_http1(http):
    headers = {"content-type": "application/connect+json"}
    answer = http.post(SHOP + "List", content=frame(b'{"price":2,"name":"late"}'), headers=headers)
    assert frames(answer.content) == [
        (0, b'{"name":"1"}'),
        (0, b'{"name":"2"}'),
        (2, b'{"error":{"code":"aborted","message":"enough"}}'),
    ]
    answer = http.post(SHOP + "List", content=frame(b"{}", 2), headers=headers)
    assert answer.status_code == 200 and b'"code":"internal"' in answer.content
    answer = http.post(SHOP + "List", content=frame(b"\x10\x02"), headers={"content-type": "application/grpc-web"})
    assert frames(answer.content) == [(0, b"\n\x011"), (0, b"\n\x012"), (0x80, b"grpc-status: 0\r\n")]


def test_cross_origin(server, http):
    """Preflights, and what scripts may read; on the gRPC port, too."""
    origin = {"origin": "https://app.example"}
    ask = origin | {"access-control-request-method": "POST", "access-control-request-headers": "connect-timeout-ms"}
    h2 = httpx.Client(base_url=f"http://{server.ready['grpc']}", http1=False, http2=True, timeout=20 * SLOWNESS)
    with h2:
        for client in (http, h2):
            answer = client.options(SHOP + "Get", headers=ask)
            assert answer.status_code == 204
            assert answer.headers["access-control-allow-origin"] == "https://app.example"
            assert answer.headers["access-control-allow-headers"] == "connect-timeout-ms"
            answer = client.post(SHOP + "Get", json={"name": "a"}, headers=origin | {"x-name": "n"})
            assert answer.headers["access-control-allow-origin"] == "https://app.example"
            exposed = answer.headers["access-control-expose-headers"].split(",")
            assert {"x-name", "trailer-x-end"} <= set(exposed)
            answer = client.post(SHOP + "Get", json={"name": "a"}, headers={"origin": "https://evil.example"})
            assert "access-control-allow-origin" not in answer.headers


@pytest.mark.core
def test_clients_that_leave(server):
    """A call whose client has gone ends."""
    with server.connect() as connection:
        connection.sendall(post(SHOP + "Slow", "application/json", b"{}"))
        server.wait_log("slow has begun")
    server.wait_log("slow is over")


@pytest.mark.core
def test_slow_reader(start):
    """What a client does not take waits, and does not grow."""
    server = start(BUNDLE, env=MEASURED)
    with server.connect() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.sendall(post(SHOP + "Flood", "application/connect+json", frame(b"{}")))
        assert connection.recv(100).startswith(b"HTTP/1.1 200")
        before = server.memory()
        for _ in range(20):
            assert httpx.post(server.base + SHOP + "Get", json={"name": "x"}, timeout=20 * SLOWNESS).status_code == 200
        assert server.memory() - before < 8 << 20


def test_client_certificates(start, tmp_path):
    """The HTTPS port asks for them, too, and services see them."""
    (tmp_path / "client").mkdir()
    client, key = self_signed(tmp_path / "client")  # its own authority
    certificate, server_key = self_signed(tmp_path)
    tls = ("--tls-cert", certificate, "--tls-key", server_key, "--https-client-ca", client)
    server = start(BUNDLE, "--https", "localhost:0", *tls)
    url = f"https://localhost:{server.ready['https'].rpartition(':')[2]}/shop.v1.Who/Is"
    context = ssl.create_default_context(cafile=str(certificate))
    with pytest.raises(httpx.HTTPError):
        httpx.post(url, content=b"", headers=JSON, verify=context, timeout=20 * SLOWNESS)
    context.load_cert_chain(client, key)
    for http2 in (False, True):
        with httpx.Client(verify=context, http2=http2, timeout=20 * SLOWNESS) as https:
            assert https.post(url, content=b"", headers=JSON).text == "localhost"


# --- google.api.http ---


@pytest.mark.core
def test_plain_http(http):
    assert http.get("/v1/items/a%2Fb?price=5&tags=x&tags=y%20z").json() == {
        "name": "items/a%2Fb",
        "price": "5",
        "tags": ["x", "y z"],
    }
    assert http.put("/v1/items/a%2Fb", json={"name": "ignored", "price": 1}).json() == {"name": "a/b", "price": "1"}
    answer = http.get("/v1/items?price=x")
    assert (answer.status_code, answer.json()["error"]["status"]) == (400, "INVALID_ARGUMENT")
    assert 'price must be a 64-bit integer, not "x"' in answer.json()["error"]["message"]
    assert http.get("/v1/items?price=2").json() == [{"name": "1"}, {"name": "2"}]
    lines = http.get("/v1/items?price=2&name=late", headers={"accept": "application/x-ndjson"}).text.splitlines()
    assert [json.loads(line) for line in lines][:2] == [{"name": "1"}, {"name": "2"}]
    assert json.loads(lines[2])["error"]["code"] == 409
    answer = http.request("DELETE", "/v1/items/a")
    assert (answer.status_code, set(answer.headers["allow"].split(", "))) == (405, {"GET", "PUT"})
    answer = http.put("/v1/items/a", content=b"{}", headers={"content-type": "text/plain"})
    assert answer.status_code == 415
    answer = http.post("/v1/files/x", content=b"\0\xffab", headers={"content-type": "image/png"})
    assert (answer.content, answer.headers["content-type"]) == (b"ba\xff\0", "image/png+x")
    head = http.head("/v1/items/a")
    assert (head.status_code, head.content) == (200, b"")


def test_both_ports_serve_it(server):
    with httpx.Client(base_url=f"http://{server.ready['grpc']}", http1=False, http2=True, timeout=20 * SLOWNESS) as h2:
        assert h2.get("/v1/items/a").json() == {"name": "items/a"}
        assert h2.get("/v1/nothing").status_code == 405


def test_wrong_rules(bundle):
    wrong = PROTO.replace("/v1/{name=items/*}", "/v1/{nome=items/*}").replace('"/v1/items/{name}" body: "*"', '"/v1/{name=**}/x"')
    found = run_cli("check", bundle(BUNDLE | {"proto/shop/v1/shop.proto": wrong}))
    assert found.returncode == 1
    text = found.stdout + found.stderr
    assert 'proto/shop/v1/shop.proto: shop.v1.Shop.Get: google.api.http: shop.v1.Item has no field "nome".' in text
    assert 'shop.v1.Shop.Put: google.api.http: the path "/v1/{name=**}/x" is wrong at character 16' in text
    twice = PROTO.replace('put: "/v1/items/{name}" body: "*"', 'get: "/v1/items"')
    found = run_cli("check", bundle(BUNDLE | {"proto/shop/v1/shop.proto": twice}))
    assert "GET /v1/items is the path of shop.v1.Shop." in found.stdout + found.stderr


def test_reload_adds_a_route(start, bundle):
    folder = bundle(BUNDLE)
    server = start(folder, *GRPC)
    assert httpx.get(server.base + "/v2/items/a").status_code == 404
    more = PROTO.replace('"/v1/{name=items/*}"', '"/v2/{name=items/*}"')
    (folder / "proto/shop/v1/shop.proto").write_text(more)
    server.reload()
    assert httpx.get(server.base + "/v2/items/a").json() == {"name": "items/a"}
    assert httpx.get(server.base + "/v1/items/a").status_code == 405
    with connect(server, "shop.v1.Shop") as shop:
        assert shop.unary("Get")(b"\n\x01a") == b"\n\x01a"
