# SPDX-License-Identifier: MIT
"""Services that .proto files of the bundle describe: grpcio and Protobuf's own Python are the clients."""

import shutil
import sys

import grpc
import pytest

from grpc_client import fails
from harness import ROOT, run_cli, wait_until
from protobuf import Protos, descriptor_set

PROTO = """
syntax = "proto3";
package shop.v1;
import "shop/v1/types.proto";
import "google/protobuf/timestamp.proto";
import "google/protobuf/empty.proto";

service Shop {
  rpc Get(GetRequest) returns (Item);
  rpc List(ListRequest) returns (stream Item);
  rpc Add(stream Item) returns (Summary);
  rpc Chat(stream Note) returns (stream Note);
  rpc Wrong(google.protobuf.Empty) returns (Item);
  rpc WrongStream(google.protobuf.Empty) returns (stream Item);
  rpc Missing(google.protobuf.Empty) returns (google.protobuf.Empty);
}
message GetRequest { string id = 1; google.protobuf.Timestamp at = 2; }
message ListRequest { int32 count = 1; }
message Summary { int64 total = 1; repeated string names = 2; }
message Note { string text = 1; optional int32 number = 2; }
"""
TYPES = """
syntax = "proto3";
package shop.v1;
enum Kind { KIND_UNSPECIFIED = 0; KIND_BOOK = 1; }
message Item {
  string id = 1;
  Kind kind = 2;
  int64 price = 3;
  map<string, Part> parts = 4;
  repeated Part list = 5;
  oneof owner { string user = 6; int64 team = 7; }
}
message Part { string name = 1; optional double weight = 2; }
"""
FILES = {"shop/v1/shop.proto": PROTO, "shop/v1/types.proto": TYPES}
SERVICE = """
local errors = require "perilune.errors"
return {
  ["shop.v1.Shop"] = {
    Get = function(req)
      if req.id == "" then error(errors.invalid_argument "id is required") end
      return {
        id = req.id, kind = "KIND_BOOK", price = (1 << 62) + (req.at and req.at.seconds or 0), team = 7,
        parts = { a = { name = "A", weight = 0 } }, list = { { name = "x" }, { name = "y", weight = 1.5 } },
      }
    end,
    List = function(req, call)
      for i = 1, req.count do call:send { id = tostring(i) } end
    end,
    Add = function(call)
      local names, total = {}, 0
      for item in call:messages() do names[#names + 1], total = item.id, total + item.price end
      return { names = names, total = total }
    end,
    Chat = function(call)
      for note in call:messages() do
        call:send { text = "re: " .. note.text, number = note.number and note.number + 1 }
      end
    end,
    Wrong = function() return { list = { { name = "ok" }, { name = 5 } } } end,
    WrongStream = function(_, call) call:send { prise = 5 } end,
  },
}
"""
GRPC = ("--grpc", "127.0.0.1:0")


def in_proto(files):
    return {f"proto/{path}": text for path, text in files.items()}


BUNDLE = in_proto(FILES) | {"services/shop.lua": SERVICE}


@pytest.fixture(scope="module")
def protos():
    return Protos(FILES)


@pytest.fixture(scope="module")
def server(start_shared):
    return start_shared(BUNDLE, *GRPC)


@pytest.fixture
def shop(server, protos):
    with protos.connect(server, "shop.v1.Shop") as stub:
        yield stub


@pytest.mark.core
def test_unary(shop, protos):
    request = protos["shop.v1.GetRequest"](id="7")
    request.at.seconds = 3
    item = shop.Get(request)
    assert (item.id, item.kind, item.price, item.team) == ("7", 1, (1 << 62) + 3, 7)
    assert item.parts["a"].name == "A" and item.parts["a"].HasField("weight") and item.parts["a"].weight == 0
    assert [(part.name, part.HasField("weight")) for part in item.list] == [("x", False), ("y", True)]
    error = fails(lambda: shop.Get(protos["shop.v1.GetRequest"]()))
    assert (error.code(), error.details()) == (grpc.StatusCode.INVALID_ARGUMENT, "id is required")


@pytest.mark.core
def test_streams(shop, protos):
    items = list(shop.List(protos["shop.v1.ListRequest"](count=1000)))
    assert [item.id for item in items] == [str(i) for i in range(1, 1001)]
    item = protos["shop.v1.Item"]
    summary = shop.Add(item(id=str(i), price=i) for i in range(100))
    assert summary.total == sum(range(100)) and list(summary.names) == [str(i) for i in range(100)]
    note = protos["shop.v1.Note"]
    answers = shop.Chat(iter([note(text="a"), note(text="b", number=0)]))
    assert [(one.text, one.HasField("number"), one.number) for one in answers] == [
        ("re: a", False, 0),
        ("re: b", True, 1),
    ]


