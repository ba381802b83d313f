# SPDX-License-Identifier: MIT
"""The library's log lines, as records of Python's logging."""

from __future__ import annotations

import json
import logging
import threading
from typing import Any

LEVELS = {"debug": 1, "info": 2, "warn": 3, "warning": 3, "error": 4, "none": 5}
_PYTHONS = {1: logging.DEBUG, 2: logging.INFO, 3: logging.WARNING, 4: logging.ERROR}


def text_of(line: str) -> tuple[str, dict[str, Any]]:
    """A line is a JSON object; the record has its message, its fields behind it, and a traceback below."""
    try:
        fields = json.loads(line)
        message = str(fields["message"])
    except (ValueError, KeyError, TypeError):
        return line, {}
    said = [f"{name}={value}" for name, value in fields.items() if name not in ("time", "level", "message", "traceback")]
    text = " ".join([message, *said])
    return (f"{text}\n{fields['traceback']}" if fields.get("traceback") else text), fields


class Log:
    """Gives lines to a logger, on a thread of its own, until the lines are closed."""

    def __init__(self, lines: Any, logger: logging.Logger) -> None:
        self.lines = lines
        self._logger = logger
        self._thread = threading.Thread(target=self._run, name="perilune-log", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        closed = False
        while not closed:
            lines, lost, closed = self.lines.wait()
            for level, line in lines:
                number = _PYTHONS.get(level, logging.INFO)
                if self._logger.isEnabledFor(number):
                    text, fields = text_of(line)
                    self._logger.log(number, "%s", text, extra={"perilune": fields})
            if lost:
                self._logger.warning("%d lines of the log were lost: they came faster than they were taken", lost)

    def close(self, timeout: float) -> None:
        self.lines.close()
        if self._thread is not threading.current_thread():
            self._thread.join(timeout)
