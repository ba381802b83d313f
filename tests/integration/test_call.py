# SPDX-License-Identifier: MIT
"""perilune call: a gRPC client for the command line, against grpcio's servers."""

import json
import subprocess
import threading

import grpc
import pytest
from grpc_reflection.v1alpha import reflection, reflection_pb2

from harness import PERILUNE, SLOWNESS, run_cli, self_signed
from protobuf import Protos, descriptor_set

FILES = {
    "demo/v1/demo.proto": """
syntax = "proto3";
package demo.v1;
import "demo/v1/types.proto";
import "google/protobuf/empty.proto";

service Demo {
  rpc Get(Item) returns (Item);
  rpc List(Item) returns (stream Item);
  rpc Sum(stream Item) returns (Item);
  rpc Chat(stream Item) returns (stream Item);
  rpc Fail(Item) returns (google.protobuf.Empty);
  rpc Headers(Item) returns (Item);
  rpc Sleep(Item) returns (Item);
}
""",
    "demo/v1/types.proto": """
syntax = "proto3";
package demo.v1;
import "google/protobuf/timestamp.proto";
// What is called an item.
message Item {
  string text = 1;
  int64 number = 2;
  google.protobuf.Timestamp at = 3;
  Kind kind = 4;
  map<string, int32> parts = 5;
  optional bool flag = 6;
  oneof owner { string user = 7; int64 team = 8; }
  repeated Inner inner = 9;
  message Inner { bytes data = 1; }
}
enum Kind { KIND_UNSPECIFIED = 0; KIND_BOOK = 3; }
""",
}


RPC = """
syntax = "proto3";
package google.rpc;
import "google/protobuf/any.proto";
message Status { int32 code = 1; string message = 2; repeated google.protobuf.Any details = 3; }
message BadRequest {
  message FieldViolation { string field = 1; string description = 2; }
  repeated FieldViolation field_violations = 1;
}
"""


def details():
    rpc = Protos({"rpc.proto": RPC})
    request = rpc["google.rpc.BadRequest"]()
    request.field_violations.add(field="text", description="is missing")
    status = rpc["google.rpc.Status"](code=3, message="not good: ü")
    status.details.add(type_url="type.googleapis.com/google.rpc.BadRequest", value=request.SerializeToString())
    status.details.add(type_url="type.googleapis.com/not.Known", value=b"\x01")
    return status


class Demo:
    """The service, and reflection of the versions that are wanted."""

    def __init__(self, reflections=("v1alpha",), credentials=None, address="127.0.0.1:0"):
        from concurrent import futures

        self.protos = Protos(FILES)
        self.item = self.protos["demo.v1.Item"]
        self.released = threading.Event()
        self.server = grpc.server(futures.ThreadPoolExecutor(8))
        handlers = {
            "Get": self._handler("unary_unary", lambda item, _: item),
            "List": self._handler("unary_stream", lambda item, _: (self.item(number=i) for i in range(item.number))),
            "Sum": self._handler("stream_unary", lambda items, _: self.item(number=sum(item.number for item in items))),
            "Chat": self._handler("stream_stream", lambda items, _: (self.item(text="re: " + item.text) for item in items)),
            "Fail": self._handler("unary_unary", self._fail),
            "Headers": self._handler("unary_unary", self._headers),
            "Sleep": self._handler("unary_unary", lambda item, _: self.released.wait(60) and item),
        }
        self.server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("demo.v1.Demo", handlers),))
        for version in reflections:
            self._reflect(version)
        if credentials:
            self.port = self.server.add_secure_port(address, credentials)
        else:
            self.port = self.server.add_insecure_port(address)
        self.address = f"127.0.0.1:{self.port}"

    def _handler(self, kind, function):
        return getattr(grpc, kind + "_rpc_method_handler")(
            function, self.item.FromString, lambda message: message.SerializeToString()
        )

    def _reflect(self, version):
        name = f"grpc.reflection.{version}.ServerReflection"
        servicer = reflection.ReflectionServicer(["demo.v1.Demo", name], pool=self.protos.pool)
        handler = grpc.stream_stream_rpc_method_handler(
            servicer.ServerReflectionInfo,
            reflection_pb2.ServerReflectionRequest.FromString,
            reflection_pb2.ServerReflectionResponse.SerializeToString,
        )
        methods = {"ServerReflectionInfo": handler}
        self.server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(name, methods),))

    @staticmethod
    def _fail(item, context):
        if item.text == "details":
            status = details()
            context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, status.message)
        context.abort(grpc.StatusCode.NOT_FOUND, "nobody\nhere")

    @staticmethod
    def _headers(item, context):
        context.send_initial_metadata((("x-early", "1"), ("early-bin", b"\x00\xff")))
        context.set_trailing_metadata((("x-late", "2"),))
        given = [f"{key}={value!r}" for key, value in context.invocation_metadata() if key.startswith("x-")]
        return type(item)(text=" ".join(given))

    def __enter__(self):
        self.server.start()
        return self

    def __exit__(self, *_):
        self.released.set()
        self.server.stop(None).wait()