def test_what_does_not_fit_names_the_field(server, shop, protos):
    empty = protos["google.protobuf.Empty"]()
    error = fails(lambda: shop.Wrong(empty))
    assert error.code() == grpc.StatusCode.INTERNAL and "name" not in error.details()
    server.wait_log("shop.v1.Item: list[2].name: a string is expected, not an integer")
    error = fails(lambda: list(shop.WrongStream(empty)))
    assert error.code() == grpc.StatusCode.INTERNAL and "prise" not in error.details()
    server.wait_log('services/shop.lua:26: shop.v1.Item has no field \\"prise\\". Did you mean \\"price\\"')
    error = fails(lambda: shop.Missing(empty))
    assert error.code() == grpc.StatusCode.UNIMPLEMENTED


DETAILS = """
local errors = require "perilune.errors"
return { ["shop.v1.Shop"] = { Get = function(req)
  if req.id == "wrong" then errors.aborted("x", { details = { { ["@type"] = "google.rpc.ErrorInfo", reason = 5 } } }) end
  if req.id == "none" then errors.aborted("x", { details = { { reason = "R" } } }) end
  local details = {
    { ["@type"] = "google.rpc.ErrorInfo", reason = req.id, domain = "d", metadata = { k = "v" } },
    { ["@type"] = "type.googleapis.com/google.rpc.RetryInfo", retry_delay = 1.5 },
    { ["@type"] = "shop.v1.Part", name = "p" },
  }
  if req.id == "large" then details[2] = { ["@type"] = "shop.v1.Part", name = ("x"):rep(5000) } end
  error(errors.invalid_argument("bad", { id = "is bad" }, { details = details }))
end } }
"""


@pytest.mark.core
def test_details_of_errors(start, bundle, protos):
    server = start(bundle(in_proto(FILES) | {"services/shop.lua": DETAILS}), *GRPC)
    rpc = Protos((ROOT / "proto", ["google/rpc/status.proto", "google/rpc/error_details.proto"]))

    def details_of(id):
        error = fails(lambda: shop.Get(protos["shop.v1.GetRequest"](id=id)))
        trailers = dict(error.trailing_metadata())
        status = rpc["google.rpc.Status"].FromString(trailers.get("grpc-status-details-bin", b""))
        return error, [(one.type_url.removeprefix("type.googleapis.com/"), one.value) for one in status.details]

    with protos.connect(server, "shop.v1.Shop") as shop:
        error, details = details_of("R")
        assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
        names = ["google.rpc.BadRequest", "google.rpc.ErrorInfo", "google.rpc.RetryInfo", "shop.v1.Part"]
        assert [name for name, _ in details] == names
        assert rpc["google.rpc.BadRequest"].FromString(details[0][1]).field_violations[0].field == "id"
        info = rpc["google.rpc.ErrorInfo"].FromString(details[1][1])
        assert (info.reason, info.domain, dict(info.metadata)) == ("R", "d", {"k": "v"})
        delay = rpc["google.rpc.RetryInfo"].FromString(details[2][1]).retry_delay
        assert (delay.seconds, delay.nanos) == (1, 500000000)
        assert protos["shop.v1.Part"].FromString(details[3][1]).name == "p"
        _, details = details_of("large")
        assert [name for name, _ in details] == ["google.rpc.BadRequest", "google.rpc.ErrorInfo", "shop.v1.Part"]
        assert details_of("wrong")[0].code() == grpc.StatusCode.INTERNAL
        server.wait_log("services/shop.lua:4: errors.aborted: details[1]: reason: a string is expected, not an integer")
        assert details_of("none")[0].code() == grpc.StatusCode.INTERNAL
        server.wait_log("services/shop.lua:5: errors.aborted: details[1] is no message")


def test_graphql_clients_do_not_get_details(start, bundle):
    resolver = """
      local errors = require "perilune.errors"
      local details = { { ["@type"] = "google.rpc.ErrorInfo", reason = "R" } }
      return { Query = { fail = function()
        error(errors.not_found("none", { details = details, extensions = { k = 1 } }))
      end } }
    """
    files = in_proto(FILES) | {"schema/s.graphql": "type Query { fail: Int }", "resolvers/q.lua": resolver}
    error = start(bundle(files)).graphql("{ fail }")["errors"][0]
    assert error["extensions"] == {"code": "NOT_FOUND", "k": 1}


