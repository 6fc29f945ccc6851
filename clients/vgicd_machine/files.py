"""Reading what a run is made of: whole files, and only such as have an end."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Final

from vgicd_machine.errors import ImageError

LARGEST: Final = 2 << 30
"""Bytes: as much as the machine has RAM at most."""


def contents(path: Path, what: str) -> bytes:
    """All of the regular file at `path`, which errors call `what`.

    Raises `ImageError` when it cannot be read, is a device or pipe, or has more than `LARGEST` bytes.
    """
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise ImageError(f"the {what} {path} is not a regular file")
        if found.st_size > LARGEST:
            raise ImageError(f"the {what} {path} has {found.st_size:#x} bytes, more than any machine's RAM here")
        return path.read_bytes()
    except OSError as error:
        raise ImageError(f"cannot read the {what} {path}: {error.strerror}") from error
