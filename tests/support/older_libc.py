# SPDX-License-Identifier: MIT
"""Runs a ready-made x86-64 program that was linked with a newer C library than this machine's."""

import shutil
import struct
import subprocess
from pathlib import Path

VERSION_NEEDS = 0x6FFFFFFE  # SHT_GNU_verneed
WEAK = 2  # VER_FLG_WEAK
LOADER = "/lib64/ld-linux-x86-64.so.2"


def _make_weak(program, names):
    """Marks the versions of libraries that it needs as weak: the loader then only warns when they are not there."""
    section_table = struct.unpack_from("<Q", program, 40)[0]
    sections = [
        struct.unpack_from("<IIQQQQII", program, section_table + 64 * i) for i in range(struct.unpack_from("<H", program, 60)[0])
    ]
    for _, kind, _, _, offset, _, link, count in sections:
        if kind != VERSION_NEEDS:
            continue
        strings, library = sections[link][4], offset
        for _ in range(count):
            _, versions, _, first, next_library = struct.unpack_from("<HHIII", program, library)
            version = library + first
            for _ in range(versions):
                _, flags, _, name, next_version = struct.unpack_from("<IHHII", program, version)
                at = strings + name
                if bytes(program[at : program.index(0, at)]) in names:
                    struct.pack_into("<H", program, version + 4, flags | WEAK)
                version += next_version
            library += next_library


def command(program, folder, source, versions):
    """The command that runs the program: itself, or, where the C library lacks the versions, a changed copy in folder,
    with what it misses built from a C source."""
    folder.mkdir(parents=True, exist_ok=True)
    copy = folder / program.name
    shutil.copyfile(program, copy)
    copy.chmod(0o755)
    listed = subprocess.run([LOADER, "--list", str(copy)], capture_output=True, text=True)
    if listed.returncode == 0 and "not found" not in listed.stdout + listed.stderr:
        return [str(copy)]
    changed = bytearray(program.read_bytes())
    _make_weak(changed, versions)
    copy.write_bytes(changed)
    library = folder / (Path(source).stem + ".so")
    subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-o", str(library), str(source)], check=True)
    return [LOADER, "--preload", str(library), str(copy)]
