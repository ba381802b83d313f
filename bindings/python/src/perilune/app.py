# SPDX-License-Identifier: MIT
from __future__ import annotations

import asyncio
import concurrent.futures
import os
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from . import _core, _json, errors

__all__ = ["App"]

Files = Mapping[str, str | bytes]


def _bytes_of(files: Files) -> dict[str, bytes]:
    return {path: text.encode() if isinstance(text, str) else bytes(text) for path, text in files.items()}


def _request(query: str, variables: Mapping[str, Any] | None, operation_name: str | None) -> bytes:
    request: dict[str, Any] = {"query": query}
    if variables is not None:
        request["variables"] = variables
    if operation_name is not None:
        request["operationName"] = operation_name
    return _json.dumps(request, "request")


class App:
    """A bundle made live in this process.

    `App("examples/blog")` is one in a directory, `App(files={"schema/a.graphql": "…"})` one in memory. What is
    wrong with it is raised as `InvalidArgument`, one "file:line:column: message" a line. Close it, or use it as a
    context manager. Its methods may be called from any thread.
    """

    def __init__(self, directory: str | os.PathLike[str] | None = None, *, files: Files | None = None) -> None:
        if (directory is None) == (files is None):
            raise TypeError("App takes a directory, or files={path: text}")
        self._core = _core.App(directory, None if files is None else _bytes_of(files))
        self._pool: concurrent.futures.ThreadPoolExecutor | None = None

    def graphql(
        self, query: str, variables: Mapping[str, Any] | None = None, operation_name: str | None = None
    ) -> dict[str, Any]:
        """Executes one operation and returns the response: {"data": …, "errors": […]}.

        Errors of the operation are in it. What is raised is that there is no response: the request is not
        understood, the app is closed.
        """
        return self._execute(_request(query, variables, operation_name))

    async def graphql_async(
        self, query: str, variables: Mapping[str, Any] | None = None, operation_name: str | None = None
    ) -> dict[str, Any]:
        """The same, while the event loop goes on."""
        request = _request(query, variables, operation_name)
        if self._pool is None:
            self._pool = concurrent.futures.ThreadPoolExecutor(1, "perilune")
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._execute, request)

    def _execute(self, request: bytes) -> dict[str, Any]:
        code, body = self._core.execute(request)
        response = _json.loads(body)
        if code:
            raise errors.of(code, response["errors"][0]["message"])
        return response

    def close(self) -> None:
        """Ends it. A second time does nothing."""
        if self._pool is not None:
            self._pool.shutdown()
        self._core.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.close()
