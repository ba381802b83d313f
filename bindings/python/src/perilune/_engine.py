# SPDX-License-Identifier: MIT
"""Python as an engine: where functions of the program run, and what they see and say.

Threads of the library never wait for Python. They put calls into a lane's queue, which is bounded; a thread of
Python's takes all that wait, calls their functions, and answers.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import itertools
import threading
import time
import traceback
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from .errors import Cancelled, Error

_NO_FIELD = object()


class Context:
    """What a function is told of the request that it is part of: `ctx`.

    Besides the attributes below it has what interceptors have put into it, as attributes and as items: `ctx.user`,
    `ctx.get("user")`. It is a copy: what a function sets is not seen by others.
    """

    __slots__ = ("_deadline", "_fields", "headers", "operation_kind", "operation_name", "peer", "protocol", "request_id")

    def __init__(self, facts: dict[str, Any], fields: dict[str, Any] | None, deadline: int) -> None:
        self.protocol: str = facts.get("protocol", "")
        """ "graphql", "grpc", "event"… """
        self.request_id: str = facts.get("request_id", "")
        self.peer: str = facts.get("peer", "")
        self.headers: dict[str, str] = facts.get("headers", {})
        """Names in lower case."""
        self.operation_name: str | None = facts.get("operation_name")
        self.operation_kind: str | None = facts.get("operation_kind")
        self._fields = fields if isinstance(fields, dict) else {}
        self._deadline = deadline

    @property
    def deadline(self) -> float | None:
        """Seconds left until the request's deadline; None: it has none."""
        if self._deadline < 0:
            return None
        return max(0.0, self._deadline / 1000 - time.monotonic())

    def get(self, name: str, otherwise: Any = None) -> Any:
        return self._fields.get(name, otherwise)

    def __getitem__(self, name: str) -> Any:
        return self._fields[name]

    def __contains__(self, name: object) -> bool:
        return name in self._fields

    def __getattr__(self, name: str) -> Any:
        value = _NO_FIELD if name.startswith("_") else self._fields.get(name, _NO_FIELD)
        if value is _NO_FIELD:
            raise AttributeError(f"ctx has no {name!r}: interceptors have put {sorted(self._fields)} into it")
        return value


def describe(error: BaseException) -> tuple[int, str, dict[str, str], str | None]:
    """(code, message, violations, traceback) of an exception; code 0: it is none that clients are meant to see."""
    if isinstance(error, Error):
        return int(error.code), str(error), {str(key): str(text) for key, text in error.violations.items()}, None
    said = "".join(traceback.format_exception_only(error)).strip()
    return 0, said, {}, "".join(traceback.format_exception(error)).rstrip()


