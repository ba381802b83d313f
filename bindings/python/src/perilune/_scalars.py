# SPDX-License-Identifier: MIT
"""Scalars whose values are Python's own: between the library, which knows JSON's types, and resolvers.

Where such values stand in a resolver's arguments and result is known from the schema (pl_native_scalars_of), so
what has none costs nothing. Values are parsed just before a resolver is called, and serialized when it has
answered, on the resolver's thread.
"""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from . import _json, errors

Convert = Callable[[Any], Any]
Path = tuple[Any, str | int] | None  # what it is in, and the step from there

_MOST_FAULTS = 20
_MOST_SHOWN = 200
_MOST_DEPTH = 100
# What a function says that is given something else than it can do with.
_REFUSALS = (ValueError, TypeError, ArithmeticError)


@dataclasses.dataclass(frozen=True)
class Scalar:
    parse: Convert | None
    serialize: Convert | None


def _steps(path: Path) -> Iterator[str | int]:
    if path is not None:
        yield from _steps(path[0])
        yield path[1]


def _text(path: Path) -> str:
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in _steps(path))


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=repr)
    return text if len(text) <= _MOST_SHOWN else text[:_MOST_SHOWN] + "…"


class _Arguments:
    """Parses them in place: nobody else has them."""

    def __init__(self, places: dict[str, Any], types: list[Any], scalars: Mapping[str, Scalar], log: logging.Logger) -> None:
        self._places, self._types, self._scalars, self._log = places, types, scalars, log

    def __call__(self, arguments: dict[str, Any]) -> dict[str, Any]:
        faults: list[tuple[str, Any, str, errors.Code]] = []
        self._members(arguments, self._places, None, faults)
        if faults:
            path, value, why, code = faults[0]
            name = path.partition(".")[0].partition("[")[0]
            at = "" if name == path else f' at "{path}"'
            message = f'Argument "{name}" has invalid value {_shown(value)}{at}; {why}'
            raise errors.of(code, message, {path: why for path, _, why, _ in faults[:_MOST_FAULTS]})
        return arguments

    def _members(self, value: dict[str, Any], places: dict[str, Any], path: Path, faults: list[Any]) -> None:
        for name, (lists, index) in places.items():
            if (member := value.get(name)) is not None:
                value[name] = self._value(member, lists, index, (path, name), faults)

    def _value(self, value: Any, lists: int, index: int, path: Path, faults: list[Any]) -> Any:
        if lists > 0:
            for position, item in enumerate(value):
                if item is not None:
                    value[position] = self._value(item, lists - 1, index, (path, position), faults)
            return value
        kind = self._types[index]
        if isinstance(kind, str):
            return self._leaf(kind, value, path, faults)
        self._members(value, kind, path, faults)
        return value

    def _leaf(self, name: str, value: Any, path: Path, faults: list[Any]) -> Any:
        parse = self._scalars[name].parse
        if parse is None:
            return value
        try:
            return parse(value)
        except errors.Error as error:
            faults.append((_text(path)[1:], value, str(error), error.code))
        except _REFUSALS:
            self._log.debug("scalar %s has refused a value at %s", name, _text(path)[1:], exc_info=True)
            faults.append((_text(path)[1:], value, f'Expected a value of type "{name}".', errors.Code.INVALID_ARGUMENT))
        except Exception as error:
            error.add_note(f"args{_text(path)}: parse of scalar {name}")
            raise
        return None


class _Result:
    """Serializes what is a scalar's in a copy: what a resolver gives may be anybody's."""

    def __init__(self, lists: int, index: int, types: list[Any], scalars: Mapping[str, Scalar], what: str) -> None:
        self._lists, self._index, self._types, self._scalars, self._what = lists, index, types, scalars, what

    def __call__(self, value: Any) -> Any:
        return self._value(value, self._lists, self._index, None, 0)

    def _value(self, value: Any, lists: int, index: int, path: Path, depth: int) -> Any:
        if value is None:
            return None
        if depth > _MOST_DEPTH:
            raise TypeError(f"{self._what}: result{_text(path)[:300]}: it is nested too deeply, or contains itself")
        if lists > 0:
            if isinstance(value, list | tuple | set | frozenset):
                return list(self._items(value, lists, index, path, depth))
            if hasattr(value, "__next__"):
                return self._items(value, lists, index, path, depth)  # one by one: it need not end
            return value  # no list: the library says so
        kind = self._types[index]
        if isinstance(kind, str):
            return self._leaf(kind, value, path)
        if not isinstance(value, dict):
            if not (dataclasses.is_dataclass(value) or isinstance(value, Mapping)):
                return value  # no object
            value = _json.plain(value)
        places = kind if isinstance(kind, dict) else self._places_of(kind, value, path)
        return value | {
            name: self._value(value[name], *place, (path, name), depth + 1)
            for name, place in places.items()
            if value.get(name) is not None
        }

    def _items(self, values: Iterable[Any], lists: int, index: int, path: Path, depth: int) -> Iterator[Any]:
        return (self._value(item, lists - 1, index, (path, n), depth + 1) for n, item in enumerate(values))

    def _places_of(self, objects: list[tuple[str, int]], value: dict[str, Any], path: Path) -> dict[str, Any]:
        """Of an interface or a union."""
        name = value.get("__typename")
        if name is not None:
            return next((self._types[index] for each, index in objects if each == name), {})
        for each, index in objects:
            if any(value.get(field) is not None for field in self._types[index]):
                raise TypeError(
                    f"{self._what}: result{_text(path)}: an object of one of several types needs a __typename, "
                    f"as {each} has custom scalars"
                )
        return {}

    def _leaf(self, name: str, value: Any, path: Path) -> Any:
        serialize = self._scalars[name].serialize
        if serialize is None:
            return value
        try:
            return serialize(value)
        except Exception as error:
            error.add_note(f"{self._what}: result{_text(path)}: serialize of scalar {name}, of a value of type {type(value)}")
            raise


class Scalars:
    """Those of an app: what makes a lane's converters."""

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._all: dict[str, Scalar] = {}

    def add(self, name: str, parse: Convert | None, serialize: Convert | None) -> None:
        if parse is None and serialize is None:
            raise TypeError(f"scalar {name}: it has neither parse nor serialize")
        if name in self._all:
            raise errors.InvalidArgument(f"scalar {name}: there are functions for it already")
        self._all[name] = Scalar(parse, serialize)

    def names(self) -> list[str]:
        return list(self._all)

    def convert(self, places: list[Any], what: str) -> tuple[Convert | None, Convert | None, Convert | None]:
        """What is done with a resolver's arguments, with its result, and with an element of its result, a list.

        `places` is what pl_native_scalars_pack gives; None: nothing is done.
        """
        arguments, result, types = places
        read = _Arguments(arguments, types, self._all, self._log) if arguments else None
        if result is None:
            return read, None, None
        lists, index = result
        element = _Result(lists - 1, index, types, self._all, what) if lists > 0 else None
        return read, _Result(lists, index, types, self._all, what), element
