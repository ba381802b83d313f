# SPDX-License-Identifier: MIT
"""What goes wrong in a run: brokers and servers that are killed or stop answering, one of each kind at a time, again and again.

Which fault comes next, to whom and for how long is decided by the seed alone; every step is written down with its time. So the
same seed makes the same faults in the same order, though not at the same event: threads and brokers have a time of their own."""

import json
import random
import signal
import threading
import time
from collections import Counter
from pathlib import Path


class Lane(threading.Thread):
    """Faults one after the other. A fault is function(chance) that breaks something and heals it before it returns."""

    def __init__(self, name, seed, faults, write, gap):
        super().__init__(name=name)
        self.chance, self.faults, self.gap, self._write = random.Random(f"{seed} {name}"), faults, gap, write
        self.done, self.ending, self.failure = Counter(), threading.Event(), None

    def run(self):
        names = sorted(self.faults)
        while not self.ending.wait(self.chance.uniform(*self.gap)):
            # Each kind comes before one comes again: short runs have them all.
            fewest = min(self.done[name] for name in names)
            name = self.chance.choice([one for one in names if self.done[one] == fewest])
            try:
                details = self.faults[name](self.chance, lambda step, name=name: self._write(self.name, name, step))
            except Exception as problem:  # noqa: BLE001 - whatever it is, the run has failed
                self.failure = problem
                self._write(self.name, name, f"failed: {problem!r}")
                return
            self._write(self.name, name, details or "healed")
            self.done[name] += 1


class Nemesis:
    """with Nemesis(seed, path, {"brokers": {name: fault}, "servers": …}): … ; all is healed at the end."""

    def __init__(self, seed, path, lanes, gap=(0.5, 3.0)):
        self._file, self._begin, self._lock = Path(path).open("w"), time.monotonic(), threading.Lock()  # noqa: SIM115 - see __exit__
        self._write("", "seed", str(seed))
        self.lanes = [Lane(name, seed, faults, self._write, gap) for name, faults in lanes.items()]

    def _write(self, lane, fault, step):
        line = {"seconds": round(time.monotonic() - self._begin, 3), "lane": lane, "fault": fault, "step": step}
        with self._lock:
            self._file.write(json.dumps(line) + "\n")
            self._file.flush()

    def counts(self):
        return {name: count for lane in self.lanes for name, count in sorted(lane.done.items())}

    def failure(self):
        return next((lane.failure for lane in self.lanes if lane.failure), None)

    def __enter__(self):
        for lane in self.lanes:
            lane.start()
        return self

    def __exit__(self, kind, error, trace):
        for lane in self.lanes:
            lane.ending.set()
        for lane in self.lanes:
            lane.join()
        self._file.close()


def broker_faults(cluster, longest):
    """longest: seconds that a broker is away at most."""

    def kill(chance, step):
        node, away = chance.choice(cluster.nodes), chance.uniform(0.2, longest)
        step(f"kill -9 node {node} for {away:.1f} s")
        cluster.kill(node)
        time.sleep(away)
        cluster.start(node)

    def pause(chance, step):
        node, away = chance.choice(cluster.nodes), chance.uniform(0.2, 2 * longest)
        step(f"SIGSTOP node {node} for {away:.1f} s")
        cluster.pause(node)
        try:
            time.sleep(away)
        finally:
            cluster.cont(node)

    return {"kill broker": kill, "pause broker": pause}


def server_faults(servers, session=None):
    """session: seconds after which a consumer that is not heard of loses its partitions; None: there are no consumers."""

    def kill(chance, step):
        which, away = chance.randrange(len(servers)), chance.uniform(0.0, 2.0)
        step(f"kill -9 server {which} for {away:.1f} s")
        servers.kill(which)
        time.sleep(away)
        servers.start(which)

    def reload(chance, step):
        which = chance.randrange(len(servers))
        step(f"reload server {which}")
        servers.change(which)
        servers[which].reload()

    def kill_in_reload(chance, step):
        which, after = chance.randrange(len(servers)), chance.uniform(0.0, 0.1)
        step(f"reload server {which}, kill -9 after {1000 * after:.0f} ms")
        servers.change(which)
        servers[which].signal_reload()
        time.sleep(after)
        servers.kill(which)
        servers.start(which)

    def kill_in_rebalance(chance, step):
        """One leaves the group in good order, and another is killed while the partitions go around."""
        leaves = chance.randrange(len(servers))
        killed, after = (leaves + 1) % len(servers), chance.uniform(0.0, 1.0)
        step(f"stop server {leaves}, kill -9 server {killed} {1000 * after:.0f} ms after that began")
        stopping = threading.Thread(target=servers.stop, args=(leaves,))
        stopping.start()
        time.sleep(after)
        servers.kill(killed)
        stopping.join()
        servers.start(leaves)
        time.sleep(chance.uniform(0.0, 1.0))
        servers.start(killed)

    def pause(chance, step):
        """It wakes up and does not know that its partitions are another's."""
        which, away = chance.randrange(len(servers)), chance.uniform(0.5, 2.0) * session
        step(f"SIGSTOP server {which} for {away:.1f} s")
        servers[which].signal(signal.SIGSTOP)
        try:
            time.sleep(away)
        finally:
            servers[which].signal(signal.SIGCONT)

    faults = {"kill server": kill, "reload": reload, "kill server in reload": kill_in_reload}
    if session:
        faults["kill server in rebalance"] = kill_in_rebalance
        faults["pause server"] = pause
    return faults
