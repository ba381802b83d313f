# SPDX-License-Identifier: MIT
"""channelz: what it says of servers and connections, through the stub that Python's package has for it."""

import contextlib
import socket
import threading
import time

import grpc
import pytest
from google.protobuf import descriptor_pb2
from grpc_channelz.v1 import channelz_pb2, channelz_pb2_grpc

from grpc_client import connect, fails
from harness import ROOT, self_signed, wait_until, write_bundle
from protobuf import Protos

ECHO = """return { ["test.Echo"] = {
  Echo = { unary = function(r) if r == "bad" then error "bad" end return r end },
  Chat = { bidi_streaming = function(call) for m in call:messages() do call:send(m) end end },
} }"""
BUNDLE = {"services/echo.lua": ECHO, "app.lua": "return { grpc = { channelz = true } }"}
GRPC = ("--grpc", "127.0.0.1:0")
SERVER = 1


@contextlib.contextmanager
def stub_of(server, **options):
    with connect(server, **options) as service:
        yield service, channelz_pb2_grpc.ChannelzStub(service.channel)


def sockets_of(stub, **options):
    return stub.GetServerSockets(channelz_pb2.GetServerSocketsRequest(server_id=SERVER, **options))


def socket_of(stub, number):
    return stub.GetSocket(channelz_pb2.GetSocketRequest(socket_id=number)).socket


def test_our_file_says_what_the_public_one_says():
    name = "grpc/channelz/v1/channelz.proto"
    ours, theirs = (descriptor_pb2.FileDescriptorProto() for _ in range(2))
    Protos({name: (ROOT / "proto" / name).read_text()}).pool.FindFileByName(name).CopyToProto(ours)
    channelz_pb2.DESCRIPTOR.CopyToProto(theirs)
    for file in (ours, theirs):
        for part in (file.message_type, file.service):
            part.sort(key=lambda one: one.name)
        for message in file.message_type:
            message.ClearField("reserved_range")
        for message in (m for top in file.message_type for m in (top, *top.nested_type)):
            for field in message.field:
                field.ClearField("json_name")
    assert list(ours.message_type) == list(theirs.message_type)
    assert list(ours.service) == list(theirs.service)


def test_it_is_off_unless_asked_for(start):
    server = start({"services/echo.lua": ECHO}, *GRPC)
    with stub_of(server) as (_, stub):
        error = fails(lambda: stub.GetServers(channelz_pb2.GetServersRequest()))
        assert error.code() is grpc.StatusCode.UNIMPLEMENTED
        write_bundle(server.bundle, {"app.lua": BUNDLE["app.lua"]})
        server.reload()
        assert len(stub.GetServers(channelz_pb2.GetServersRequest()).server) == 1


@pytest.mark.core
def test_server(start):
    server = start(BUNDLE, *GRPC, workers=2)
    with stub_of(server) as (_, stub):
        before = int(time.time()) - 1
        for _ in range(20):
            with connect(server) as other:  # on both workers
                assert other.unary("Echo")(b"x") == b"x"
                fails(lambda other=other: other.unary("Echo")(b"bad"))
        answer = stub.GetServers(channelz_pb2.GetServersRequest())
        assert answer.end and len(answer.server) == 1
        data = answer.server[0].data
        # This call is one of them, and not at its end.
        assert (data.calls_started, data.calls_succeeded, data.calls_failed) == (41, 20, 20)
        assert before <= data.last_call_started_timestamp.seconds <= time.time() + 1
        assert answer.server[0].ref.server_id == SERVER
        listening = answer.server[0].listen_socket
        assert [one.name for one in listening] == [server.ready["grpc"]]
        address = socket_of(stub, listening[0].socket_id).local.tcpip_address
        assert (address.ip_address, address.port) == (b"\x7f\0\0\1", int(server.ready["grpc"].rpartition(":")[2]))
        assert stub.GetServer(channelz_pb2.GetServerRequest(server_id=SERVER)).server.data.calls_started == 43
        assert fails(lambda: stub.GetServer(channelz_pb2.GetServerRequest(server_id=2))).code() is grpc.StatusCode.NOT_FOUND
        assert len(stub.GetServers(channelz_pb2.GetServersRequest(start_server_id=2)).server) == 0
        bad = channelz_pb2.GetServersRequest(start_server_id=-1)
        assert fails(lambda: stub.GetServers(bad)).code() is grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.core
