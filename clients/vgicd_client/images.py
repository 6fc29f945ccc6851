"""State images in files: exactly the bytes that SNAPSHOT answers, sealed with their CRC."""

from __future__ import annotations

import os
from pathlib import Path

from vgicd_client.errors import ClientError
from vgicd_protocol import messages
from vgicd_protocol.errors import WireError
from vgicd_protocol.frames import Opcode
from vgicd_protocol.image import StateImage


class ImageError(ClientError):
    """A file that holds no state image, or a damaged one."""


def store(image: StateImage, path: Path) -> None:
    """Write `image` to `path`, whole or not at all. Raises `OSError`, which names `path`."""
    beside = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        beside.write_bytes(messages.build_reply(Opcode.SNAPSHOT, {"image": image}))
        beside.replace(path)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        beside.unlink(missing_ok=True)


def load(path: Path) -> StateImage:
    """The image in `path`. Raises `ImageError`, and `OSError`."""
    try:
        image: StateImage = messages.parse_reply(Opcode.SNAPSHOT, path.read_bytes())["image"]
    except WireError as error:
        raise ImageError(f"{path} is no state image, or damaged: {error}") from error
    return image
