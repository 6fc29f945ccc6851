"""The core as machine code, where it has been compiled: the same sources, several times faster.

`scripts/compile` translates the modules named here with mypyc and keeps the result under a hash of their sources.
`use` lets the imports that follow find it.  Sources that have changed since have another hash and run as they are,
so that nothing stale ever runs, and an installation without a compiler does everything but more slowly.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from sysconfig import get_config_var
from types import ModuleType
from typing import Final

# Everything between an operation and its result. What is rare stays out, as do the variants, which are put together
# from mixins at run time.
MODULES: Final = (
    "vgicd.registers",
    *(f"vgicd.hw.{name}" for name in ("list_register", "gich", "gicv", "physical")),
    *(
        f"vgicd.vgic.{name}"
        for name in (
            "irq",
            "vcpu",
            "ap_list",
            "state",
            "injection",
            "hw_irq",
            "virq",
            "world_switch",
            "vgic",
            "distributor",
        )
    ),
    *(f"vgicd.domain.{name}" for name in ("operations", "automatic", "access", "steps", "prepared")),
)
PURE: Final = "VGICD_PURE"
"""Set this variable to anything to run the sources whatever has been compiled."""

_PACKAGE: Final = Path(__file__).resolve().parent
SUFFIX: Final = str(get_config_var("EXT_SUFFIX"))


def source(module: str) -> Path:
    """The source file of a module of this package."""
    return _PACKAGE.joinpath(*module.split(".")[1:]).with_suffix(".py")


def sources() -> list[Path]:
    """All files of the core; constants of those that are not translated may be part of the machine code, too."""
    layers = (_PACKAGE / name for name in ("hw", "vgic", "domain"))
    return [_PACKAGE / "registers.py", *(path for layer in layers for path in sorted(layer.rglob("*.py")))]


def folder(files: Iterable[Path] | None = None) -> Path:
    """Where the machine code of exactly these files (by default `sources`) is, or would be."""
    digest = sha256(SUFFIX.encode())
    for path in sources() if files is None else files:
        digest.update(path.read_bytes())
    return _PACKAGE / "_compiled" / digest.hexdigest()[:24]


def use() -> bool:
    """Take the compiled modules from now on; True iff there are any that fit.

    It must come before the first import of the core: afterwards nothing is changed and the answer is what is in use.
    """
    if any(module in sys.modules for module in MODULES):
        return in_use()
    if PURE in os.environ:
        return False
    place = folder()
    files = {path.name.removesuffix(SUFFIX): path for path in place.glob(f"*{SUFFIX}")}
    if not all(module in files for module in MODULES):
        return False
    sys.meta_path.insert(0, _Finder(files))
    return True


def in_use() -> bool:
    """Is the core that was imported the compiled one?"""
    core = sys.modules.get(MODULES[0])
    return core is not None and str(core.__file__).endswith(SUFFIX)


class _Finder(MetaPathFinder):
    """Finds the modules of `files`, by their names, before anybody else does."""

    def __init__(self, files: Mapping[str, Path]) -> None:
        self.files = files

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        file = self.files.get(fullname)
        return None if file is None else importlib.util.spec_from_file_location(fullname, file)
