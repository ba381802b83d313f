# SPDX-License-Identifier: MIT
"""A running bundle for tests: on free ports, with a broker in the process and a database that goes with it.

    with perilune.testing.Bundle("examples/payments", topics=["payments-enriched"]) as bundle:
        assert bundle.data("{ payments { id } }")["payments"] == []

The fixtures of the pytest plugin make these.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
import os
import shutil
import tempfile
import threading
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from . import errors, proto
from .app import App, Server

__all__ = ["Bundle", "Event", "GraphQLError"]

_IGNORED = shutil.ignore_patterns("*.db", "*.db-*", ".perilune", ".git", "node_modules", "__pycache__")


class GraphQLError(errors.Error):
    """A response with errors, where none were expected. `code` is that of the first one."""

    def __init__(self, response: Mapping[str, Any]) -> None:
        listed = response["errors"]
        super().__init__("; ".join(f"{error['message']} (at {error.get('path', 'the document')})" for error in listed))
        self.response = response
        self.errors = listed
        name = listed[0].get("extensions", {}).get("code", "UNKNOWN")
        self.code = errors.Code.__members__.get(name, errors.Code.UNKNOWN)  # type: ignore[misc]


@dataclasses.dataclass(frozen=True)
class Event:
    """One that was published."""

    topic: str
    value: bytes
    key: str | bytes | None
    headers: Mapping[str, str]

    @property
    def json(self) -> Any:
        return json.loads(self.value)


class _Records(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


class Bundle:
    """A copy of a bundle's folder (or files in memory), started.

    topics   whose events `read` is going to be asked for
    setup    is given the App before it starts, to register functions of Python's
    env      environment variables while it runs; PERILUNE_SQLITE_PATH names the temporary database
    options  of App
    """

    def __init__(
        self,
        directory: str | os.PathLike[str] | None = None,
        *,
        files: Mapping[str, str | bytes] | None = None,
        topics: Iterable[str] = (),
        setup: Callable[[App], None] | None = None,
        env: Mapping[str, str] | None = None,
        **options: Any,
    ) -> None:
        self._stack = contextlib.ExitStack()
        self._seen: dict[str, list[Event]] = {topic: [] for topic in topics}
        self._news = threading.Condition()
        self._pool: proto.Pool | None = None
        try:
            self.place = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="perilune-")))
            self.directory = self._copy(directory, files)
            self._set_environment({"PERILUNE_SQLITE_PATH": str(self.place / "test.db"), **(env or {})})
            self._records = _Records()
            logger = logging.Logger(f"perilune.{self.place.name}", logging.DEBUG)
            logger.addHandler(self._records)
            options = {"kafka": "embedded", "log_level": "info", "drain": 5.0, "logger": logger} | options
            self.app = App(self.directory, **options)
            self._stack.callback(self.app.close)
            for topic in self._seen:
                self.app.consumer(topic, group=f"test-{uuid.uuid4().hex[:8]}", format="bytes")(self._collector(topic))
            if setup is not None:
                setup(self.app)
            self.server: Server = self.app.serve("127.0.0.1:0", "127.0.0.1:0")
        except BaseException:
            self._stack.close()
            raise

    def _copy(self, directory: str | os.PathLike[str] | None, files: Mapping[str, str | bytes] | None) -> Path:
        copy = self.place / "bundle"
        if directory is not None:
            shutil.copytree(directory, copy, ignore=_IGNORED)
        copy.mkdir(exist_ok=True)
        for name, text in (files or {}).items():
            self._write(copy / name, text)
        return copy

    @staticmethod
    def _write(path: Path, text: str | bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode() if isinstance(text, str) else text)

    def _set_environment(self, env: Mapping[str, str]) -> None:
        self._env = env
        for name, value in env.items():
            before = os.environ.get(name)
            os.environ[name] = value
            if before is None:
                self._stack.callback(os.environ.pop, name, None)
            else:
                self._stack.callback(os.environ.__setitem__, name, before)

    def close(self) -> None:
        self._stack.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.close()

    # -- the bundle --
    def write(self, files: Mapping[str, str | bytes]) -> None:
        """Changes files of the copy."""
        for name, text in files.items():
            self._write(self.directory / name, text)

    def reload(self, files: Mapping[str, str | bytes] | None = None) -> bool:
        """Changes files, and makes them live."""
        self.write(files or {})
        self._pool = None
        os.environ.update(self._env)  # another bundle may have set its own since
        return self.app.reload()

    @property
    def log(self) -> list[logging.LogRecord]:
        """The records of its log; `record.perilune` has the fields."""
        return list(self._records.records)

    def wait_log(self, text: str, timeout: float = 10.0) -> logging.LogRecord:
        """The first record with this text in its message."""
        until = time.monotonic() + timeout
        while True:
            for record in self.log:
                if text in record.getMessage():
                    return record
            if time.monotonic() > until:
                raise TimeoutError(f"the log has no {text!r}:\n" + "\n".join(record.getMessage() for record in self.log))
            time.sleep(0.01)

    # -- GraphQL --
    def graphql(
        self, query: str, variables: Mapping[str, Any] | None = None, operation_name: str | None = None
    ) -> dict[str, Any]:
        """The response, without a socket."""
        return self.app.graphql(query, variables, operation_name)

    def data(self, query: str, variables: Mapping[str, Any] | None = None, operation_name: str | None = None) -> Any:
        """The data of a response; errors in it are raised as GraphQLError."""
        return _data(self.graphql(query, variables, operation_name))

    def post(
        self,
        query: str,
        variables: Mapping[str, Any] | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        path: str = "/graphql",
    ) -> dict[str, Any]:
        """The response over HTTP, whatever its status."""
        body = json.dumps({"query": query} | ({} if variables is None else {"variables": variables})).encode()
        request = urllib.request.Request(
            f"http://{self.server.http}{path}", body, {"content-type": "application/json", **(headers or {})}
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                return json.loads(response.read())
        except urllib.error.HTTPError as error:
            with error:
                return json.loads(error.read())

    # -- gRPC --
    def call(self, method: str, message: Any = None) -> Any:
        """Calls a unary method without a socket; messages are as ProtoJSON has them."""
        return self.app.call(method, message)

    @property
    def protos(self) -> proto.Pool:
        """The messages of the bundle's proto/ folder."""
        if self._pool is None:
            sets = [path.read_bytes() for path in sorted(self.directory.glob("proto/**/*.binpb"))]
            if any(self.directory.glob("proto/**/*.proto")):
                sets.append(proto.compile(self.directory / "proto"))
            self._pool = proto.Pool(sets)
        return self._pool

    @contextlib.contextmanager
    def channel(self, **options: Any) -> Iterator[Any]:
        """A grpc.Channel to it. Needs the package grpcio."""
        import grpc

        with grpc.insecure_channel(self.server.grpc, options=list(options.items())) as channel:
            yield channel

    def grpc(self, method: str, message: Any = None, *, metadata: Mapping[str, str] | None = None, timeout: float = 30.0) -> Any:
        """Calls a method by gRPC, with messages as dicts: one, or an iterable of them where the method takes a stream.

        Returns one message, or a list of those of a stream. A status is raised as the exception of its code.
        """
        import grpc

        what = self.protos.method(method)
        kind = ("stream" if what.client_streaming else "unary") + ("_stream" if what.server_streaming else "_unary")
        with self.channel() as channel:
            call = getattr(channel, kind)(
                f"/{method}",
                lambda value: self.protos.encode(what.input, value),
                lambda data: self.protos.decode(what.output, data),
            )
            request = iter(message or ()) if what.client_streaming else message or {}
            try:
                answer = call(request, timeout=timeout, metadata=tuple((metadata or {}).items()))
                return list(answer) if what.server_streaming else answer
            except grpc.RpcError as error:
                raise errors.of(error.code().value[0], error.details()) from None

    # -- events --
    def _collector(self, topic: str) -> Callable[[Any, Mapping[str, Any]], None]:
        def collect(event: Any, msg: Mapping[str, Any]) -> None:
            value = event.encode() if isinstance(event, str) else bytes(event or b"")
            with self._news:
                self._seen[topic].append(Event(topic, value, msg.get("key"), msg.get("headers") or {}))
                self._news.notify_all()

        return collect

    def publish(
        self, topic: str, value: Any, *, key: str | bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        """Publishes an event to the broker: bytes, str, or what becomes JSON."""
        self.app.publish(topic, value, key=key, headers=headers)

    def handle(self, topic: str, value: Any, *, key: str | bytes | None = None, headers: Mapping[str, str] | None = None) -> None:
        """Has the topic's consumers handle an event, and raises the first failure."""
        self.app.handle(topic, value, key=key, headers=headers)

    def read(self, topic: str, count: int = 1, timeout: float = 10.0) -> list[Event]:
        """The next events of a topic, in the order in which they came; TimeoutError when there are fewer."""
        if topic not in self._seen:
            raise ValueError(f"{topic!r} is not read: name it when the bundle is started, topics=[{topic!r}]")
        with self._news:
            if not self._news.wait_for(lambda: len(self._seen[topic]) >= count, timeout):
                raise TimeoutError(f"{topic}: {count} events are expected, and {len(self._seen[topic])} have come")
            events, self._seen[topic] = self._seen[topic][:count], self._seen[topic][count:]
            return events


def _data(response: Mapping[str, Any]) -> Any:
    if response.get("errors"):
        raise GraphQLError(response)
    return response["data"]