@pytest.mark.parametrize("kind", ["without its own files", "newer, for editions"])
def test_other_compilers(bundle, tmp_path, kind):
    """protoc without google/protobuf/*.proto beside it; and one that knows editions, which imports a set."""
    program = tmp_path / "bin" / "protoc"
    program.parent.mkdir()
    if kind == "newer, for editions":
        text = 'edition = "2023";\npackage e;\nimport "shop/v1/types.proto";\nimport "google/protobuf/any.proto";\n'
        text += "message M { shop.v1.Item item = 1; google.protobuf.Any any = 2; }\n"
        files = {"proto/e.proto": text, "proto/types.binpb": descriptor_set({"shop/v1/types.proto": TYPES})}
        program.write_text(f'#!/bin/sh\nexec {sys.executable} -m grpc_tools.protoc "$@"\n')
        program.chmod(0o755)
    else:
        files = BUNDLE
        shutil.copy(shutil.which("protoc"), program)
    result = run_cli("check", bundle(files), env={"PERILUNE_PROTOC": str(program)})
    assert result.returncode == 0, result.stdout
    if kind == "newer, for editions":
        result = run_cli("check", bundle(files))
        assert result.returncode == 1 and "PERILUNE_PROTOC" in result.stdout


def test_ready_made_imports(start, bundle):
    """google/rpc and google/api are there without copies of them; copies are as good, wherever they are."""
    text = """
      syntax = "proto3";
      package r;
      import "google/rpc/status.proto";
      import "google/api/annotations.proto";
      service S {
        rpc Get(google.rpc.Status) returns (google.rpc.Status) { option (google.api.http) = { get: "/v1/x" }; }
      }
    """
    service = 'return { ["r.S"] = { Get = function(req) return req end } }'
    files = {"proto/r.proto": text, "services/r.lua": service}
    assert run_cli("check", bundle(files)).returncode == 0
    status = (ROOT / "proto/google/rpc/status.proto").read_text()
    elsewhere = {"proto/r.proto": text.replace("google/rpc", "third"), "proto/third/status.proto": status}
    result = run_cli("check", bundle(files | elsewhere))
    assert result.returncode == 0, result.stdout


def test_bytes_that_are_no_message(server):
    with grpc.insecure_channel(server.ready["grpc"]) as channel:
        get = channel.unary_unary("/shop.v1.Shop/Get", bytes, bytes)
        error = fails(lambda: get(b"\x0a\x05abc"))
    assert error.code() == grpc.StatusCode.INTERNAL and "shop.v1.GetRequest" in error.details()


def test_reload_changes_services(start, bundle, protos):
    server = start(bundle(BUNDLE), *GRPC, "--watch")
    more = PROTO.replace("rpc Get(", "rpc Fetch(GetRequest) returns (Item);\n  rpc Get(")
    (server.bundle / "services/shop.lua").write_text(SERVICE.replace("Get = function", "Fetch = function"))
    server.wait_log("reload refused")
    (server.bundle / "proto/shop/v1/shop.proto").write_text(more)
    wait_until(lambda: server.status()["generation"] > 1)
    newer = Protos(FILES | {"shop/v1/shop.proto": more})
    with newer.connect(server, "shop.v1.Shop") as stub:
        assert stub.Fetch(newer["shop.v1.GetRequest"](id="1")).id == "1"
        assert fails(lambda: stub.Get(newer["shop.v1.GetRequest"](id="1"))).code() == grpc.StatusCode.UNIMPLEMENTED


def test_descriptor_sets(start, bundle, protos):
    """A ready set needs no protoc, and .proto files may import what is in one."""
    no_protoc = {"PERILUNE_PROTOC": "no-such-program"}
    server = start(bundle({"proto/shop.binpb": descriptor_set(FILES), "services/shop.lua": SERVICE}), *GRPC, env=no_protoc)
    with protos.connect(server, "shop.v1.Shop") as stub:
        assert stub.Get(protos["shop.v1.GetRequest"](id="1")).id == "1"
    types = descriptor_set({"shop/v1/types.proto": TYPES})
    files = {"proto/shop/v1/shop.proto": PROTO, "proto/types.pb": types, "services/shop.lua": SERVICE}
    with protos.connect(start(bundle(files), *GRPC), "shop.v1.Shop") as stub:
        assert stub.Get(protos["shop.v1.GetRequest"](id="1")).id == "1"


