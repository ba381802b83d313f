# SPDX-License-Identifier: MIT
"""A test process that crashes or hangs in a client's native code costs the test that it ran, and no more: a conftest.py
imports the hooks."""

import faulthandler
import os
import signal

import pytest


@pytest.hookimpl(trylast=True)  # after pytest's own, which shows all threads
def pytest_configure(config):
    # The other threads run on while they are looked at, in the memory of a process that is broken: it has hung a whole run.
    faulthandler.enable(file=os.dup(2), all_threads=False)  # a copy: during a test, what is written to 2 is caught


def _limit(item):
    """The seconds that pytest-timeout gives to the test; 0: any number."""
    mark = item.get_closest_marker("timeout")
    return float(mark.args[0]) if mark and mark.args else float(item.config.getini("timeout") or 0)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item):
    # pytest-timeout needs the interpreter's lock, which a thread that hangs in native code keeps. The kernel needs nothing.
    seconds = _limit(item)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(int(seconds) + 5 if seconds else 0)
    try:
        return (yield)
    finally:
        signal.alarm(0)


def pytest_xdist_make_scheduler(config, log):
    from xdist.scheduler import LoadFileScheduling  # not each run has xdist

    class Scheduler(LoadFileScheduling):
        """The tests of a file stay together. As it is, a test whose process has died would be run again and again, and a
        process to which only finished tests fall, or a single one, would wait for ever."""

        def remove_node(self, node):
            work = self.assigned_work[node]
            crashed = next((test for tests in work.values() for test, done in tests.items() if not done), None)
            for file, tests in list(work.items()):
                if crashed in tests:
                    tests[crashed] = True
                if all(tests.values()):
                    del work[file]
            super().remove_node(node)
            return crashed

        def schedule(self):
            super().schedule()
            for node in self.nodes:
                self._reschedule(node)

    return Scheduler(config, log) if config.getvalue("dist") == "loadfile" else None