def test_socket(start):
    server = start(BUNDLE, *GRPC, workers=2)
    port = int(server.ready["grpc"].rpartition(":")[2])
    with stub_of(server) as (_, stub), connect(server) as other:
        for _ in range(3):
            other.unary("Echo")(b"x")
        fails(lambda: other.unary("Echo")(b"bad"))
        assert len(list(other.bidi("Chat")(iter([b"a", b"b"])))) == 2
        refs = sockets_of(stub).socket_ref
        assert len(refs) == 2 and len({ref.socket_id for ref in refs}) == 2
        one = next(s for s in (socket_of(stub, ref.socket_id) for ref in refs) if s.data.streams_started == 5)
        assert (one.data.streams_succeeded, one.data.streams_failed) == (5, 0)
        assert (one.data.messages_received, one.data.messages_sent) == (6, 5)
        assert one.data.last_local_stream_created_timestamp.seconds == 0
        for name in ("last_remote_stream_created", "last_message_sent", "last_message_received"):
            assert abs(getattr(one.data, f"{name}_timestamp").seconds - time.time()) < 60
        assert one.data.local_flow_control_window.value > 0 and one.data.remote_flow_control_window.value > 0
        assert (one.local.tcpip_address.ip_address, one.local.tcpip_address.port) == (b"\x7f\0\0\1", port)
        assert one.remote.tcpip_address.ip_address == b"\x7f\0\0\1"
        assert one.ref.name == f"127.0.0.1:{one.remote.tcpip_address.port}"
        assert not one.HasField("security")
        for number in (0, 3, 4095, -1, 1 << 60):
            assert fails(lambda number=number: socket_of(stub, number)).code() is grpc.StatusCode.NOT_FOUND


def test_streams_that_fail(start):
    server = start(BUNDLE, *GRPC)
    with stub_of(server) as (_, stub), connect(server) as other:
        ended = threading.Event()

        def requests():
            yield b"a"
            ended.wait()

        chat = other.bidi("Chat")(requests())
        assert next(chat) == b"a"
        chat.cancel()
        ended.set()

        def failed():
            numbers = [ref.socket_id for ref in sockets_of(stub).socket_ref]
            return [s for s in (socket_of(stub, n) for n in numbers) if s.data.streams_failed == 1]

        assert len(wait_until(failed, what="the cancelled stream to be counted")) == 1


def test_pages(start):
    server = start(BUNDLE, *GRPC, workers=3)
    host, _, port = server.ready["grpc"].rpartition(":")
    with stub_of(server) as (_, stub), contextlib.ExitStack() as stack:
        for _ in range(30):
            stack.enter_context(socket.create_connection((host, int(port))))
        wait_until(lambda: len(sockets_of(stub).socket_ref) == 31, what="all connections")
        everything = sockets_of(stub, max_results=1000)
        numbers = [ref.socket_id for ref in everything.socket_ref]
        assert everything.end and numbers == sorted(numbers)
        found, page = [], None
        while page is None or not page.end:
            page = sockets_of(stub, start_socket_id=found[-1] + 1 if found else 0, max_results=4)
            assert 0 < len(page.socket_ref) <= 4
            found += [ref.socket_id for ref in page.socket_ref]
        assert found == numbers
        assert fails(lambda: sockets_of(stub, max_results=-1)).code() is grpc.StatusCode.INVALID_ARGUMENT


def test_tls(start, tmp_path):
    certificate, key = self_signed(tmp_path)
    server = start(BUNDLE, "--grpcs", "localhost:0", "--tls-cert", certificate, "--tls-key", key)
    address = "localhost:" + server.ready["grpcs"].rpartition(":")[2]
    credentials = grpc.ssl_channel_credentials(root_certificates=certificate.read_bytes())
    with stub_of(server, address=address, credentials=credentials) as (_, stub):
        listening = stub.GetServer(channelz_pb2.GetServerRequest(server_id=SERVER)).server.listen_socket
        assert [(one.socket_id, one.name) for one in listening] == [(3, server.ready["grpcs"])]
        one = socket_of(stub, sockets_of(stub).socket_ref[0].socket_id)
        assert one.security.tls.other_name.startswith("TLS_")


