# SPDX-License-Identifier: MIT
"""perilune.proto beside Protobuf's own Python, over random messages, and what it says of what is wrong."""

import dataclasses
import datetime
import enum
import gc
import random
import subprocess
import threading
from pathlib import Path

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory
from google.protobuf.message import DecodeError

import perilune
from perilune.proto import Pool
from random_messages import Random

FOLDER = Path(__file__).resolve().parents[3] / "tests" / "unit" / "support"
TYPES = [f"test.v1.{name}" for name in ("Scalars", "Optionals", "Node", "Lists", "Maps", "Choice", "Known", "User")]
IN_ANY = ("test.v1.User", "google.protobuf.Duration", "google.protobuf.Int64Value")
pytestmark = pytest.mark.core


@pytest.fixture(scope="module")
def descriptors(tmp_path_factory):
    path = tmp_path_factory.mktemp("protos") / "all.binpb"
    command = ["protoc", "--include_imports", f"--proto_path={FOLDER}", f"--descriptor_set_out={path}"]
    subprocess.run([*command, "everything.proto", "older.proto"], check=True)
    return path


@pytest.fixture(scope="module")
def pool(descriptors):
    return Pool(descriptors)


@pytest.fixture(scope="module")
def theirs(descriptors):
    """Protobuf's own classes, by name."""
    pool = descriptor_pool.DescriptorPool()
    for file in descriptor_pb2.FileDescriptorSet.FromString(descriptors.read_bytes()).file:
        pool.Add(file)

    def of(name):
        return message_factory.GetMessageClass(pool.FindMessageTypeByName(name))

    of.pool = pool
    return of


def canonical(kind, wire):
    return kind.FromString(wire).SerializeToString(deterministic=True)


@pytest.mark.parametrize("name", TYPES)
def test_protobufs_own_python_reads_the_same(pool, theirs, name):
    source = random.Random(name)
    made = Random(source, [theirs(each) for each in IN_ANY])
    kind = theirs(name)
    for _ in range(100):
        message = made.message(kind)
        wire = message.SerializeToString(deterministic=True)
        value = pool.decode(name, wire)
        assert canonical(kind, pool.encode(name, value)) == wire, (message, value)
        parsed = json_format.Parse(pool.to_json(name, value), kind(), descriptor_pool=theirs.pool)
        assert parsed.SerializeToString(deterministic=True) == wire
        text = json_format.MessageToJson(message, indent=None, descriptor_pool=theirs.pool)
        assert canonical(kind, pool.encode(name, pool.from_json(name, text))) == wire, (message, text)


def test_what_is_cut_or_changed_is_refused_alike(pool, theirs):
    source = random.Random(7)
    refused = 0
    for name in TYPES:
        kind = theirs(name)
        for _ in range(60):
            wire = bytearray(Random(source).message(kind).SerializeToString())
            if not wire:
                continue
            if source.random() < 0.5:
                wire = wire[: source.randrange(len(wire))]
            else:
                wire[source.randrange(len(wire))] = source.randrange(256)
            try:
                ours = pool.decode(name, wire)
            except perilune.InvalidArgument:
                ours = None
            try:
                expected = kind.FromString(bytes(wire))
            except DecodeError:
                expected = None
            assert (ours is None) == (expected is None), (name, bytes(wire), ours)
            refused += ours is None
    assert refused > 20


def test_python_has_its_own_types(pool):
    wide = {"f_uint64": 2**64 - 1, "f_bytes": b"\xff\x00", "f_string": "ä", "f_color": "COLOR_RED", "f_double": 1.5}
    value = pool.decode("test.v1.Scalars", pool.encode("test.v1.Scalars", wide))
    assert {name: value[name] for name in wide} == wide
    assert value["f_int32"] == 0 and value["f_bool"] is False  # defaults of fields without presence
    assert pool.decode("test.v1.Known", pool.encode("test.v1.Known", {"bytes": b"\xfe"}))["bytes"] == b"\xfe"
    assert pool.decode("test.v1.Maps", pool.encode("test.v1.Maps", {"by_id": {2**63: 1}}))["by_id"] == {2**63: "COLOR_RED"}


