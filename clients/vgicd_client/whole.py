"""Files that are written whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path


def write_whole(path: Path, content: bytes) -> None:
    """Make `content` that of `path`. Raises `OSError`, which names `path`, and leaves `path` as it was."""
    beside = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        beside.write_bytes(content)
        beside.replace(path)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        if beside.exists():  # not so where `path` leads through something that is no directory
            beside.unlink(missing_ok=True)