def test_unix_sockets(start, tmp_path):
    path = tmp_path / "grpc.sock"
    server = start(BUNDLE, "--grpc", f"unix:{path}")
    with stub_of(server, address=f"unix:{path}") as (_, stub):
        one = socket_of(stub, sockets_of(stub).socket_ref[0].socket_id)
        assert one.local.uds_address.filename == str(path)
        listening = stub.GetServer(channelz_pb2.GetServerRequest(server_id=SERVER)).server.listen_socket[0]
        assert socket_of(stub, listening.socket_id).local.uds_address.filename == str(path)


CALLER = """
local grpc = require "perilune.grpc"
return {
  ["shop.v1.Shop"] = { Get = function(req)
    if req.name == "bad" then error(require("perilune.errors").not_found "bad") end
    return req
  end },
  ["test.Call"] = { Go = { unary = function(text)
    local target, name = text:match "(%S+) (%S+)"
    local ok, why = pcall(function() return grpc.client(target, "shop.v1.Shop"):Get({ name = name }) end)
    return ok and "ok" or why.code
  end } },
}
"""
PROTO = """
syntax = "proto3";
package shop.v1;
message Item { string name = 1; }
service Shop { rpc Get(Item) returns (Item); }
"""
IDLE, READY, TRANSIENT_FAILURE = 1, 3, 4


def test_channels_of_clients(start):
    """The server's own clients, of which one calls the server itself, and one nobody."""
    files = {"services/call.lua": CALLER, "proto/shop.proto": PROTO, "app.lua": BUNDLE["app.lua"]}
    server = start(files, *GRPC, workers=2)
    own, nobody = f"ipv4:{server.ready['grpc']}", "ipv4:127.0.0.1:1"
    with stub_of(server) as (service, stub):
        assert len(stub.GetTopChannels(channelz_pb2.GetTopChannelsRequest()).channel) == 0
        go = service.channel.unary_unary("/test.Call/Go")
        asked = [(own, "good")] * 3 + [(own, "bad")] * 2 + [(nobody, "x")]
        assert [go(f"{target} {name}".encode()) for target, name in asked] == [b"ok"] * 3 + [b"NOT_FOUND"] * 2 + [b"UNAVAILABLE"]
        answer = stub.GetTopChannels(channelz_pb2.GetTopChannelsRequest())
        assert answer.end
        found = {one.data.target: one for one in answer.channel}
        assert set(found) == {own, nobody}
        data = found[own].data
        assert (data.state.state, data.calls_started, data.calls_succeeded, data.calls_failed) == (READY, 5, 3, 2)
        assert abs(data.last_call_started_timestamp.seconds - time.time()) < 60
        assert found[nobody].data.calls_failed == 1
        numbers = [one.ref.channel_id for one in answer.channel]
        assert numbers == sorted(numbers) and len(set(numbers)) == 2
        for number, one in zip(numbers, answer.channel, strict=True):
            assert stub.GetChannel(channelz_pb2.GetChannelRequest(channel_id=number)).channel.ref == one.ref
        page = stub.GetTopChannels(channelz_pb2.GetTopChannelsRequest(max_results=1))
        assert not page.end and [one.ref.channel_id for one in page.channel] == numbers[:1]
        page = stub.GetTopChannels(channelz_pb2.GetTopChannelsRequest(start_channel_id=numbers[0] + 1))
        assert page.end and [one.ref.channel_id for one in page.channel] == numbers[1:]
        assert fails(lambda: stub.GetChannel(channelz_pb2.GetChannelRequest(channel_id=9))).code() is grpc.StatusCode.NOT_FOUND
        assert (
            fails(lambda: stub.GetSubchannel(channelz_pb2.GetSubchannelRequest(subchannel_id=9))).code()
            is grpc.StatusCode.NOT_FOUND
        )


def test_questions_while_workers_come_and_go(start):
    """Many at once, some of whom do not wait for the answer; and at the end of the server."""
    server = start(BUNDLE, *GRPC, workers=3)
    with contextlib.ExitStack() as stack:
        stubs = [stack.enter_context(stub_of(server))[1] for _ in range(6)]
        asked = [stub.GetServerSockets.future(channelz_pb2.GetServerSocketsRequest(server_id=SERVER)) for stub in stubs * 200]
        for one in asked[::3]:
            one.cancel()
        assert all(len(one.result().socket_ref) > 0 for i, one in enumerate(asked) if i % 3)
        more = [stub.GetServers.future(channelz_pb2.GetServersRequest()) for stub in stubs * 200]
        server.stop(60)
        for one in more:
            with contextlib.suppress(grpc.RpcError):
                one.result()
