# SPDX-License-Identifier: MIT
"""What happened, and whether that keeps the promises: the history of a run, and its checker.

Every value is unique, and each key has its values in an order: `KEY-ORDINAL`. Publishing one ends in one of three ways: it was
acknowledged, it was refused (and cannot be there), or nobody knows (the connection broke; it may be there). In the end all that
is in the topic is read, committed only, and held against that:

  lost        acknowledged, but not there
  duplicated  there more than once (where that is promised: see check)
  reordered   within a key, a value stands behind a later one
  invented    nobody has sent it
  aborted     it was written by a transaction that was aborted
  refused     the publisher was told that it failed for good
  split       the values of a key are in several partitions
"""

import json
import threading
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path

MOST_EXAMPLES = 5


def value_of(key, ordinal):
    return f"{key}-{ordinal:07d}"


def parts_of(value):
    """(key, ordinal) of a value."""
    key, _, ordinal = value.rpartition("-")
    return key, int(ordinal)


@dataclass(frozen=True)
class Read:
    """A value as it was read in the end."""

    partition: int
    offset: int
    key: str
    value: str
    aborted: bool = False  # it says of itself that its transaction cannot have been committed

    def __str__(self):
        return f"{self.value} at {self.partition}/{self.offset}"


@dataclass
class Report:
    acknowledged: int = 0
    unknown: int = 0
    read: int = 0
    problems: dict = field(default_factory=lambda: defaultdict(list))
    duplicates: int = 0  # copies beyond the first, allowed or not

    @property
    def good(self):
        return not self.problems

    def counts(self):
        return {kind: len(found) for kind, found in self.problems.items()}

    def __str__(self):
        numbers = f"{self.acknowledged} acknowledged, {self.unknown} unknown, {self.read} read, {self.duplicates} of them again"
        lines = [numbers]
        for kind, found in sorted(self.problems.items()):
            lines.append(f"{len(found)} {kind}: " + "; ".join(map(str, found[:MOST_EXAMPLES])))
        return "\n".join(lines)


class History:
    """Written down as it happens, by many threads; a file of it can be checked again later."""

    def __init__(self, path=None):
        self.acknowledged, self.unknown, self.refused = set(), set(), set()
        self._lock = threading.Lock()
        self._file = Path(path).open("a") if path else None  # noqa: SIM115 - closed by close()

    @classmethod
    def load(cls, path):
        history = cls()
        with Path(path).open() as lines:
            for line in lines:
                for outcome, values in json.loads(line).items():
                    getattr(history, outcome).update(values)
        return history

    def _note(self, outcome, values):
        values = [values] if isinstance(values, str) else list(values)
        with self._lock:
            getattr(self, outcome).update(values)
            if self._file:
                self._file.write(json.dumps({outcome: values}) + "\n")

    def acknowledge(self, values):
        self._note("acknowledged", values)

    def refuse(self, values):
        self._note("refused", values)

    def lose_sight_of(self, values):
        self._note("unknown", values)

    def close(self):
        if self._file:
            self._file.close()


def check(history, reads, once=True, ordered=True):
    """reads: what is in the topic. once: no value may be there twice; otherwise events may come again, but the first ones of each
    must still be in order. ordered=False: for handlers that promise no order."""
    report = Report(len(history.acknowledged), len(history.unknown), len(reads))
    problem = report.problems
    times = Counter(read.value for read in reads)
    report.duplicates = len(reads) - len(times)

    for value in sorted(history.acknowledged - times.keys()):
        problem["lost"].append(value)
    known = history.acknowledged | history.unknown | history.refused
    for read in reads:
        if read.aborted:
            problem["aborted"].append(read)
        elif read.value in history.refused:
            problem["refused"].append(read)
        elif read.value not in known:
            problem["invented"].append(read)
    if once:
        check_once(reads, times, problem)
    check_keys(reads, history.unknown, ordered, problem)
    return report


def check_once(reads, times, problem):
    places = defaultdict(list)
    for read in reads:
        if times[read.value] > 1:
            places[read.value].append(f"{read.partition}/{read.offset}")
    for value, where in places.items():
        problem["duplicated"].append(f"{value} at {', '.join(where)}")


def check_keys(reads, unknown, ordered, problem):
    """Of each key: one partition, and in the order of its ordinals, looking at the first copy of each. One of which nobody
    knows may have been under way for long: it has no place in the order."""
    partitions, latest, seen = {}, {}, set()
    for read in sorted(reads, key=lambda read: (read.partition, read.offset)):
        key, ordinal = parts_of(read.value)
        if partitions.setdefault(key, read.partition) != read.partition:
            problem["split"].append(f"{read}, others in {partitions[key]}")
        if read.value in seen:
            continue
        seen.add(read.value)
        if read.value in unknown:
            continue
        before = latest.get(key)
        if ordered and before is not None and parts_of(before.value)[1] > ordinal:
            problem["reordered"].append(f"{read} behind {before}")
        else:
            latest[key] = read
