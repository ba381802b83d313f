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
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from typing import Any, Self

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
    return any(
        inspect.iscoroutinefunction(each) or inspect.isasyncgenfunction(each) for each in (function, type(function).__call__)
    )


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

    def passes_on(self, error: BaseException) -> bool:
        """Ctrl-C, on the program's own loop, is the program's, in whatever function it comes."""
        return isinstance(error, KeyboardInterrupt) and self._thread is None

    def lane(self) -> _LaneTasks:
        return _LaneTasks(self, next(self._numbers))

    def soon(self, function: Callable[..., None], *arguments: Any) -> None:
        """Calls it on the loop; from any thread."""
        loop = self.loop()
        try:
            here = asyncio.get_running_loop() is loop
        except RuntimeError:
            here = False
        if here:
            function(*arguments)
        else:
            loop.call_soon_threadsafe(function, *arguments)

    def begin(self, key: tuple[int, int], coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """On the loop."""
        task = self.loop().create_task(coroutine)
        self.note(key, task)
        return task

    def note(self, key: tuple[int, int], task: asyncio.Task[None]) -> None:
        """That the task is what works for a call."""
        self._tasks[key] = task
        task.add_done_callback(lambda task: self._forget(key, task))

    def _forget(self, key: tuple[int, int], task: asyncio.Task[None]) -> None:
        self._tasks.pop(key, None)
        if not task.cancelled():
            task.exception()  # the call has ended with it: asyncio need not complain

    def cancel(self, key: tuple[int, int]) -> None:
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


class _LaneTasks:
    """What a lane wants of the event loop. Its methods may be called from any thread."""

    def __init__(self, tasks: Tasks, number: int) -> None:
        self.tasks = tasks
        self._number = number

    def key(self, call_id: int) -> tuple[int, int]:
        return self._number, call_id

    def spawn(self, call_id: int, awaitable: Awaitable[Any], call: Any) -> None:
        try:
            self.tasks.soon(self._spawn, self.key(call_id), awaitable, call)
        except RuntimeError:  # the loop is closed
            _abandon(awaitable)
            raise

    def _spawn(self, key: tuple[int, int], awaitable: Awaitable[Any], call: Any) -> None:
        task = self.tasks.begin(key, _complete(awaitable, call, self.tasks))
        task.add_done_callback(lambda _: _abandon(awaitable))  # of a task that is cancelled before it begins

    def cancel(self, call_id: int) -> None:
        self.tasks.soon(self.tasks.cancel, self.key(call_id))

    def wrap(self, source: AsyncIterator[Any] | Stream) -> Stream:
        return source if isinstance(source, Stream) else Stream(self, source)

    def duplex(self, function: Callable[..., Any], count: int, ctx: Context) -> Stream:
        return Duplex(self, function, count, ctx)


class Stream:
    """An asynchronous generator, whose elements the library takes one by one: `next` for each, `close` in the end."""

    def __init__(self, lane: _LaneTasks, source: AsyncIterator[Any]) -> None:
        self._lane = lane
        self._source = source
        self._task: asyncio.Task[None] | None = None
        self._call: Any = None

    def __anext__(self) -> Any:  # it is known by this
        raise NotImplementedError

    def next(self, call_id: int, call: Any, state: int, message: Any) -> None:
        self._lane.tasks.soon(self._begin, call_id, call)

    def _begin(self, call_id: int, call: Any) -> None:
        self._call = call
        self._task = self._lane.tasks.begin(self._lane.key(call_id), self._step())

    async def _take(self) -> Any:
        call, self._call = self._call, None
        return call

    async def _step(self) -> None:
        try:
            value = await self._source.__anext__()
        except StopAsyncIteration:
            (await self._take()).end()
        except asyncio.CancelledError:
            if self._call is not None:
                self._call.fail(Cancelled("the stream was cancelled"))
            raise
        except BaseException as error:
            (await self._take()).fail(error)  # whatever it is, the stream ends with it
            if self._lane.tasks.passes_on(error):
                raise
        else:
            (await self._take()).finish(value)

    def close(self) -> None:
        self._lane.tasks.soon(self._begin_close)

    def _begin_close(self) -> None:
        self._closing = self._lane.tasks.loop().create_task(self._close())

    async def _close(self) -> None:
        if self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.wait([self._task])
        close = getattr(self._source, "aclose", None)
        if close is not None:
            with contextlib.suppress(Exception):
                await close()


class Requests:
    """The messages of a client that streams: `async for request in requests`."""

    def __init__(self, stream: Duplex) -> None:
        self._stream = stream

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        return await self._stream.receive()


_NOTHING, _MESSAGE, _LAST = 0, 1, 2


class Duplex(Stream):
    """A function that reads a client's messages while it makes its own. What the library asks for is an element; the
    answer may be that a message is wanted first, which comes with the next question."""

    def __init__(self, lane: _LaneTasks, function: Callable[..., Any], count: int, ctx: Context) -> None:
        made = function(*(Requests(self), ctx)[:count])
        if inspect.isawaitable(made):
            made = _single(made)
        if not hasattr(made, "__anext__"):
            raise TypeError("a method whose requests are a stream is an async function, or an async generator")
        super().__init__(lane, made)
        self._waiting: asyncio.Future[tuple[int, Any]] | None = None
        self._early: list[tuple[int, Any]] = []
        self._ended = False
        self._asked = asyncio.Event()

    def next(self, call_id: int, call: Any, state: int, message: Any) -> None:
        self._lane.tasks.soon(self._go_on, call_id, call, state, message)

    def _go_on(self, call_id: int, call: Any, state: int, message: Any) -> None:
        self._call = call
        self._asked.set()
        if state != _NOTHING:
            if self._waiting is not None and not self._waiting.done():
                self._waiting.set_result((state, message))
            else:
                self._early.append((state, message))
        if self._task is None or self._task.done():
            self._begin(call_id, call)
            return
        self._lane.tasks.note(self._lane.key(call_id), self._task)
        if state == _NOTHING and self._waiting is not None and not self._waiting.done():
            self._ask()

    def _ask(self) -> None:
        call, self._call = self._call, None
        self._asked.clear()
        call.ask()

    async def _take(self) -> Any:
        while self._call is None:
            await self._asked.wait()
        self._asked.clear()
        return await super()._take()

    async def receive(self) -> Any:
        if self._early:
            state, message = self._early.pop(0)
        elif self._ended:
            raise StopAsyncIteration
        else:
            self._waiting = asyncio.get_running_loop().create_future()
            if self._call is not None:
                self._ask()
            state, message = await self._waiting
        if state == _LAST:
            self._ended = True
            raise StopAsyncIteration
        return message


async def _single(awaitable: Awaitable[Any]) -> AsyncIterator[Any]:
    yield await awaitable


def _abandon(awaitable: Awaitable[Any]) -> None:
    """A coroutine that was never begun would be complained of."""
    if inspect.iscoroutine(awaitable):
        awaitable.close()


async def _complete(awaitable: Awaitable[Any], call: Any, tasks: Tasks) -> None:
    try:
        value = await awaitable
    except asyncio.CancelledError:
        call.fail(Cancelled("the call was cancelled"))
        raise
    except BaseException as error:
        call.fail(error)  # whatever it is, the call ends with it
        if tasks.passes_on(error):
            raise
    else:
        call.finish(value)


class Lanes:
    """Where the functions of one running app are carried out."""

    def __init__(
        self, core: Any, capacity: int, threads: int, loop: asyncio.AbstractEventLoop | None, convert: Callable[[Any, str], Any]
    ) -> None:
        self._core = core
        self._capacity = capacity
        self._convert = convert
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
                self._async = self._make()
            return self._async
        if self._plain is None:
            self._plain = self._make()
        return self._plain

    def _make(self) -> Any:
        tasks = self._tasks.lane()
        return self._core.Lane(self._capacity, tasks.spawn, tasks.cancel, tasks.wrap, tasks.duplex, self._convert)

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
