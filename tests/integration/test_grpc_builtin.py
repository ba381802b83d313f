# SPDX-License-Identifier: MIT
"""The built-in gRPC services, through the clients that Python's gRPC packages have for them, and through generated messages."""

import contextlib
import json
import queue
import signal
import threading

import grpc
import httpx
import pytest
from google.protobuf import descriptor_pb2, message_factory
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from grpc_client import GOAWAY, Raw, connect, fails, frame, request_block
from harness import ROOT, SLOWNESS, run_cli, wait_until, write_bundle
from protobuf import Protos

TYPES = """
syntax = "proto2";
package shop.v1;
import "google/protobuf/timestamp.proto";
message Item {
  optional string name = 1;
  optional google.protobuf.Timestamp at = 2;
  oneof kind { int32 number = 3; string text = 4; }
  extensions 100 to 200;
}
enum Color { RED = 0; }
"""
SHOP = """
syntax = "proto2";
package shop.v1;
import "shop/v1/types.proto";
extend Item { optional int32 weight = 120; optional int32 height = 110; }
service Shop { rpc Get(Item) returns (Item); }
service Unserved { rpc Get(Item) returns (Item); }
"""
PROTOS = {"proto/shop/v1/types.proto": TYPES, "proto/shop/v1/shop.proto": SHOP}
SERVICE = """
local health = require "perilune.health"
return {
  ["shop.v1.Shop"] = { Get = function(req)
    if req.name then health.set(req.name, req.text) else health.clear(req.text) end
    return req
  end },
}
"""
BYTES = """return { ["plain.Bytes"] = { Echo = { unary = function(r) return r end } } }"""
BUNDLE = {**PROTOS, "services/shop.lua": SERVICE, "services/bytes.lua": BYTES}
GRPC = ("--grpc", "127.0.0.1:0")
OWN = sorted((ROOT / "proto" / "grpc").rglob("*.proto"))
NAMES = ["grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"]
SERVING, NOT_SERVING, SERVICE_UNKNOWN = 1, 2, 3


@pytest.fixture(scope="module")
def own():
    """Our own .proto files, as a client's generated code."""
    return Protos({str(path.relative_to(ROOT / "proto")): path.read_text() for path in OWN})


@pytest.fixture(scope="module")
def shop():
    return Protos({path.removeprefix("proto/"): text for path, text in PROTOS.items()})


@pytest.fixture(scope="module")
def server(start_shared):
    return start_shared(BUNDLE, *GRPC, workers=2)


@pytest.fixture
def channel(server):
    with connect(server) as service:
        yield service.channel


def say(shop, server, name, status):
    """Has the bundle say something about a service; None: nothing any more."""
    with shop.connect(server, "shop.v1.Shop") as stub:
        stub.Get(shop["shop.v1.Item"](text=name) if status is None else shop["shop.v1.Item"](name=name, text=status))


def check(channel, service=""):
    return health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service=service)).status


class Watch:
    """What Watch says, as it comes."""

    def __init__(self, channel, service):
        self.call = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(service=service))
        self.said, self.error = queue.Queue(), None
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        try:
            for response in self.call:
                self.said.put(response.status)
        except grpc.RpcError as error:
            self.error = error
        self.said.put(None)

    def next(self):
        return self.said.get(timeout=20 * SLOWNESS)


def same_on_the_wire(ours, theirs):
    """Compares what two files say of messages and services, field by field."""

    def fields(message):
        return {
            (f.name, f.number, f.type, f.label, f.type_name, f.oneof_index if f.HasField("oneof_index") else -1)
            for f in message.field
        }

    def compare(left, right):
        assert {m.name for m in left} == {m.name for m in right}
        others = {m.name: m for m in right}
        for message in left:
            other = others[message.name]
            assert fields(message) == fields(other), message.name
            assert [o.name for o in message.oneof_decl] == [o.name for o in other.oneof_decl], message.name
            enums = {e.name: e for e in other.enum_type}
            for enum in message.enum_type:
                assert [(v.name, v.number) for v in enum.value] == [(v.name, v.number) for v in enums[enum.name].value]
            compare(message.nested_type, other.nested_type)

    assert ours.package == theirs.package
    compare(ours.message_type, theirs.message_type)
    methods = {(s.name, m.name): m for s in ours.service for m in s.method}
    for service in theirs.service:
        for method in service.method:
            assert methods[service.name, method.name].SerializeToString() == method.SerializeToString(), method.name