def test_dataclasses_times_and_enumerations(pool):
    @dataclasses.dataclass
    class Email:
        address: str
        verified: bool = False

    class Color(enum.Enum):
        GREEN = "COLOR_GREEN"

    user = {"user_id": "u1", "emails": (Email("ada@example.com"), {"address": "b@example.com"})}
    assert [each["address"] for each in pool.decode("test.v1.User", pool.encode("test.v1.User", user))["emails"]] == [
        "ada@example.com",
        "b@example.com",
    ]
    at = datetime.datetime(2024, 2, 29, 12, 30, tzinfo=datetime.UTC)
    known = pool.decode("test.v1.Known", pool.encode("test.v1.Known", {"at": at, "lasts": datetime.timedelta(seconds=-1.5)}))
    assert known["at"] == {"seconds": int(at.timestamp()), "nanos": 0}
    assert known["lasts"] == {"seconds": -1, "nanos": -500000000}
    assert pool.decode("test.v1.Scalars", pool.encode("test.v1.Scalars", {"f_color": Color.GREEN}))["f_color"] == "COLOR_GREEN"


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("User", {"emails": [{}, {"address": 7}]}, "emails[1].address: a string is expected, not an integer"),
        ("User", {"user": "u1"}, 'test.v1.User has no field "user"'),
        ("Scalars", {"f_uint64": -1}, "f_uint64: the number is out of range"),
        ("Scalars", {"f_uint64": 2**64}, "f_uint64: an integer (uint64) is expected"),
        ("Scalars", {"f_int32": 2**31}, "f_int32: the number is out of range"),
        ("Scalars", {"f_double": object()}, "f_double: a number is expected"),
        ("Choice", {"text": "a", "number": 1}, "number is set, too"),
        ("Maps", {"by_name": {1: 1}}, "by_name"),
        ("Known", {"at": datetime.datetime(2024, 2, 29)}, "at"),
        ("Scalars", 7, "a map of fields is expected"),
        ("Scalars", {"f_string": "\ud800"}, "surrogates not allowed"),
    ],
)
def test_what_is_wrong_names_the_field(pool, name, value, message):
    with pytest.raises((perilune.InvalidArgument, UnicodeEncodeError)) as caught:
        pool.encode(f"test.v1.{name}", value)
    assert message in str(caught.value)
    assert pool.encode("test.v1.User", {}) == b""


def test_a_message_that_is_not_there(pool):
    with pytest.raises(perilune.NotFound, match="Did you mean") as caught:
        pool.decode("test.v1.Usr", b"")
    assert "test.v1.User" in str(caught.value)
    with pytest.raises(perilune.InvalidArgument):
        Pool(b"\xff\xff")


def test_values_that_contain_themselves(pool):
    node = {"name": "a"}
    node["next"] = node
    with pytest.raises(perilune.ResourceExhausted):
        pool.encode("test.v1.Node", node)


def test_exceptions_of_the_programs_code_pass_through(pool):
    class Odd(dict):
        pass

    @dataclasses.dataclass
    class Wrong:
        address: str

        def __getattribute__(self, name):
            if name == "address":
                raise KeyError("mine")
            return super().__getattribute__(name)

    wrong = Wrong.__new__(Wrong)
    with pytest.raises(KeyError, match="mine"):
        pool.encode("test.v1.User", {"emails": [wrong]})
    assert pool.encode("test.v1.User", Odd(user_id="a")) == b"\n\x01a"


def test_a_pool_may_be_used_from_inside_of_itself_and_by_threads(pool):
    @dataclasses.dataclass
    class Inner:
        address: str

        def __getattribute__(self, name):
            if name == "address":
                return pool.decode("test.v1.User", pool.encode("test.v1.User", {"user_id": "inner"}))["user_id"]
            return super().__getattribute__(name)

    wrong = []

    def work():
        for _ in range(100):
            wire = pool.encode("test.v1.User", {"emails": [Inner("x")] * 3})
            if [each["address"] for each in pool.decode("test.v1.User", wire)["emails"]] != ["inner"] * 3:
                wrong.append(wire)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_names_of_messages_and_enums(pool, descriptors):
    assert {"test.v1.User", "test.v1.User.Email", "test.v0.Old"} <= set(pool.messages())
    assert pool.enum("test.v1.Color") == {"COLOR_UNSPECIFIED": 0, "COLOR_RED": 1, "COLOR_GREEN": 5, "COLOR_BELOW": -3}
    assert pool.enum("test.v1.None") == {}
    set_ = descriptor_pb2.FileDescriptorSet.FromString(descriptors.read_bytes())
    for source in (set_, set_.SerializeToString(), str(descriptors), [set_]):
        assert Pool(source).messages() == pool.messages()


def test_json_options(pool):
    assert pool.to_json("test.v1.User", {"user_id": "u"}) == '{"userId":"u"}'
    assert pool.to_json("test.v1.User", {"user_id": "u"}, proto_names=True) == '{"user_id":"u"}'
    assert '"emails":[]' in pool.to_json("test.v1.User", {}, defaults=True)
    assert pool.to_json("test.v1.Scalars", {"f_color": 1}, enum_numbers=True) == '{"fColor":1}'
    assert pool.from_json("test.v1.User", b'{"userId":"u","what":1}', ignore_unknown=True)["user_id"] == "u"
    with pytest.raises(perilune.InvalidArgument, match="at byte 8"):
        pool.from_json("test.v1.User", '{"what":1}')


def test_nothing_is_left_behind(pool):
    wire = pool.encode("test.v1.Known", {"object": {"a": [1, {"b": None}]}, "anys": [{}]})

    def rounds(count):
        for _ in range(count):
            pool.encode("test.v1.Known", pool.decode("test.v1.Known", wire))
            for wrong in ({"any": {"@type": 1}}, {"what": []}, {"object": {"a": object()}}):
                with pytest.raises(perilune.InvalidArgument):
                    pool.encode("test.v1.Known", wrong)
        gc.collect()
        return len(gc.get_objects())

    before = rounds(20)
    assert rounds(200) <= before + 5
