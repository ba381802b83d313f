# SPDX-License-Identifier: MIT
from __future__ import annotations

import asyncio
import atexit
import contextlib
import dataclasses
import json
import logging
import os
import signal
import threading
import weakref
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self, TypeVar

from . import _core, _engine, _json, _log, _mail, _scalars, errors

__all__ = ["App", "Server"]

Files = Mapping[str, str | bytes]
F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")

_JOIN = 5.0  # seconds for threads of Python's to end


def _bytes_of(files: Files) -> dict[str, bytes]:
    return {path: text.encode() if isinstance(text, str) else bytes(text) for path, text in files.items()}


def _request(query: str, variables: Mapping[str, Any] | None, operation_name: str | None) -> bytes:
    request: dict[str, Any] = {"query": query}
    if variables is not None:
        request["variables"] = variables
    if operation_name is not None:
        request["operationName"] = operation_name
    return _json.dumps(request, "request")


def _response(end: tuple[int, bytes]) -> dict[str, Any]:
    """Of GraphQL. With a code there is no response but its errors, of which the first says why."""
    code, body = end
    response = _json.loads(body)
    if code == 0 or "data" in response or not _is_refusal(response):
        return response
    raise errors.of(code, response["errors"][0].get("message", ""))


def _is_refusal(response: dict[str, Any]) -> bool:
    """Errors with a place are those of a document, which is an answer."""
    return not any("locations" in error for error in response.get("errors", ()))


def _message(end: tuple[int, bytes]) -> Any:
    code, body = end
    if code:
        raise _error_of(code, body)
    return _json.loads(body) if body else None


def _error_of(code: int, body: bytes) -> errors.Error:
    text = body.decode("utf-8", "replace")
    with contextlib.suppress(ValueError, KeyError, TypeError):
        text = str(json.loads(text)["message"])
    return errors.of(code, text)


def _payload(value: Any, what: str) -> bytes:
    if isinstance(value, str):
        return value.encode()
    return bytes(value) if isinstance(value, bytes | bytearray | memoryview) else _json.dumps(value, what)


def _event(topic: str, value: Any, key: str | bytes | None, headers: Mapping[str, str] | None) -> tuple[Any, ...]:
    flat = tuple(str(part) for pair in (headers or {}).items() for part in pair)
    return topic, None if key is None else _payload(key, "key"), _payload(value, "event"), flat


@dataclasses.dataclass
class _Registration:
    kind: str
    names: tuple[Any, ...]
    functions: tuple[Callable[..., Any] | None, ...]
    most: tuple[int, ...]


class _Running:
    """A core app with all that belongs to it, from its start to its end."""

    def __init__(self, owner: App, options: dict[str, Any]) -> None:
        self.lanes = _engine.Lanes(_core, owner._queue, owner._threads, owner._loop, owner._scalars.convert)
        self.log: _log.Log | None = None
        level = _log.LEVELS[owner._log_level]
        if level < _log.LEVELS["none"]:
            self.log = _log.Log(_core.Lines(), owner.logger)
            options |= {"lines": self.log.lines, "log_level": level}
        try:
            self.core = _core.App(**options)
            for name in owner._scalars.names():
                self.core.scalar(name)
            for each in owner._registrations:
                self._register(each)
            self.lanes.start()
            self.core.start()
        except BaseException:
            self.close(0, getattr(self, "core", None))
            raise

    def _register(self, each: _Registration) -> None:
        given = [function for function in each.functions if function is not None]
        lane = self.lanes.of(given[0])
        register = getattr(self.core, each.kind)
        arguments: list[Any] = []
        for function, most in zip(each.functions, each.most, strict=True):
            what = f"{each.kind} {'.'.join(str(name) for name in each.names)}"
            arguments += [function, most if function is None else _engine.argument_count(function, most, what)]
        register(*each.names, *arguments, lane)

    def close(self, timeout: float, core: Any = None) -> None:
        core = core or getattr(self, "core", None)
        if core is not None:
            if timeout > 0:
                with contextlib.suppress(errors.Error):
                    core.stop(int(timeout * 1000))
            self.lanes.end()
            core.close()
        self.lanes.close(_JOIN)
        if self.log is not None:
            self.log.close(_JOIN)

    def abandon(self) -> None:
        """The interpreter ends: nothing of Python's is called any more."""
        self.lanes.end()
        self.core.close()
        self.lanes.close(1.0)
        if self.log is not None:
            self.log.close(1.0)