def file_of(descriptor):
    out = descriptor_pb2.FileDescriptorProto()
    descriptor.CopyToProto(out)
    return out


def test_our_files_say_what_the_public_ones_say(own):
    alpha = file_of(own.pool.FindFileByName("grpc/reflection/v1alpha/reflection.proto"))
    same_on_the_wire(alpha, file_of(reflection_pb2.DESCRIPTOR))
    v1 = file_of(own.pool.FindFileByName("grpc/reflection/v1/reflection.proto"))
    text = (
        str(v1)
        .replace("grpc.reflection.v1.", "grpc.reflection.v1alpha.")
        .replace("grpc/reflection/v1/", "grpc/reflection/v1alpha/")
    )
    assert text.replace('"grpc.reflection.v1"', '"grpc.reflection.v1alpha"') == str(alpha)
    health = file_of(own.pool.FindFileByName("grpc/health/v1/health.proto"))
    theirs = file_of(health_pb2.DESCRIPTOR)
    for message in health.message_type:  # theirs may be older, without List
        if message.name not in [m.name for m in theirs.message_type]:
            theirs.message_type.add().CopyFrom(message)
    same_on_the_wire(health, theirs)


# -- health --
@pytest.mark.core
def test_check(channel):
    assert check(channel) == SERVING
    assert check(channel, "shop.v1.Shop") == SERVING
    assert check(channel, "plain.Bytes") == SERVING
    for name in ("shop.v1.Unserved", "nobody", "shop.v1.Shop/Get"):
        assert fails(lambda name=name: check(channel, name)).code() is grpc.StatusCode.NOT_FOUND


