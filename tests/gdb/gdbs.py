"""The gdbs that tests run: Debian's plain and multiarch ones, and a new one from a wheel."""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.tools import unavailable

NEW: Final = Path(sys.prefix) / "share" / "gdb"
"""Where scripts/setup puts the wheel."""


@dataclass(frozen=True)
class Gdb:
    """A gdb and the architecture that the daemon shall show it: `command` starts it with no initialisation files."""

    name: str
    arch: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(repr=False)

    @property
    def new(self) -> bool:
        """Whether this is the one from the wheel, of version 18 or later."""
        return self.name.startswith("new")

    @property
    def watches_before(self) -> bool:
        """Whether it takes a watchpoint to be reported before the access, and steps over it."""
        return self.arch != "x86-64"

    def __str__(self) -> str:
        return self.name


NAMES: Final = ("plain", "multiarch", "multiarch-aarch64", "multiarch-arm", "new", "new-aarch64")
"""Every pair of a gdb and an architecture that is to work; without an architecture in its name it is x86-64."""

EVERYDAY: Final = ("plain",)
"""Those of the ordinary suite, for a test that does not name more with its marker `everyday`."""


def find(name: str) -> Gdb:
    """The gdb called `name`; the calling test is skipped (under CI: fails) when it is not installed."""
    program, _, arch = name.partition("-")
    if program == "new":
        return _new(name, arch or "x86-64")
    binary = {"plain": "gdb", "multiarch": "gdb-multiarch"}[program]
    path = shutil.which(binary, path=_debian_path())
    if path is None:
        unavailable(f"{binary} is not installed (Debian package {binary})")
        raise AssertionError
    return Gdb(name, arch or "x86-64", (path, "-nx", "-q"), _environment())


def _new(name: str, arch: str) -> Gdb:
    binary, data = NEW / "gdb_for_pwndbg/_vendor/bin/gdb", NEW / "gdb_for_pwndbg/_vendor/share/gdb"
    if not binary.exists():
        unavailable(f"no new gdb in {NEW}: `make setup` puts it there where its wheel gdb-for-pwndbg has one")
    environment = {"PYTHONPATH": str(NEW)}  # its Python package `gdb`
    library = str(sysconfig.get_config_var("INSTSONAME"))
    folder = Path(sysconfig.get_config_var("LIBDIR"))
    if (folder / library).exists():  # else the system's own, as with Debian's interpreter
        environment |= {"LD_LIBRARY_PATH": str(folder), "PYTHONHOME": sys.base_prefix}
    return Gdb(name, arch, (str(binary), "-nx", "-q", "--data-directory", str(data)), _environment() | environment)


def _debian_path() -> str:
    """PATH without the virtual environment, in whose own folder somebody may have another gdb."""
    own = Path(sys.prefix) / "bin"
    return os.pathsep.join(entry for entry in os.environ["PATH"].split(os.pathsep) if Path(entry) != own)


def _environment() -> dict[str, str]:
    """This process's, less what would make gdb's output differ between machines."""
    mine = {
        key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "LC_", "GDB", "DEBUGINFOD"))
    }
    return mine | {"LC_ALL": "C.UTF-8", "TERM": "dumb", "HOME": "/nonexistent", "XDG_CACHE_HOME": "/nonexistent"}