@pytest.fixture(scope="module")
def demo():
    with Demo() as one:
        yield one


def call(server, *args, **options):
    return run_cli("call", server if isinstance(server, str) else server.address, *args, **options)


def lines(result):
    assert result.returncode == 0, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


# -- calls --
@pytest.mark.core
def test_unary(demo):
    item = {"text": "ü", "number": "9007199254740993", "at": "2024-02-29T12:00:00.5Z", "kind": "KIND_BOOK", "parts": {"a": 1}}
    item |= {"flag": False, "team": "7", "inner": [{"data": "AAE="}]}
    item["at"] = "2024-02-29T12:00:00.500Z"
    assert lines(call(demo, "demo.v1.Demo/Get", json.dumps(item))) == [item]
    assert lines(call(demo, "demo.v1.Demo.Get", '{"text": "a"}', "-v")) == [{"text": "a"}]
    assert lines(call(demo, "/demo.v1.Demo/Get")) == [{}]


def test_all_fields(demo):
    (item,) = lines(call(demo, "demo.v1.Demo/Get", "{}", "--defaults"))
    assert item == {"text": "", "number": "0", "kind": "KIND_UNSPECIFIED", "parts": {}, "inner": []}


def test_server_stream(demo):
    answers = lines(call(demo, "demo.v1.Demo/List", '{"number": 1000}', "--defaults"))
    assert [int(one["number"]) for one in answers] == list(range(1000))


def test_client_stream(demo):
    assert lines(call(demo, "demo.v1.Demo/Sum", '{"number": 1}{"number": 2} \n {"number": "3"}')) == [{"number": "6"}]
    assert lines(call(demo, "demo.v1.Demo/Sum", "")) == [{}]
    assert lines(call(demo, "demo.v1.Demo/Sum")) == [{}]  # standard input is empty


