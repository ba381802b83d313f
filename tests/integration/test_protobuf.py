# SPDX-License-Identifier: MIT
"""perilune.proto beside Protobuf's own Python and protoc, over random messages."""

import random
import subprocess

import grpc
import pytest
from google.protobuf import json_format
from google.protobuf.message import DecodeError

from grpc_client import connect
from harness import ROOT
from protobuf import Protos
from random_messages import Random

FOLDER = ROOT / "tests" / "unit" / "support"
FILES = ["everything.proto", "older.proto"]
TYPES = [f"test.v1.{name}" for name in ("Scalars", "Optionals", "Node", "Lists", "Maps", "Choice", "Known", "User")]
TYPES += ["test.v0.Old", "test.v0.Old.Item"]
CODEC = """
local proto = require "perilune.proto"
local function of(convert)
  return { unary = function(req)
    local type, rest = req:match "^([^\\n]*)\\n(.*)$"
    return convert(type, rest)
  end }
end
return { ["test.Codec"] = {
  Again = of(function(type, wire) return proto.encode(type, proto.decode(type, wire)) end),
  ToJson = of(function(type, wire) return proto.to_json(type, proto.decode(type, wire)) end),
  FromJson = of(function(type, json) return proto.encode(type, proto.from_json(type, json)) end),
} }
"""


@pytest.fixture(scope="module")
def protos():
    return Protos((FOLDER, FILES))


@pytest.fixture(scope="module")
def codec(start_shared):
    files = {f"proto/{name}": (FOLDER / name).read_text() for name in FILES}
    server = start_shared(files | {"services/codec.lua": CODEC}, "--grpc", "127.0.0.1:0")
    with connect(server, "test.Codec") as service:
        yield lambda method, kind, data: service.unary(method)(kind.encode() + b"\n" + data)


IN_ANY = ("test.v1.User", "google.protobuf.Duration", "google.protobuf.Int64Value")


def messages(protos, kind, count, in_any=IN_ANY):
    """Always the same ones."""
    source = random.Random(kind)
    made = Random(source, [protos[name] for name in in_any])
    for _ in range(count):
        message = made.message(protos[kind])
        if kind == "test.v0.Old" and source.random() < 0.5:
            message.Extensions[protos.pool.FindExtensionByName("test.v0.nick")] = "n"
            message.Extensions[protos.pool.FindExtensionByName("test.v0.marks")].extend([1, -1])
        yield message


def same(protos, kind, wire):
    """The one form of a message: NaN is not equal to itself, and the entries of maps come in any order."""
    return protos[kind].FromString(wire).SerializeToString(deterministic=True)


@pytest.mark.parametrize("kind", TYPES)
def test_python_reads_the_same(codec, protos, kind):
    for message in messages(protos, kind, 150):
        wire = message.SerializeToString(deterministic=True)
        assert same(protos, kind, codec("Again", kind, wire)) == wire, message
        ours = codec("ToJson", kind, wire)
        parsed = json_format.Parse(ours, protos[kind](), descriptor_pool=protos.pool)
        assert parsed.SerializeToString(deterministic=True) == wire, (message, ours)
        theirs = json_format.MessageToJson(message, indent=None, descriptor_pool=protos.pool)
        assert same(protos, kind, codec("FromJson", kind, theirs.encode())) == wire, (message, theirs)


def protoc(*options, data):
    command = ["protoc", f"--proto_path={FOLDER}", *options, *FILES]
    return subprocess.run(command, input=data, check=True, capture_output=True).stdout


@pytest.mark.parametrize("kind", TYPES)
def test_protoc_reads_the_same(codec, protos, kind):
    for message in messages(protos, kind, 6):
        wire = message.SerializeToString(deterministic=True)
        text = protoc(f"--decode={kind}", data=codec("Again", kind, wire))
        assert text == protoc(f"--decode={kind}", data=wire)
        encoded = protoc(f"--encode={kind}", data=text)
        assert same(protos, kind, codec("Again", kind, encoded)) == wire, text


def test_what_is_cut_or_changed_is_refused_alike(codec, protos):
    """Bytes that Python refuses are refused; bytes that it takes mean the same. (What an Any holds it does not look at.)"""
    source = random.Random(7)
    refused = 0
    for kind in TYPES:
        for message in messages(protos, kind, 100, in_any=()):
            wire = bytearray(message.SerializeToString())
            if not wire:
                continue
            if source.random() < 0.5:
                wire = wire[: source.randrange(len(wire))]
            else:
                wire[source.randrange(len(wire))] = source.randrange(256)
            try:
                ours = codec("Again", kind, bytes(wire))
            except grpc.RpcError:
                ours = None
            try:
                theirs = protos[kind].FromString(bytes(wire))
                if not theirs.IsInitialized():
                    theirs = None
            except DecodeError:
                theirs = None
            assert (ours is None) == (theirs is None), (kind, bytes(wire), ours)
            refused += theirs is None
            if theirs is not None:
                assert same(protos, kind, ours) == theirs.SerializeToString(deterministic=True), (kind, bytes(wire))
    assert refused > 50
