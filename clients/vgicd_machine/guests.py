"""The project's own guests: where their ELFs are, built when they are older than their sources."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Final

from vgicd_machine.errors import MissingPart

TOUR: Final = "tour"
_NO_COMPILER: Final = 3  # the build script's own status


def build(name: str = TOUR) -> Path:
    """The ELF of guest `name`, up to date.

    Raises `MissingPart` when there is no cross compiler, no source tree (an installed package has none) or the build
    fails.
    """
    root = Path(__file__).resolve().parents[2]
    script = root / "scripts" / "build-guests"
    if not (script.exists() and (root / "clients" / "guests" / name).is_dir()):
        raise MissingPart(f"the guest {name!r} is built from a source tree: run this from a clone of the project")
    result = subprocess.run([script], capture_output=True, text=True, check=False)
    if result.returncode == _NO_COMPILER:
        raise MissingPart("no AArch64 cross compiler: install Debian's gcc-aarch64-linux-gnu, or name one in CROSS")
    if result.returncode:
        raise MissingPart(f"the guest {name!r} does not build:\n{result.stderr.strip()}")
    return root / ".cache" / "guests" / f"{name}.elf"