class Server:
    """A running app that listens: what `App.serve` gives. It ends with its context, or with `close`."""

    def __init__(self, app: App, addresses: dict[str, str]) -> None:
        self._app = app
        self.addresses = addresses
        """{"http": "127.0.0.1:8080", "grpc": …}: those that are bound."""

    @property
    def http(self) -> str | None:
        return self.addresses.get("http")

    @property
    def https(self) -> str | None:
        return self.addresses.get("https")

    @property
    def grpc(self) -> str | None:
        return self.addresses.get("grpc")

    @property
    def grpcs(self) -> str | None:
        return self.addresses.get("grpcs")

    @property
    def kafka(self) -> str | None:
        """Of the embedded broker."""
        return self.addresses.get("kafka")

    def wait(self) -> None:
        """Until SIGINT or SIGTERM (in the main thread), or until another thread closes the app."""
        over = self._app._over
        main = threading.current_thread() is threading.main_thread()
        before = signal.signal(signal.SIGTERM, lambda *_: over.set()) if main else None
        try:
            with contextlib.suppress(KeyboardInterrupt):
                while not over.wait(0.5):  # a signal may come to a thread of the library's
                    pass
        finally:
            if before is not None:  # of C's otherwise
                signal.signal(signal.SIGTERM, before)

    def close(self) -> None:
        self._app._stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.close()


