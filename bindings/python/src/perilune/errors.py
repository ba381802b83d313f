# SPDX-License-Identifier: MIT
"""Errors are the canonical ones of gRPC, for all protocols, as in `perilune.errors` of Lua.

Raised by Perilune, they say how something ended. Raised by a resolver, a method or a handler, message and
violations are meant for the client; any other exception is INTERNAL with an id, and its traceback is in the log.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import ClassVar


class Code(enum.IntEnum):
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


class Error(Exception):
    """The base of all: `except perilune.Error as error: error.code`. Raise one of the classes below."""

    code: ClassVar[Code] = Code.UNKNOWN

    def __init__(self, message: str = "", violations: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.violations = dict(violations or {})
        """Of fields of the input: {"email": "must contain @"}."""

    def __reduce__(self):
        return type(self), (self.message, self.violations)

    def __str__(self) -> str:
        return self.message or self.code.name


class Cancelled(Error):
    code = Code.CANCELLED


class Unknown(Error):
    code = Code.UNKNOWN


class InvalidArgument(Error):
    code = Code.INVALID_ARGUMENT


class DeadlineExceeded(Error):
    code = Code.DEADLINE_EXCEEDED


class NotFound(Error):
    code = Code.NOT_FOUND


class AlreadyExists(Error):
    code = Code.ALREADY_EXISTS


class PermissionDenied(Error):
    code = Code.PERMISSION_DENIED


class ResourceExhausted(Error):
    code = Code.RESOURCE_EXHAUSTED


class FailedPrecondition(Error):
    code = Code.FAILED_PRECONDITION


class Aborted(Error):
    code = Code.ABORTED


class OutOfRange(Error):
    code = Code.OUT_OF_RANGE


class Unimplemented(Error):
    code = Code.UNIMPLEMENTED


class Internal(Error):
    code = Code.INTERNAL


class Unavailable(Error):
    code = Code.UNAVAILABLE


class DataLoss(Error):
    code = Code.DATA_LOSS


class Unauthenticated(Error):
    code = Code.UNAUTHENTICATED


CLASSES: dict[int, type[Error]] = {int(each.code): each for each in Error.__subclasses__()}


def of(code: int, message: str, violations: Mapping[str, str] | None = None) -> Error:
    """The exception of a code."""
    return CLASSES.get(code, Unknown)(message.rstrip("\n"), violations)
