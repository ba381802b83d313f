# SPDX-License-Identifier: MIT
"""protobuf_messages.py DIR SECONDS: Protobuf for Python (upb) beside what tests/bench/protobuf measures, with the messages that
`protobuf --write DIR` has written; prints the same lines."""

import sys
import time
from pathlib import Path

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.internal import api_implementation


def timed(times, run, *args):
    begin = time.process_time()
    for _ in range(times):
        run(*args)
    return time.process_time() - begin


def best(seconds, run, *args):
    """Nanoseconds: the best of ten runs of a tenth of the time."""
    times = 100
    while timed(times, run, *args) < seconds / 10:
        times *= 2
    return min(timed(times, run, *args) for _ in range(10)) / times * 1e9


def main(folder, seconds):
    files = descriptor_pb2.FileDescriptorSet.FromString((folder / "messages.binpb").read_bytes())
    pool = descriptor_pool.DescriptorPool()
    for file in files.file:
        pool.Add(file)
    library = f"python-{api_implementation.Type()}"
    for line in (folder / "types.txt").read_text().splitlines():
        name, message = line.split("\t")
        kind = message_factory.GetMessageClass(pool.FindMessageTypeByName(message))
        wire = (folder / f"{name}.bin").read_bytes()
        value = kind.FromString(wire)
        assert len(value.SerializeToString()) == len(wire), name
        print(f"{name}\t{len(wire)}\tdecode\t{best(seconds, kind.FromString, wire):.0f}\t{library}")
        print(f"{name}\t{len(wire)}\tencode\t{best(seconds, value.SerializeToString):.0f}\t{library}", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]))
