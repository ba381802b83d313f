# SPDX-License-Identifier: MIT
"""Builds the extension module perilune._core: a thin layer over the public C API.

It is linked with the static library. `make python` says which by PERILUNE_LIBRARY, PERILUNE_LIBS and PERILUNE_SOURCE,
and adds the flags of its variant (PERILUNE_WARN: warnings, which are not for the link); otherwise it is the installed
one, which pkg-config knows.
"""

import os
import re
import shlex
import subprocess
from pathlib import Path

from setuptools import Extension, setup

HERE = Path(__file__).resolve().parent
SOURCE = Path(os.environ.get("PERILUNE_SOURCE") or HERE.parents[1])


def pkg_config(*what):
    return shlex.split(subprocess.run(["pkg-config", *what, "perilune"], check=True, capture_output=True, text=True).stdout)


def version():
    """The one number that the whole project has stands in its Makefile; outside of it, pkg-config has it."""
    makefile = SOURCE / "Makefile"
    if makefile.is_file() and (found := re.search(r"^VERSION := (\S+)", makefile.read_text(), re.MULTILINE)):
        return found.group(1)
    return pkg_config("--modversion")[0]


library = os.environ.get("PERILUNE_LIBRARY")
if library:
    compile_flags = [f"-I{SOURCE / 'core' / 'include'}", *shlex.split(os.environ.get("PERILUNE_WARN", ""))]
    # Nothing of the library is to be seen outside of the module: another one in the process keeps its own.
    link_flags = [library, *shlex.split(os.environ.get("PERILUNE_LIBS", ""))]
else:
    compile_flags = pkg_config("--cflags")
    link_flags = pkg_config("--libs", "--static")

setup(
    version=version(),
    ext_modules=[
        Extension(
            "perilune._core",
            sources=sorted(str(path.relative_to(HERE)) for path in (HERE / "ext").glob("*.c")),
            depends=sorted(str(path.relative_to(HERE)) for path in (HERE / "ext").glob("*.h")),
            define_macros=[("Py_LIMITED_API", "0x030b0000"), ("_GNU_SOURCE", None)],
            extra_compile_args=["-std=gnu17", "-fvisibility=hidden", *compile_flags],
            extra_link_args=["-Wl,--exclude-libs,ALL", *link_flags],
            py_limited_api=True,
        )
    ],
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)
