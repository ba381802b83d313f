# SPDX-License-Identifier: MIT
"""Protobuf messages as dicts, by descriptor, without generated code.

    pool = perilune.proto.Pool(Path("user.binpb").read_bytes())
    data = pool.encode("user.v1.User", {"user_id": "u1", "emails": [{"address": "ada@example.com"}]})
    user = pool.decode("user.v1.User", data)

A message is a dict with the names of its fields in the .proto file; docs/protobuf.md says what each type is. Enums are
names, `bytes` are bytes, a Timestamp may be given as a datetime or as text. What is wrong raises
`perilune.InvalidArgument` with the path of the field: "emails[0].address: a string is expected, not an integer".
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from . import _core
from .errors import InvalidArgument, NotFound

__all__ = ["Method", "Pool", "compile"]

_IGNORE_UNKNOWN, _DEFAULTS, _PROTO_NAMES, _ENUM_NUMBERS = 1, 2, 4, 8


def _set_of(descriptors: Any) -> bytes:
    if isinstance(descriptors, bytes | bytearray | memoryview):
        return bytes(descriptors)
    if isinstance(descriptors, str | os.PathLike):
        return Path(descriptors).read_bytes()
    if hasattr(descriptors, "SerializeToString"):
        return descriptors.SerializeToString()
    # FileDescriptorSet is `repeated FileDescriptorProto file = 1`, so sets can be put one behind the other.
    return b"".join(_set_of(each) for each in descriptors)


def compile(*folders: str | os.PathLike[str]) -> bytes:
    """The FileDescriptorSet of all .proto files below the folders, by `protoc` (PERILUNE_PROTOC names another one)."""
    roots = [Path(folder) for folder in folders]
    files = [str(path.relative_to(root)) for root in roots for path in sorted(root.rglob("*.proto"))]
    with tempfile.TemporaryDirectory() as place:
        out = Path(place, "set.binpb")
        command = [os.environ.get("PERILUNE_PROTOC", "protoc"), "--include_imports", f"--descriptor_set_out={out}"]
        done = subprocess.run([*command, *(f"--proto_path={root}" for root in roots), *files], capture_output=True, text=True)
        if done.returncode:
            raise InvalidArgument(done.stderr)
        return out.read_bytes()


class Method(NamedTuple):
    input: str
    output: str
    client_streaming: bool
    server_streaming: bool


class Pool:
    """The messages of a FileDescriptorSet: its bytes, its file, a message of google.protobuf, or several of these.

    `protoc --include_imports --descriptor_set_out=user.binpb user.proto` writes one. May be shared by threads.
    """

    def __init__(self, descriptors: bytes | str | os.PathLike[str] | Any | Iterable[Any]) -> None:
        pool = _core.Pool(_set_of(descriptors))
        self.decode = pool.decode
        """decode(message, data) -> the message as a dict"""
        self.encode = pool.encode
        """encode(message, value) -> bytes"""
        self._pool = pool

    def to_json(
        self, message: str, value: Any, *, defaults: bool = False, proto_names: bool = False, enum_numbers: bool = False
    ) -> str:
        """ProtoJSON of a value. defaults: fields without presence, too, that have their default."""
        flags = defaults * _DEFAULTS | proto_names * _PROTO_NAMES | enum_numbers * _ENUM_NUMBERS
        return self._pool.to_json(message, value, flags)

    def from_json(self, message: str, text: str | bytes, *, ignore_unknown: bool = False) -> Any:
        """The value of ProtoJSON."""
        if isinstance(text, bytes):
            text = text.decode()
        return self._pool.from_json(message, text, ignore_unknown * _IGNORE_UNKNOWN)

    def messages(self) -> list[str]:
        """The full names of all messages."""
        return self._pool.messages()

    def enum(self, name: str) -> dict[str, int]:
        """The values of an enum; empty if there is none of this name."""
        return self._pool.enum(name)

    def method(self, name: str) -> Method:
        """What "user.v1.UserService/GetUser" takes and gives."""
        found = self._pool.method(name)
        if found is None:
            raise NotFound(f"there is no method {name!r}: names are like 'user.v1.UserService/GetUser'")
        return Method(*found)