@contextlib.contextmanager
def several_channels(server, count):
    """Each with a connection of its own, so that some end up on each worker."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(connect(server)).channel for _ in range(count)]


@pytest.mark.core
def test_watch_follows_scripts_on_all_workers(server, shop):
    with several_channels(server, 6) as channels:
        watches = [Watch(channel, "shop.v1.Shop") for channel in channels]
        assert [w.next() for w in watches] == [SERVING] * 6
        say(shop, server, "shop.v1.Shop", "NOT_SERVING")
        assert [w.next() for w in watches] == [NOT_SERVING] * 6
        assert [check(channel, "shop.v1.Shop") for channel in channels] == [NOT_SERVING] * 6
        assert check(channels[0]) == SERVING
        say(shop, server, "shop.v1.Shop", "NOT_SERVING")  # no change: nothing is told
        say(shop, server, "shop.v1.Shop", None)
        assert [w.next() for w in watches] == [SERVING] * 6
        assert all(w.said.empty() for w in watches)


def test_watch_of_an_unknown_service_goes_on(server, channel, shop):
    watch = Watch(channel, "db")
    assert watch.next() == SERVICE_UNKNOWN
    say(shop, server, "db", "NOT_SERVING")
    assert watch.next() == NOT_SERVING
    say(shop, server, "db", "SERVING")
    assert watch.next() == SERVING
    say(shop, server, "db", None)
    assert watch.next() == SERVICE_UNKNOWN
    watch.call.cancel()


def test_list(server, channel, own, shop):
    say(shop, server, "cache", "NOT_SERVING")
    try:
        stub = own.stub(channel, "grpc.health.v1.Health")
        statuses = {name: one.status for name, one in stub.List(stub["List"]()).statuses.items()}
    finally:
        say(shop, server, "cache", None)
    assert statuses == {"": SERVING, "shop.v1.Shop": SERVING, "plain.Bytes": SERVING, "cache": NOT_SERVING}


@pytest.mark.parametrize(
    ("name", "status", "expected"),
    [
        ("x" * 257, "SERVING", "at most 256 bytes"),
        ("x", "UNKNOWN", '\\"SERVING\\" or \\"NOT_SERVING\\" is expected'),
        ("a\0b", "SERVING", "must be text"),
    ],
    ids=["long", "status", "nul"],
)
def test_health_set_refuses(server, shop, name, status, expected):
    error = fails(lambda: say(shop, server, name, status))
    assert expected in error.details() or (error.code() is grpc.StatusCode.INTERNAL and server.wait_log(expected))


def test_health_while_loading(tmp_path):
    app = 'require("perilune.health").set("x", "SERVING") return {}'
    assert "say it later" in run_cli("check", write_bundle(tmp_path, {"app.lua": app})).stdout


def test_health_over_reloads(start, shop):
    server = start(BUNDLE, *GRPC, workers=2)
    with connect(server) as service:
        channel = service.channel
        shop_watch, new_watch = Watch(channel, "shop.v1.Shop"), Watch(channel, "new.Service")
        assert (shop_watch.next(), new_watch.next()) == (SERVING, SERVICE_UNKNOWN)
        say(shop, server, "shop.v1.Shop", "NOT_SERVING")
        assert shop_watch.next() == NOT_SERVING
        write_bundle(server.bundle, {"services/new.lua": BYTES.replace("plain.Bytes", "new.Service")})
        server.reload()
        assert new_watch.next() == SERVING
        assert check(channel, "shop.v1.Shop") == NOT_SERVING  # what was said stays
        assert shop_watch.said.empty()
        write_bundle(server.bundle, {"services/new.lua": None})
        server.reload()
        assert new_watch.next() == SERVICE_UNKNOWN
        # Streams that stay do not keep old generations.
        assert [g["state"] for g in status_of(server)["generations"]] == ["live"]
        say(shop, server, "shop.v1.Shop", None)
        assert shop_watch.next() == SERVING


def status_of(server):
    def settled():
        status = json.loads(server.cli("status", "--json").stdout)
        return status if len(status["generations"]) == 1 else None

    return wait_until(settled, what="old generations to go")


def test_watchers_hear_of_the_end_before_goaway(start):
    server = start(BUNDLE, *GRPC)
    block = request_block(b"/grpc.health.v1.Health/Watch")
    with Raw(server) as raw:
        raw.greet()
        raw.send(frame(1, 4, 1, block) + frame(0, 1, 1, b"\0\0\0\0\0"))
        said, data = [], b""
        for kind, _, stream, payload in raw.frames():
            if kind == 0 and stream == 1:
                data += payload
                said.append("serving" if len(data) == 7 else "not serving")
                if len(data) == 7:
                    server.signal(signal.SIGTERM)
            elif kind == GOAWAY:
                said.append("goaway")
                break
    assert said == ["serving", "not serving", "goaway"]
    assert data == b"\0\0\0\0\2\x08\1" + b"\0\0\0\0\2\x08\2"
    server.process.wait(60 * SLOWNESS)


def test_the_end_of_a_watch(start):
    server = start(BUNDLE, *GRPC)
    with connect(server) as service:
        watch = Watch(service.channel, "")
        assert watch.next() == SERVING
        server.signal(signal.SIGTERM)
        assert watch.next() == NOT_SERVING
        assert watch.next() is None
    assert watch.error.code() is grpc.StatusCode.UNAVAILABLE
    server.process.wait(60 * SLOWNESS)


# -- reflection --
@pytest.mark.core
def test_reflection_v1alpha(channel):
    db = ProtoReflectionDescriptorDatabase(channel)
    assert list(db.get_services()) == [*NAMES, "shop.v1.Shop"]
    pool = DescriptorPool(db)
    method = pool.FindServiceByName("shop.v1.Shop").methods_by_name["Get"]
    assert method.input_type.fields_by_name["at"].message_type.full_name == "google.protobuf.Timestamp"
    assert db.FindAllExtensionNumbers("shop.v1.Item") == [110, 120]
    watch = pool.FindServiceByName("grpc.health.v1.Health").methods_by_name["Watch"]
    assert watch.output_type.full_name == "grpc.health.v1.HealthCheckResponse"
    # What reflection says is enough to make a call.
    item = message_factory.GetMessageClass(method.input_type)
    call = channel.unary_unary("/shop.v1.Shop/Get", item.SerializeToString, item.FromString)
    assert call(item(text="nothing", at={"seconds": 5})).at.seconds == 5


class Reflection:
    """One stream of v1, or of v1alpha: ask(file_by_filename=…) gives the response."""

    def __init__(self, own, channel, version="v1"):
        self.stub = own.stub(channel, f"grpc.reflection.{version}.ServerReflection")
        self.requests = queue.Queue()
        self.answers = self.stub.ServerReflectionInfo(iter(self.requests.get, None))

    def ask(self, host="", **what):
        self.requests.put(self.stub["ServerReflectionInfo"](host=host, **what))
        return next(self.answers)

    def files(self, **what):
        answer = self.ask(**what).file_descriptor_response.file_descriptor_proto
        return [descriptor_pb2.FileDescriptorProto.FromString(one).name for one in answer]

    def error(self, **what):
        return self.ask(**what).error_response

    def end(self):
        self.requests.put(None)
        assert list(self.answers) == []
        return self.answers.code()


WITH_SHOP = ["shop/v1/shop.proto", "shop/v1/types.proto", "google/protobuf/timestamp.proto"]


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
def test_reflection(channel, own, version):
    stream = Reflection(own, channel, version)
    assert stream.files(file_by_filename="shop/v1/shop.proto") == WITH_SHOP
    assert stream.files(file_by_filename="google/protobuf/timestamp.proto") == WITH_SHOP[2:]
    for symbol in ("Shop", "Shop.Get", "weight", "Unserved"):
        assert stream.files(file_containing_symbol=f"shop.v1.{symbol}") == WITH_SHOP
    for symbol in ("Item", "Item.name", "Item.kind", "Color", "RED"):
        assert stream.files(file_containing_symbol=f"shop.v1.{symbol}") == WITH_SHOP[1:]
    assert stream.files(file_containing_extension={"containing_type": "shop.v1.Item", "extension_number": 110}) == WITH_SHOP
    numbers = stream.ask(all_extension_numbers_of_type="shop.v1.Item").all_extension_numbers_response
    assert (numbers.base_type_name, list(numbers.extension_number)) == ("shop.v1.Item", [110, 120])
    assert list(stream.ask(all_extension_numbers_of_type="shop.v1.Item").all_extension_numbers_response.extension_number) == [
        110,
        120,
    ]
    services = stream.ask(list_services="*").list_services_response.service
    assert [s.name for s in services] == [*NAMES, "shop.v1.Shop"]
    assert stream.files(file_containing_symbol=f"grpc.reflection.{version}.ErrorResponse") == [
        f"grpc/reflection/{version}/reflection.proto"
    ]
    assert stream.end() is grpc.StatusCode.OK


def test_reflection_errors_leave_the_stream(channel, own):
    stream = Reflection(own, channel)
    assert stream.error(file_by_filename="no.proto").error_code == grpc.StatusCode.NOT_FOUND.value[0]
    for symbol in ("no.Such", "shop.v1.Item.no", "shop.v1", "", ".", "shop.v1."):
        assert stream.error(file_containing_symbol=symbol).error_code == 5, symbol
    for kind, number in (("no.Such", 1), ("shop.v1.Item", 1), ("shop.v1.Item", -1), ("shop.v1.Item", 0)):
        assert stream.error(file_containing_extension={"containing_type": kind, "extension_number": number}).error_code == 5
    assert stream.error(all_extension_numbers_of_type="shop.v1.Shop").error_code == 5
    assert stream.error().error_code == grpc.StatusCode.INVALID_ARGUMENT.value[0]
    answer = stream.ask(host="here", file_by_filename="no.proto")
    assert answer.valid_host == "here" and answer.original_request.file_by_filename == "no.proto"
    assert "no.proto" in answer.error_response.error_message
    assert stream.files(file_by_filename="shop/v1/types.proto") == WITH_SHOP[1:]


def test_reflection_of_what_is_no_message(channel):
    call = channel.stream_stream("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", bytes, bytes)
    error = fails(lambda: list(call(iter([b"\xff\xff"]))))
    assert error.code() is grpc.StatusCode.INTERNAL and "ServerReflectionRequest" in error.details()


def test_reflection_over_a_reload(start, own):
    server = start(BUNDLE, *GRPC, workers=1)
    with connect(server) as service:
        stream = Reflection(own, service.channel)
        assert stream.error(file_by_filename="more.proto").error_code == 5
        proto = 'syntax = "proto3"; package more; message M {} service S { rpc Do(M) returns (M); }'
        lua = 'return { ["more.S"] = { Do = function(m) return m end } }'
        write_bundle(server.bundle, {"proto/more.proto": proto, "services/more.lua": lua})
        server.reload()
        assert stream.files(file_containing_symbol="more.S") == ["more.proto"]
        names = [s.name for s in stream.ask(list_services="").list_services_response.service]
        assert "more.S" in names
        assert len(status_of(server)["generations"]) == 1  # the stream keeps no old one
        assert stream.end() is grpc.StatusCode.OK


def test_many_requests_on_a_stream_that_is_read_late(channel, own):
    """What is asked for waits while nobody reads."""
    stub = own.stub(channel, "grpc.reflection.v1.ServerReflection")
    request = stub["ServerReflectionInfo"](file_by_filename="google/protobuf/descriptor.proto")
    answers = stub.ServerReflectionInfo(iter([request] * 2000), timeout=60 * SLOWNESS)
    assert sum(len(a.file_descriptor_response.file_descriptor_proto) for a in answers) == 2000


def test_other_protocols(server):
    """Connect and gRPC-Web, with binary messages, on the gRPC port."""
    with httpx.Client(http1=False, http2=True) as client:

        def ask(kind, body, port="grpc"):
            url = f"http://{server.ready[port]}/grpc.health.v1.Health/Check"
            return client.post(url, content=body, headers={"content-type": kind})

        response = ask("application/proto", b"")
        assert (response.status_code, response.content) == (200, b"\x08\1")
        response = ask("application/grpc-web+proto", b"\0" * 5)
        assert response.content.startswith(b"\0\0\0\0\2\x08\1\x80")
        response = ask("application/proto", b"\x0a\4none")
        assert (response.status_code, response.json()["code"]) == (404, "not_found")
        for kind in ("application/json", "application/grpc-web+json", "application/grpc+json"):
            assert ask(kind, b"{}").status_code == 415, kind
        assert (
            httpx.post(f"{server.base}/grpc.health.v1.Health/Check", headers={"content-type": "application/proto"}).status_code
            == 404
        )


# -- off, on, hidden --
def test_services_that_are_off(start, own):
    app = "return { grpc = { health = %s, reflection = %s } }"
    server = start({**BUNDLE, "app.lua": app % ("false", "false")}, *GRPC)
    with connect(server) as service:
        for name, method in (("grpc.health.v1.Health", "Check"), (NAMES[1], "ServerReflectionInfo")):
            call = service.channel.unary_unary(f"/{name}/{method}", bytes, bytes)
            error = fails(lambda call=call: call(b""))
            assert error.code() is grpc.StatusCode.UNIMPLEMENTED and error.details() == f"unknown service {name}"
        write_bundle(server.bundle, {"app.lua": app % ("true", "true")})
        server.reload()
        watch, stream = Watch(service.channel, ""), Reflection(own, service.channel)
        assert watch.next() == SERVING
        assert stream.files(file_by_filename="shop/v1/types.proto") == WITH_SHOP[1:]
        write_bundle(server.bundle, {"app.lua": app % ("false", "true")})
        server.reload()
        assert watch.next() is None and watch.error.code() is grpc.StatusCode.UNAVAILABLE
        assert [s.name for s in stream.ask(list_services="").list_services_response.service] == [*NAMES[1:], "shop.v1.Shop"]


def test_a_service_of_the_bundle_hides_the_built_in_one(start, own):
    lua = """return { ["grpc.health.v1.Health"] = { Check = { unary = function() return "\\8\\2" end } } }"""
    server = start({"services/health.lua": lua}, *GRPC)
    with connect(server) as service:
        assert check(service.channel) == NOT_SERVING
        watch = Watch(service.channel, "")
        assert watch.next() is None and watch.error.code() is grpc.StatusCode.UNIMPLEMENTED


def test_interceptors_do_not_see_them(start, own):
    app = 'return { interceptors = { function() error(require("perilune.errors").unauthenticated "who are you?") end } }'
    server = start({**BUNDLE, "app.lua": app}, *GRPC)
    with connect(server) as service:
        assert fails(lambda: service.channel.unary_unary("/plain.Bytes/Echo")(b"")).code() is grpc.StatusCode.UNAUTHENTICATED
        assert check(service.channel) == SERVING
        assert Reflection(own, service.channel).files(file_by_filename="shop/v1/shop.proto") == WITH_SHOP


def test_without_services(start, own):
    """A port that is asked for has the built-in services, whatever the bundle has."""
    server = start({"app.lua": "return {}"}, *GRPC)
    with connect(server) as service:
        assert check(service.channel) == SERVING
        services = Reflection(own, service.channel).ask(list_services="").list_services_response.service
        assert [s.name for s in services] == NAMES
