# SPDX-License-Identifier: MIT
"""Names of the functions that a shared library of the system keeps to itself.

Its file has no names of them, only where each begins and ends, for unwinding. But the package that one builds with has the static
library, which names them all, and often is the same code in the same order. Where between two functions that both files name all
others have the same sizes, they are the same ones; what does not fit stays without a name."""

import bisect
import difflib
import itertools
import re
import subprocess
from pathlib import Path


def printed(*command):
    try:
        return subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=120, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""


def is_mapped_as_it_is(headers):
    """Whether code has the same addresses in memory, but for where it begins, as in the file."""
    code = re.findall(r"^\s*LOAD\s+(0x[0-9a-f]+)\s+(0x[0-9a-f]+).*R[ W]E", headers, re.M)
    return bool(code) and all(int(offset, 16) == int(address, 16) for offset, address in code)


def shared_functions(dump, symbols):
    """[(address, size, name or "")] of readelf's list of frames and nm's of symbols."""
    names = {}
    for line in symbols.splitlines():
        address, kind, name = line.split()[-3:]
        if kind in "TtWi":
            names[int(address, 16)] = name.partition("@")[0]
    found = {int(begin, 16): int(end, 16) for begin, end in re.findall(r"FDE .* pc=([0-9a-f]+)\.\.([0-9a-f]+)", dump)}
    return [(begin, end - begin, names.get(begin, "")) for begin, end in sorted(found.items())]


def archive_functions(symbols):
    """[(size, name)] of readelf's symbols of a static library, object by object, as they follow each other."""
    found, of_object = [], []
    for line in [*symbols.splitlines(), "File:"]:
        fields = line.split()
        if line.startswith("File:"):
            found += [one[2:] for one in sorted(of_object)]
            of_object = []
        # What the compiler takes out of functions as unlikely is put elsewhere when they are linked.
        elif len(fields) == 8 and fields[3] == "FUNC" and fields[6].isdigit() and not fields[7].endswith(".cold"):
            of_object.append((int(fields[6]), int(fields[1], 16), int(fields[2], 0), fields[7]))
    return found


def matched(shared, archive):
    """[(address, size, name)] of the shared library's functions with the names that are sure."""
    place = {name: number for number, (_, name) in enumerate(archive)}
    named = [number for number, (_, _, name) in enumerate(shared) if name in place]
    found = list(shared)
    for first, last in itertools.pairwise(named):
        begin, end = place[shared[first][2]] + 1, place[shared[last][2]]
        if begin > end:
            continue
        sizes, wanted = [size for _, size, _ in shared[first + 1 : last]], [size for size, _ in archive[begin:end]]
        blocks = difflib.SequenceMatcher(None, sizes, wanted, autojunk=False).get_matching_blocks()
        if sum(block.size for block in blocks) < 0.9 * len(sizes):
            continue  # another build of it
        for block in blocks:
            for number in range(block.size):
                at = first + 1 + block.a + number
                found[at] = (*shared[at][:2], archive[begin + block.b + number][1])
    return found


class Files:
    """The names in all files that a process has mapped."""

    def __init__(self, maps):
        """`maps`: what stands in /proc/PID/maps."""
        self.mapped, self.names = [], {}
        for line in maps.splitlines():
            fields = line.split(None, 5)
            if len(fields) == 6 and "x" in fields[1] and fields[5].startswith("/"):
                begin, end = (int(one, 16) for one in fields[0].split("-"))
                self.mapped.append((begin, end, int(fields[2], 16), fields[5]))

    def of(self, address):
        """The function at this address of the process, or nothing."""
        for begin, end, offset, path in self.mapped:
            if begin <= address < end:
                if path not in self.names:
                    self.names[path] = Names(path)
                return self.names[path].of(address - begin + offset)
        return ""


class Names:
    """Of one shared library; without a static one beside it there are none."""

    def __init__(self, path):
        path = Path(path).resolve()
        archive = path.with_name(re.sub(r"\.so(\..*)?$", ".a", path.name))
        self.functions = []
        if archive.exists() and archive != path and is_mapped_as_it_is(printed("readelf", "-lW", path)):
            shared = shared_functions(
                printed("readelf", "--debug-dump=frames", path), printed("nm", "-D", "--defined-only", path)
            )
            self.functions = matched(shared, archive_functions(printed("readelf", "-sW", archive)))
        self.begins = [begin for begin, _, _ in self.functions]

    def of(self, address):
        """The function at this offset in the file, or nothing."""
        number = bisect.bisect_right(self.begins, address) - 1
        if number < 0:
            return ""
        begin, size, name = self.functions[number]
        return name if address < begin + size else ""
