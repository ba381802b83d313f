# SPDX-License-Identifier: MIT
"""JSON of what Python programs have: dataclasses, times, enumerations and UUIDs as well as JSON's own types."""

from __future__ import annotations

import dataclasses
import datetime
import enum
import json
import math
import uuid
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from .errors import InvalidArgument


def plain(value: Any) -> Any:
    """What stands for the value where JSON's types are all there is. TypeError: nothing does."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, datetime.datetime | datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, datetime.timedelta):
        seconds, rest = divmod(abs(value), datetime.timedelta(seconds=1))
        sign = "-" if value < datetime.timedelta(0) else ""
        return f"{sign}{seconds}.{rest.microseconds:06}s"  # as Protobuf writes a Duration
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, uuid.UUID):
        return str(value)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, set | frozenset | tuple):
        return list(value)
    raise TypeError(f"a value of type {type(value).__qualname__} has no form in JSON")


_encode = json.JSONEncoder(allow_nan=False, ensure_ascii=False, separators=(",", ":"), default=plain).encode


def _members(value: Any) -> Iterable[tuple[str, Any]]:
    if isinstance(value, dict):
        return ((f".{name}", member) for name, member in value.items())
    return ((f"[{index}]", member) for index, member in enumerate(value))


def _wrong(value: Any, path: str, seen: tuple[int, ...]) -> Iterator[str]:
    """Why the value has no form in JSON, with the path of each place."""
    if isinstance(value, float) and not math.isfinite(value):
        yield f"{path}: {value} is no number of JSON"
    elif value is None or isinstance(value, str | int | float):
        return
    elif id(value) in seen or len(seen) > 200:
        yield f"{path}: it contains itself, or is nested too deeply"
    elif isinstance(value, dict | list | tuple):
        for name in value if isinstance(value, dict) else ():
            if not isinstance(name, str):
                yield f"{path}: the key {name!r} is no string"
        for name, member in _members(value):
            yield from _wrong(member, path + name, (*seen, id(value)))
    else:
        try:
            yield from _wrong(plain(value), path, (*seen, id(value)))
        except TypeError:
            yield f"{path}: a value of type {type(value).__qualname__} has no form in JSON"


def dumps(value: Any, what: str) -> bytes:
    """`what` names the value in an error, which has the path of the first place that is wrong."""
    try:
        return _encode(value).encode("utf-8", "surrogatepass")
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidArgument(next(_wrong(value, what, ()), f"{what}: {error}")) from None


loads = json.loads