def test_standard_input(demo):
    """Each message goes as soon as it is there, and each answer is printed when it comes."""
    command = [PERILUNE, "call", demo.address, "demo.v1.Demo/Chat"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        for text in ("a", 'b } \\" c', "ü"):
            process.stdin.write(json.dumps({"text": text}) + "\n")
            process.stdin.flush()
            assert json.loads(process.stdout.readline()) == {"text": "re: " + text}
        process.stdin.close()
        assert process.stdout.read() == ""
        assert process.wait(30 * SLOWNESS) == 0


def test_standard_input_of_a_call_that_ends(demo):
    """Nobody waits for more input."""
    command = [PERILUNE, "call", demo.address, "demo.v1.Demo/Sum", "-"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        process.stdin.write('{"number": 1}{"numbre": 1}')
        process.stdin.flush()
        assert "message 2" in process.stderr.readline()
        assert process.wait(30 * SLOWNESS) == 1


# -- statuses --
@pytest.mark.core
def test_status(demo):
    result = call(demo, "demo.v1.Demo/Fail")
    assert result.returncode == 64 + 5
    assert result.stdout == ""
    assert result.stderr == "perilune: NOT_FOUND: nobody\nhere\n"


def test_details(demo):
    result = call(demo, "demo.v1.Demo/Fail", '{"text": "details"}')
    assert result.returncode == 64 + 3
    first, second, third = result.stderr.splitlines()
    assert first == "perilune: INVALID_ARGUMENT: not good: ü"
    assert json.loads(second) == {
        "@type": "type.googleapis.com/google.rpc.BadRequest",
        "fieldViolations": [{"field": "text", "description": "is missing"}],
    }
    assert third == "  type.googleapis.com/not.Known (not known here)"


def test_deadline(demo):
    result = call(demo, "demo.v1.Demo/Sleep", "--timeout", "0.2")
    assert result.returncode == 64 + 4
    assert result.stderr.startswith("perilune: DEADLINE_EXCEEDED")


def test_metadata(demo):
    result = call(demo, "demo.v1.Demo/Headers", "-v", "-H", "x-one: 1", "-Hx-one:2", "--header", "x-two-bin:AAE")
    assert lines(result) == [{"text": "x-one='1' x-one='2' x-two-bin=b'\\x00\\x01'"}]
    seen = result.stderr.splitlines()
    assert seen[0] == f"* {demo.address} answers"
    assert "< x-early: 1" in seen and "< early-bin: AP8=" in seen
    assert seen.index("< x-early: 1") < seen.index("< grpc-status: 0") < seen.index("< x-late: 2")
    assert seen[-1].startswith("* sent 1, received 1, ")


# -- what the server has --
@pytest.mark.parametrize("versions", [("v1",), ("v1alpha",), ("v1", "v1alpha")])
def test_reflection(versions):
    with Demo(versions) as server:
        listed = call(server, "list")
        assert listed.stdout.split() == sorted(["demo.v1.Demo", f"grpc.reflection.{versions[0]}.ServerReflection"])
        assert lines(call(server, "demo.v1.Demo/Get", '{"text": "a"}')) == [{"text": "a"}]


def test_no_reflection(tmp_path):
    with Demo(()) as server:
        result = call(server, "list")
        assert result.returncode == 1
        assert "the server does not have reflection; --proto FILE or --protoset FILE" in result.stderr


def test_list(demo):
    assert call(demo, "list", "demo.v1.Demo").stdout.split()[:2] == ["demo.v1.Demo/Get", "demo.v1.Demo/List"]
    result = call(demo, "list", "demo.v1.Item")
    assert result.returncode == 1
    assert result.stderr == "perilune: demo.v1.Item is no service; describe tells what it is\n"


def test_describe(demo):
    assert call(demo, "describe", "demo.v1.Demo/Chat").stdout == "rpc Chat(stream demo.v1.Item) returns (stream demo.v1.Item);\n"
    text = """message demo.v1.Item {
  string text = 1;
  int64 number = 2;
  google.protobuf.Timestamp at = 3;
  demo.v1.Kind kind = 4;
  map<string, int32> parts = 5;
  optional bool flag = 6;
  oneof owner {
    string user = 7;
    int64 team = 8;
  }
  repeated demo.v1.Item.Inner inner = 9;
  message Inner {
    bytes data = 1;
  }
}
"""
    assert call(demo, "describe", "demo.v1.Item").stdout == text
    assert call(demo, "describe", "demo.v1.Kind").stdout == "enum demo.v1.Kind {\n  KIND_UNSPECIFIED = 0;\n  KIND_BOOK = 3;\n}\n"
    everything = call(demo, "describe").stdout
    assert everything.startswith("service demo.v1.Demo {\n")
    assert "// grpc.reflection.v1alpha.ServerReflection: the server knows no" in everything  # not in its pool


# -- files instead of reflection --
def test_files(tmp_path):
    for path, text in FILES.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    (tmp_path / "demo.binpb").write_bytes(descriptor_set(FILES))
    by_proto = ("--proto", "demo/v1/demo.proto", "-I", tmp_path)
    by_set = ("--protoset", tmp_path / "demo.binpb")
    with Demo(()) as server:
        for files in (by_proto, by_set):
            assert lines(call(server, "demo.v1.Demo/Get", '{"text": "a"}', *files)) == [{"text": "a"}]
            assert call(server, "list", *files).stdout == "demo.v1.Demo\n"
            result = call(server, "other.v1.Other/Get", *files)
            assert (result.returncode, result.stderr) == (1, "perilune: there is no other.v1.Other in these files\n")


def test_a_proto_file_that_is_wrong(tmp_path):
    (tmp_path / "a.proto").write_text('syntax = "proto3";\nmessage A { nope }\n')
    result = call("127.0.0.1:1", "a.A/Get", "--proto", "a.proto", "-I", tmp_path)
    assert result.returncode == 1
    assert "a.proto:2:" in result.stderr
    assert result.stderr.endswith("perilune: the .proto files cannot be compiled\n")


# -- what is wrong --
def test_names(demo):
    result = call(demo, "demo.v1.Demo/Nope")
    assert result.returncode == 1
    assert result.stderr == "perilune: demo.v1.Demo has no method demo.v1.Demo/Nope; `list demo.v1.Demo` tells which it has\n"
    result = call(demo, "demo.v1.Nope/Get")
    assert (result.returncode, result.stderr) == (1, "perilune: the server knows no demo.v1.Nope\n")


def test_messages(demo):
    result = call(demo, "demo.v1.Demo/Get", '{"txet": "a"}')
    assert result.returncode == 1
    assert result.stderr.startswith("perilune: message 1: ")
    assert 'demo.v1.Item has no field "txet". Did you mean "text"' in result.stderr
    assert call(demo, "demo.v1.Demo/Get", "{").returncode == 1


def test_nobody_there():
    result = call("127.0.0.1:1", "list")
    assert result.returncode == 1
    assert "UNAVAILABLE" in result.stderr and "cannot connect to 127.0.0.1:1: Connection refused" in result.stderr


@pytest.mark.parametrize(
    "args, message",
    [
        ((), "a target and a method are expected"),
        (("127.0.0.1:1",), "a target and a method are expected"),
        (("127.0.0.1:1", "list", "a", "b"), "there is one argument too many: b"),
        (("127.0.0.1:1", "list", "--plaintext", "--tls"), "--plaintext and options of TLS exclude each other"),
        (("127.0.0.1:1", "list", "--cert", "a"), "--cert and --key belong together"),
        (("127.0.0.1:1", "list", "--timeout", "soon"), "the value of --timeout is not right: seconds are expected"),
        (("127.0.0.1:1", "list", "-H", "a"), 'the header "a" is not NAME:VALUE'),
        (("127.0.0.1:1", "list", "-H", "a-bin:!"), "the value of the header a-bin must be Base64"),
        (("127.0.0.1:1", "list", "-x"), "there is no option -x"),
    ],
)
def test_usage(args, message):
    result = run_cli("call", *args)
    assert result.returncode == 2
    assert message in result.stderr


def test_a_target_that_is_none():
    result = call("xds:///a", "list")
    assert result.returncode == 1
    assert 'target "xds:///a": "xds" is no scheme' in result.stderr


# -- a server of Perilune's own --
SERVICE = """
local errors = require "perilune.errors"
return { ["demo.v1.Demo"] = {
  Get = function(item) return item end,
  List = function(item, call) for i = 1, item.number do call:send { number = i } end end,
  Sum = function(call)
    local sum = 0
    for item in call:messages() do sum = sum + item.number end
    return { number = sum }
  end,
  Chat = function(call) for item in call:messages() do call:send { text = "re: " .. item.text } end end,
  Fail = function() error(errors.invalid_argument("not good", { text = "is missing" })) end,
} }
"""


@pytest.mark.core
def test_perilune_itself(start):
    bundle = {f"proto/{path}": text for path, text in FILES.items()} | {"services/demo.lua": SERVICE}
    server = start(bundle, "--grpc", "127.0.0.1:0").ready["grpc"]
    listed = call(server, "list").stdout.split()
    assert "demo.v1.Demo" in listed and "grpc.reflection.v1.ServerReflection" in listed
    everything = call(server, "describe")
    assert (everything.returncode, everything.stderr) == (0, "")
    assert "rpc Chat(stream demo.v1.Item) returns (stream demo.v1.Item);" in everything.stdout
    item = {"text": "ü", "at": "2024-02-29T12:00:00Z", "parts": {"a": 1}, "inner": [{"data": "AAE="}]}
    assert lines(call(server, "demo.v1.Demo/Get", json.dumps(item))) == [item]
    assert lines(call(server, "demo.v1.Demo/List", '{"number": 2}')) == [{"number": "1"}, {"number": "2"}]
    assert lines(call(server, "demo.v1.Demo/Sum", '{"number": 2} {"number": 3}')) == [{"number": "5"}]
    assert lines(call(server, "demo.v1.Demo/Chat", '{"text": "a"} {"text": "b"}')) == [{"text": "re: a"}, {"text": "re: b"}]
    result = call(server, "demo.v1.Demo/Fail")
    assert result.returncode == 64 + 3
    status, detail = result.stderr.splitlines()
    assert status == "perilune: INVALID_ARGUMENT: not good"
    assert json.loads(detail)["fieldViolations"] == [{"field": "text", "description": "is missing"}]


# -- TLS --
@pytest.fixture
def secure(tmp_path):
    certificate, key = self_signed(tmp_path)
    pair = [(key.read_bytes(), certificate.read_bytes())]
    with Demo(credentials=grpc.ssl_server_credentials(pair), address="localhost:0") as server:
        server.address = f"localhost:{server.port}"
        yield server, certificate


def test_tls(secure):
    server, certificate = secure
    assert lines(call(server, "demo.v1.Demo/Get", '{"text": "a"}', "--ca", certificate)) == [{"text": "a"}]
    assert lines(call(server, "demo.v1.Demo/Get", '{"text": "a"}', "--insecure")) == [{"text": "a"}]
    assert call(server, "list", "--ca", certificate, "--server-name", "127.0.0.1").returncode == 0


def test_tls_that_is_not_trusted(secure):
    server, certificate = secure
    result = call(server, "list", "--tls")
    assert result.returncode == 1
    assert "which is not trusted by the system's certificates" in result.stderr
    result = call(server, "list", "--ca", certificate, "--server-name", "example.org")
    assert result.returncode == 1
    assert "is not for example.org, but for localhost, 127.0.0.1" in result.stderr
    result = call(server, "list", "--ca", "/nowhere.pem")
    assert result.returncode == 1
    assert "/nowhere.pem" in result.stderr


def test_tls_with_a_port_for_plaintext(demo):
    result = call(demo, "list", "--tls")
    assert result.returncode == 1
    assert "is this a port for plaintext?" in result.stderr


def test_certificates_of_clients(tmp_path):
    certificate, key = self_signed(tmp_path)
    mine = tmp_path / "mine"
    mine.mkdir()
    client_certificate, client_key = self_signed(mine)
    credentials = grpc.ssl_server_credentials(
        [(key.read_bytes(), certificate.read_bytes())], client_certificate.read_bytes(), require_client_auth=True
    )
    with Demo(credentials=credentials, address="localhost:0") as server:
        address = f"localhost:{server.port}"
        shown = ("--cert", client_certificate, "--key", client_key)
        assert lines(call(address, "demo.v1.Demo/Get", '{"text": "a"}', "--ca", certificate, *shown)) == [{"text": "a"}]
        result = call(address, "list", "--ca", certificate)
        assert result.returncode == 1
