"""Where guests are: the project's own, built when they are older than their sources, and others', fetched by name.

Nothing here reaches for the network: what has not been fetched is a `MissingPart` that says how to get it.
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Final

from vgicd_machine.errors import MissingPart

TOUR: Final = "tour"
FETCHED: Final = {"linux": "Image", "u-boot": "u-boot.bin"}
"""The guests that `fetched` knows, and their files in the cache."""

_ROOT: Final = Path(__file__).resolve().parents[2]
_CACHE: Final = _ROOT / ".cache" / "guests"
_NO_COMPILER: Final = 3  # the build scripts' own statuses
_NO_BUSYBOX: Final = 4


def build(name: str = TOUR) -> Path:
    """The ELF of guest `name`, up to date.

    Raises `MissingPart` when there is no cross compiler, no source tree (an installed package has none) or the build
    fails.
    """
    _run("build-guests", f"the guest {name!r}", _ROOT / "clients" / "guests" / name)
    return _CACHE / f"{name}.elf"


def initramfs() -> Path:
    """The Linux guest's initial file system, up to date: a compressed cpio archive for `--initrd`.

    Its /init exercises interrupts and switches off (see clients/guests/README.md).  Raises `MissingPart` as `build`
    does, and when BusyBox, of which it is made, has not been fetched.
    """
    _run("build-initramfs", "the Linux guest's initramfs", _ROOT / "clients" / "guests" / "linux")
    return _CACHE / "linux" / "initramfs.cpio.gz"


def fetched(name: str) -> Path:
    """The image of a guest that `scripts/fetch-guests` brings: "linux" (an arm64 Image) or "u-boot" (flat, for 0).

    Raises `MissingPart` when it has not been fetched, `KeyError` for any other name.
    """
    path = _CACHE / "debian" / FETCHED[name]
    if not path.exists():
        raise MissingPart(f"the guest {name!r} is not here: run scripts/fetch-guests in a clone of the project")
    return path


def _run(script: str, what: str, source: Path) -> None:
    program = _ROOT / "scripts" / script
    if not (program.exists() and source.is_dir()):
        raise MissingPart(f"{what} is built from a source tree: run this from a clone of the project")
    result = subprocess.run([program], capture_output=True, text=True, check=False)
    if result.returncode == _NO_COMPILER:
        raise MissingPart("no AArch64 cross compiler: install Debian's gcc-aarch64-linux-gnu, or name one in CROSS")
    if result.returncode == _NO_BUSYBOX:
        raise MissingPart(f"{what} is made of BusyBox, which is not here: run scripts/fetch-guests")
    if result.returncode:
        raise MissingPart(f"{what} does not build:\n{result.stderr.strip()}")