def test_perilune_proto_sees_them(start, bundle, protos):
    service = """
      local proto = require "perilune.proto"
      return { ["shop.v1.Shop"] = { Get = function(req)
        return { id = proto.to_json("shop.v1.GetRequest", req) }
      end } }
    """
    server = start(bundle(in_proto(FILES) | {"services/shop.lua": service}), *GRPC, "--workers", "2")
    with protos.connect(server, "shop.v1.Shop") as stub:
        assert stub.Get(protos["shop.v1.GetRequest"](id="1")).id == '{"id":"1"}'


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (
            {"proto/a.proto": 'syntax = "proto3";\npackage a;\nmessage M {\n  Nothing x = 1;\n}\n'},
            'proto/a.proto:4:3: "Nothing" is not defined.',
        ),
        (
            {"proto/a.proto": 'syntax = "proto3";\nimport "b.proto";\n'},
            'proto/a.proto:2:1: Import "b.proto" was not found or had errors.',
        ),
        ({"proto/a.binpb": b"\x0a\xff"}, "proto/a.binpb: it is no descriptor set"),
        (
            {"services/shop.lua": 'return {\n  ["shop.v1.Shop"] = {\n    get = function() end }\n}'},
            'services/shop.lua:3: The service shop.v1.Shop (in shop/v1/shop.proto) has no method "get". Did you mean "Get"?',
        ),
        (
            {"services/shop.lua": 'return {\n  ["shop.v1.Shoq"] = {\n    Get = function() end }\n}'},
            'services/shop.lua:3: There is no service "shop.v1.Shoq" in proto/. Did you mean "shop.v1.Shop"?',
        ),
        (
            {"services/shop.lua": 'return { ["shop.v1.Shop"] = { Get = 5 } }'},
            "services/shop.lua: shop.v1.Shop.Get must be a function, not an integer.",
        ),
        (
            {"services/shop.lua": 'return { ["shop.v1.Shop"] = { Get = { server_streaming = function() end } } }'},
            "services/shop.lua:1: The method shop.v1.Shop.Get is unary in shop/v1/shop.proto, not server_streaming",
        ),
    ],
)
def test_check_says_where(bundle, files, expected):
    result = run_cli("check", bundle(BUNDLE | files))
    assert result.returncode == 1 and expected in result.stdout, result.stdout


def test_check_warns_of_what_is_missing(bundle):
    result = run_cli("check", bundle(BUNDLE))
    assert result.returncode == 0, result.stdout
    assert "warning: shop.v1.Shop.Missing (in proto/shop/v1/shop.proto) has no function" in result.stdout


def test_bytes_beside_messages(start, bundle, protos):
    """Services without a description say which kind each method is."""
    raw = 'return { ["raw.Echo"] = { Echo = { unary = function(req) return req end } } }'
    server = start(bundle(BUNDLE | {"services/raw.lua": raw}), *GRPC)
    with grpc.insecure_channel(server.ready["grpc"]) as channel:
        assert channel.unary_unary("/raw.Echo/Echo", bytes, bytes)(b"\xff") == b"\xff"


def test_without_protoc(bundle):
    result = run_cli("check", bundle(BUNDLE), env={"PERILUNE_PROTOC": "no-such-program"})
    assert result.returncode == 1
    assert "the program no-such-program, which compiles .proto files, is not there" in result.stdout
    assert "protobuf-compiler" in result.stdout


def test_reload_without_changes_in_proto_needs_no_protoc(start, bundle, tmp_path):
    """The pool is kept by the contents of proto/."""
    log = tmp_path / "runs"
    program = tmp_path / "protoc"
    program.write_text(f'#!/bin/sh\necho run >> {log}\nexec protoc "$@"\n')
    program.chmod(0o755)
    (tmp_path / "tmp").mkdir()
    server = start(
        bundle(BUNDLE), *GRPC, "--workers", "2", env={"PERILUNE_PROTOC": str(program), "TMPDIR": str(tmp_path / "tmp")}
    )
    assert log.read_text() == "run\n"
    (server.bundle / "services/shop.lua").write_text(SERVICE + "-- changed\n")
    server.reload()
    assert log.read_text() == "run\n"
    (server.bundle / "proto/shop/v1/types.proto").write_text(TYPES + "message More {}\n")
    server.reload()
    server.rollback()
    assert log.read_text() == "run\nrun\n"
    assert not list((tmp_path / "tmp").iterdir())