class App:
    """A bundle made live in this process.

    `App("examples/blog")` is one in a directory, `App(files={"schema/a.graphql": "…"})` one in memory; without
    either, it has only what is registered. It starts with its first use, or with `start`; what is wrong with the
    bundle is raised then as `InvalidArgument`, one "file:line:column: message" a line. Close it, or use it as a
    context manager. Its methods may be called from any thread.

    workers    threads of the library that serve requests
    kafka      "host:9092,…", "embedded" or "off", instead of what app.lua says
    drain      seconds that old work may take after a reload, and at the end
    requests   of the program's own (`graphql`, `call`, `publish`) that may be in hand; more are RESOURCE_EXHAUSTED
    queue      how many calls of Python functions may wait; more are RESOURCE_EXHAUSTED
    threads    of Python's, that carry out functions (those that are not `async`)
    loop       the event loop for `async` functions; None: one in a thread of its own
    log_level  "debug", "info", "warn", "error", "none"; lines go to `logger`, by default logging's "perilune"
    """

    def __init__(
        self,
        directory: str | os.PathLike[str] | None = None,
        *,
        files: Files | None = None,
        workers: int = 1,
        kafka: str | None = None,
        drain: float = 30.0,
        requests: int = 10_000,
        queue: int = 1024,
        threads: int = 1,
        loop: asyncio.AbstractEventLoop | None = None,
        log_level: str = "warn",
        logger: logging.Logger | None = None,
    ) -> None:
        if directory is not None and files is not None:
            raise TypeError("App takes a directory, or files={path: text}")
        if workers < 1 or threads < 1 or queue < 1 or requests < 1:
            raise ValueError("workers, threads, queue and requests are at least 1")
        if log_level not in _log.LEVELS:
            raise ValueError(f"log_level is one of {', '.join(_log.LEVELS)}")
        self.logger = logger or logging.getLogger("perilune")
        self._directory = directory
        self._files = None if files is None else _bytes_of(files)
        self._options = {"workers": workers, "kafka": kafka, "drain_ms": max(1, int(drain * 1000)), "requests": requests}
        self._drain = drain
        self._queue, self._threads, self._loop, self._log_level = queue, threads, loop, log_level
        self._registrations: list[_Registration] = []
        self._scalars = _scalars.Scalars(self.logger)
        self._lock = threading.RLock()
        self._ends = threading.RLock()
        self._running: _Running | None = None
        self._closed = False
        self._over = threading.Event()
        self._pid = os.getpid()
        _apps.add(self)

    # -- functions of the program --
    def _register(self, kind: str, names: tuple[Any, ...], functions: tuple[Any, ...], most: tuple[int, ...]) -> None:
        what = f"{kind} {'.'.join(str(name) for name in names)}"
        for function, count in zip(functions, most, strict=True):
            if function is not None:
                _engine.argument_count(function, count, what)  # a wrong one is told where it is written
        with self._lock:
            if self._running is not None:
                raise errors.FailedPrecondition(f"{what}: the app has started, and functions are registered before")
            self._registrations.append(_Registration(kind, names, functions, most))

    def resolver(self, type: str, field: str) -> Callable[[F], F]:
        """`@app.resolver("Query", "user")` above `def user(parent, args, ctx, info)`, plain or async.

        It is called with as many of these as it declares. It returns what the field's type is made of: dicts, lists
        (or generators), str, int, float, bool, None, bytes, dataclasses, times.
        """

        def register(function: F) -> F:
            self._register("resolver", (type, field), (function,), (4,))
            return function

        return register

    def service(self, name: str) -> Callable[[T], T]:
        """`@app.service("user.v1.UserService")` above a class: its public methods are those of the service.

        `def GetUser(self, request, ctx)`, or `get_user`, plain or async, for unary methods. The class is
        instantiated without arguments, when it is a class.
        """

        def register(service: T) -> T:
            methods = _engine.methods_of(service() if isinstance(service, type) else service)
            if not methods:
                raise TypeError(f"service {name}: it has no methods")
            for method, function in methods.items():
                self._register("method", (name, method), (function,), (2,))
            return service

        return register

    def method(self, service: str, method: str) -> Callable[[F], F]:
        """`@app.method("user.v1.UserService", "GetUser")` above `def get_user(request, ctx)`."""

        def register(function: F) -> F:
            self._register("method", (service, method), (function,), (2,))
            return function

        return register

    def consumer(self, topic: str, **declaration: Any) -> Callable[[F], F]:
        """`@app.consumer("payments", group="audit", format="json")` above `def handle(event, msg, ctx)`.

        The declaration is what a file in events/ returns. An exception is a failure of the event.
        """

        def register(function: F) -> F:
            text = _json.dumps({"topic": topic, **declaration}, "consumer").decode()
            self._register("consumer", (f"consumer of {topic}", text), (function,), (3,))
            return function

        return register

    def interceptor(
        self, before: Callable[..., Any] | None = None, after: Callable[..., Any] | None = None
    ) -> Callable[..., Any] | None:
        """`@app.interceptor` above `def before(ctx)`, which refuses by raising; `app.interceptor(before, after)`.

        Around each operation, call and event, outside of the bundle's own; `after(ctx, outcome)` sees the end.
        """
        self._register("interceptor", (), (before, after), (1, 2))
        return before

    def scalar(
        self, name: str, *, parse: Callable[[Any], Any] | None = None, serialize: Callable[[Any], Any] | None = None
    ) -> None:
        """`app.scalar("Money", parse=Decimal, serialize=str)`: what a scalar's values are in Python's resolvers.

        parse makes them of what the client has sent: JSON's types, never None. With ValueError, TypeError or an error
        of `perilune` it refuses the value, and the field fails as INVALID_ARGUMENT. serialize makes JSON's types of
        them. Both are called on the resolver's thread, wherever the schema has the scalar in arguments and results;
        None: values stay as they are. Resolvers in Lua see what clients send.
        """
        what = f"scalar {name}"
        for function in (parse, serialize):
            if function is not None and not callable(function):
                raise TypeError(f"{what}: parse and serialize are functions")
            if function is not None and _engine.is_async(function):
                raise TypeError(f"{what}: parse and serialize cannot be async, as a resolver has many values of it")
        with self._lock:
            if self._running is not None:
                raise errors.FailedPrecondition(f"{what}: the app has started, and functions are registered before")
            self._scalars.add(name, parse, serialize)

    # -- its life --
    def start(self) -> None:
        """Loads the bundle, without listening. Otherwise the first use does it."""
        self._core_app()

    def serve(
        self,
        http: str | None = None,
        grpc: str | None = None,
        *,
        https: str | None = None,
        grpcs: str | None = None,
        certificate: str | None = None,
        key: str | None = None,
        client_ca: str | None = None,
        metrics: str | None = None,
    ) -> Server:
        """Starts it with listeners: addresses are "HOST:PORT" (port 0: any free one) or "unix:PATH".

        An app that runs already, without listeners, is started anew. When the server is closed the app is stopped;
        it starts again with its next use.
        """
        listeners = {
            "http": http,
            "grpc": grpc,
            "https": https,
            "grpcs": grpcs,
            "certificate": certificate,
            "key": key,
            "client_ca": client_ca,
            "metrics": metrics,
        }
        while True:
            self._check()
            self._stop()
            with self._lock:
                self._check()
                if self._running is None:  # otherwise it was used meanwhile
                    self._over.clear()
                    self._running = self._start(listeners)
                    return Server(self, json.loads(self._running.core.addresses()))

    def run(self, http: str | None = "127.0.0.1:8080", grpc: str | None = None, **listeners: Any) -> None:
        """Serves until SIGINT or SIGTERM, then drains."""
        with self.serve(http, grpc, **listeners) as server:
            self.logger.info("serving %s", server.addresses)
            server.wait()

    def close(self) -> None:
        """Ends it: what is in hand is finished, for up to `drain` seconds. A second time does nothing."""
        if os.getpid() != self._pid:  # the parent process's, as its locks are
            return
        with self._lock:
            self._closed = True
        self._stop()

    def _check(self) -> None:
        if os.getpid() != self._pid:
            raise errors.FailedPrecondition("the app belongs to the parent process: make one in this process")
        if self._closed:
            raise errors.FailedPrecondition("the app is closed")

    def _start(self, listeners: dict[str, str | None]) -> _Running:
        return _Running(self, {"directory": self._directory, "files": self._files} | self._options | listeners)

    def _core_app(self) -> Any:
        running = self._running
        if running is not None and os.getpid() == self._pid:
            return running.core
        if os.getpid() != self._pid:
            self._check()
        with self._lock:
            self._check()
            if self._running is None:
                self._running = self._start({})
            return self._running.core

    async def _core_app_async(self) -> Any:
        """A bundle takes its time to load."""
        return self._core_app() if self._running is not None else await asyncio.to_thread(self._core_app)

    def _stop(self) -> None:
        """Without the lock, as what is finished meanwhile may use the app. Others that stop it wait until it is."""
        with self._ends:
            with self._lock:
                running, self._running = self._running, None
            if running is not None:
                running.close(self._drain)
        self._over.set()

    def _abandon(self) -> None:
        running, self._running = self._running, None
        self._closed = True
        if running is not None and os.getpid() == self._pid:
            running.abandon()

    def reload(self, files: Files | None = None) -> bool:
        """Reads the bundle anew and makes it live; True if it has changed.

        Otherwise the old one goes on, and InvalidArgument says what is wrong. files: of an app in memory.
        """
        if files is None:
            return self._core_app().reload()
        if self._directory is not None:
            raise TypeError("files are for an app in memory")
        new = _bytes_of(files)
        with self._lock:
            self._check()
            changed = self._running.core.reload(new) if self._running is not None else True
            self._files = new
        self._core_app()
        return changed

    def rollback(self) -> None:
        """Makes the bundle before the live one live again."""
        self._core_app().rollback()

    @property
    def generation(self) -> int:
        """1, 2, …: counts the bundles that were live."""
        return self._core_app().generation()

    def status(self) -> dict[str, Any]:
        """What `perilune status` prints."""
        return json.loads(self._core_app().status())

    def metrics(self) -> str:
        """What /metrics shows."""
        return self._core_app().metrics()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.close()

    # -- requests --
    def graphql(
        self,
        query: str,
        variables: Mapping[str, Any] | None = None,
        operation_name: str | None = None,
        *,
        timeout: float | None = None,
    ) -> dict[str, Any]:
        """Executes one operation and returns the response: {"data": …, "errors": […]}.

        Errors of the operation are in it. What is raised is that there is no response: the request is not
        understood, an interceptor has refused it, the app is closed. After timeout seconds DeadlineExceeded is
        raised, and the operation goes on.
        """
        core, request = self._core_app(), _request(query, variables, operation_name)
        return _response(_mail.wait(lambda inbox, number: core.execute(inbox, number, request), timeout))

    async def graphql_async(
        self,
        query: str,
        variables: Mapping[str, Any] | None = None,
        operation_name: str | None = None,
        *,
        timeout: float | None = None,
    ) -> dict[str, Any]:
        """The same, while the event loop goes on."""
        core, request = await self._core_app_async(), _request(query, variables, operation_name)
        return _response(await _mail.wait_async(lambda inbox, number: core.execute(inbox, number, request), timeout))

    def call(self, method: str, message: Any = None, *, timeout: float | None = None) -> Any:
        """Calls a unary method, "user.v1.UserService/GetUser", with a message as ProtoJSON has it; returns one."""
        core, request = self._core_app(), _json.dumps({} if message is None else message, "request")
        return _message(_mail.wait(lambda inbox, number: core.call(inbox, number, method, request), timeout))

    async def call_async(self, method: str, message: Any = None, *, timeout: float | None = None) -> Any:
        """The same, while the event loop goes on."""
        core, request = await self._core_app_async(), _json.dumps({} if message is None else message, "request")
        return _message(await _mail.wait_async(lambda inbox, number: core.call(inbox, number, method, request), timeout))

    # -- events --
    def publish(
        self,
        topic: str,
        value: Any,
        *,
        key: str | bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> None:
        """Publishes an event, and returns when the broker has it. value: bytes, str, or what becomes JSON."""
        core, event = self._core_app(), _event(topic, value, key, headers)
        _message(_mail.wait(lambda inbox, number: core.publish(inbox, number, *event), timeout))

    async def publish_async(
        self,
        topic: str,
        value: Any,
        *,
        key: str | bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> None:
        """The same, while the event loop goes on."""
        core, event = await self._core_app_async(), _event(topic, value, key, headers)
        _message(await _mail.wait_async(lambda inbox, number: core.publish(inbox, number, *event), timeout))

    def handle(self, topic: str, value: Any, *, key: str | bytes | None = None, headers: Mapping[str, str] | None = None) -> None:
        """Has the consumers of the topic handle an event as if it had come from a broker; a failure is raised."""
        self._core_app().handle(*_event(topic, value, key, headers))

    async def handle_async(
        self, topic: str, value: Any, *, key: str | bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        """The same, while the event loop goes on."""
        await asyncio.to_thread(self.handle, topic, value, key=key, headers=headers)


_apps: weakref.WeakSet[App] = weakref.WeakSet()


def _at_exit() -> None:
    for app in list(_apps):
        app._abandon()


atexit.register(_at_exit)
