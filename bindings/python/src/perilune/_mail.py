# SPDX-License-Identifier: MIT
"""Ends of requests, for threads that wait and for event loops."""

from __future__ import annotations

import asyncio
import itertools
import os
import threading
import weakref
from collections.abc import Callable
from typing import Any

from . import _core

_numbers = itertools.count(1)
_here = threading.local()
_of_loops: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Mail] = weakref.WeakKeyDictionary()


def _after_fork() -> None:
    """What the parent's threads are told their answers by is not the child's."""
    global _here
    _here = threading.local()
    _of_loops.clear()


os.register_at_fork(after_in_child=_after_fork)
Send = Callable[[Any, int], None]
"""Begins a request, whose end comes to an inbox with a number."""


def wait(send: Send, timeout: float | None) -> tuple[int, bytes]:
    """Waits for the end; signals are handled meanwhile."""
    inbox = getattr(_here, "inbox", None)
    if inbox is None:
        inbox = _here.inbox = _core.Inbox()
    number = next(_numbers)
    send(inbox, number)
    _, code, response = inbox.wait(number, -1 if timeout is None else max(0, int(timeout * 1000)))
    return code, response


async def wait_async(send: Send, timeout: float | None) -> tuple[int, bytes]:
    loop = asyncio.get_running_loop()
    mail = _of_loops.get(loop)
    if mail is None:
        for other in [each for each in _of_loops if each.is_closed()]:  # what still waited there refers to it
            _of_loops.pop(other, None)
        mail = _of_loops[loop] = _Mail(loop)
    async with asyncio.timeout(timeout):
        return await mail.send(send)


class _Mail:
    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._inbox = _core.Inbox()
        self._waiting: dict[int, asyncio.Future[tuple[int, bytes]]] = {}
        loop.add_reader(self._inbox.fileno(), _take, weakref.ref(self))

    def send(self, send: Send) -> asyncio.Future[tuple[int, bytes]]:
        number = next(_numbers)
        send(self._inbox, number)
        future = self._waiting[number] = asyncio.get_running_loop().create_future()
        future.add_done_callback(lambda _: self._waiting.pop(number, None))  # also when nobody waits any more
        return future

    def take(self) -> None:
        for number, code, response in self._inbox.take():
            future = self._waiting.get(number)
            if future is not None and not future.done():
                future.set_result((code, response))


def _take(mail: weakref.ref[_Mail]) -> None:
    if (here := mail()) is not None:
        here.take()