def argument_count(function: Callable[..., Any], most: int, what: str) -> int:
    """How many of the arguments that it may be given a function takes: what nobody reads is not copied."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return most
    count = 0
    for parameter in parameters:
        if parameter.kind is parameter.VAR_POSITIONAL:
            return most
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
            count += 1
        elif parameter.kind is parameter.KEYWORD_ONLY and parameter.default is parameter.empty:
            raise TypeError(f"{what}: arguments are given by position, and {parameter.name!r} has to be named")
    required = sum(
        parameter.default is parameter.empty and parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
        for parameter in parameters
    )
    if required > most:
        raise TypeError(f"{what}: the function is called with up to {most} arguments, and it wants {required}")
    return min(count, most)


def is_async(function: Callable[..., Any]) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__)


class Tasks:
    """The coroutines of a lane, on an event loop: the program's own, or one in a thread that is made for it."""

    def __init__(self, loop: asyncio.AbstractEventLoop | None, name: str) -> None:
        self._loop = loop
        self._name = name
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._tasks: dict[tuple[int, int], asyncio.Task[Any]] = {}
        self._numbers = itertools.count(1)

    def loop(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=self._run, args=(self._loop,), name=self._name, daemon=True)
                self._thread.start()
            return self._loop

    @staticmethod
    def _run(loop: asyncio.AbstractEventLoop) -> None:
        asyncio.set_event_loop(loop)
        try:
            loop.run_forever()
        finally:
            with contextlib.suppress(RuntimeError):
                loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()

    def lane(self) -> tuple[Callable[[int, Awaitable[Any], Any], None], Callable[[int], None]]:
        """spawn and cancel, for one lane: they may be called from any thread."""
        number = next(self._numbers)

        def spawn(call_id: int, awaitable: Awaitable[Any], call: Any) -> None:
            self._soon(self._begin, (number, call_id), awaitable, call)

        def cancel(call_id: int) -> None:
            self._soon(self._cancel, (number, call_id))

        return spawn, cancel

    def _soon(self, function: Callable[..., None], *arguments: Any) -> None:
        loop = self.loop()
        try:
            here = asyncio.get_running_loop() is loop
        except RuntimeError:
            here = False
        if here:
            function(*arguments)
        else:
            loop.call_soon_threadsafe(function, *arguments)

    def _begin(self, key: tuple[int, int], awaitable: Awaitable[Any], call: Any) -> None:
        task = self.loop().create_task(_complete(awaitable, call))
        self._tasks[key] = task
        task.add_done_callback(lambda _: self._tasks.pop(key, None))

    def _cancel(self, key: tuple[int, int]) -> None:
        if task := self._tasks.get(key):
            task.cancel()

    def close(self, timeout: float) -> None:
        """Cancels what is left. The program's own loop stays."""
        if self._loop is None or self._loop.is_closed():
            return
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._end)
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout)

    def _end(self) -> None:
        left = list(self._tasks.values())
        for task in left:
            task.cancel()
        if self._thread is None:
            return
        loop = self.loop()
        if left:
            asyncio.gather(*left, return_exceptions=True).add_done_callback(lambda _: loop.stop())
        else:
            loop.stop()


async def _complete(awaitable: Awaitable[Any], call: Any) -> None:
    try:
        value = await awaitable
    except asyncio.CancelledError:
        call.fail(Cancelled("the call was cancelled"))
        raise
    except BaseException as error:  # noqa: BLE001 - whatever it is, the call ends with it
        call.fail(error)
    else:
        call.finish(value)


class Lanes:
    """Where the functions of one running app are carried out."""

    def __init__(self, core: Any, capacity: int, threads: int, loop: asyncio.AbstractEventLoop | None) -> None:
        self._core = core
        self._capacity = capacity
        self._count = threads
        self._own_loop = loop
        self._tasks = Tasks(loop, "perilune-asyncio")
        self._plain: Any = None
        self._async: Any = None
        self._threads: list[threading.Thread] = []

    def of(self, function: Callable[..., Any]) -> Any:
        """The lane for a function."""
        if is_async(function):
            if self._async is None:
                self._async = self._core.Lane(self._capacity, *self._tasks.lane())
            return self._async
        if self._plain is None:
            self._plain = self._core.Lane(self._capacity, *self._tasks.lane())
        return self._plain

    def start(self) -> None:
        if self._plain is not None:
            for number in range(self._count):
                thread = threading.Thread(target=self._plain.run, name=f"perilune-python-{number}", daemon=True)
                thread.start()
                self._threads.append(thread)
        if self._async is not None:
            loop = self._tasks.loop()
            loop.call_soon_threadsafe(loop.add_reader, self._async.fileno(), self._async.drain)

    def end(self) -> None:
        """Calls that wait or run end with UNAVAILABLE, and no more come. Waits for nothing."""
        for lane in (self._plain, self._async):
            if lane is not None:
                lane.close()

    def close(self, timeout: float) -> None:
        """After the app: its threads go. One that is inside of a function for longer is left to itself."""
        self.end()
        if self._async is not None:
            loop = self._tasks.loop()
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(loop.remove_reader, self._async.fileno())
        self._tasks.close(timeout)
        until = time.monotonic() + timeout
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(max(0.0, until - time.monotonic()))


def methods_of(service: Any) -> Mapping[str, Callable[..., Any]]:
    """The methods of a service's object: GetUser, or get_user."""
    found: dict[str, Callable[..., Any]] = {}
    for name in dir(service):
        function = getattr(service, name)
        if name.startswith("_") or not callable(function):
            continue
        if name[0].islower():
            name = "".join(part[:1].upper() + part[1:] for part in name.split("_"))
        found[name] = function
    return found
