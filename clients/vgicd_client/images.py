"""State images in files: exactly the bytes that SNAPSHOT answers, sealed with their CRC."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from vgicd_client.errors import ClientError
from vgicd_client.whole import write_whole
from vgicd_protocol import messages
from vgicd_protocol.errors import WireError
from vgicd_protocol.frames import Opcode
from vgicd_protocol.image import IMAGE_MAGIC, Geometry, StateImage


class ImageError(ClientError):
    """A file that holds no state image, or a damaged one."""


def store(image: StateImage, path: Path) -> None:
    """Write `image` to `path`, whole or not at all. Raises `OSError`, which names `path`."""
    write_whole(path, messages.build_reply(Opcode.SNAPSHOT, {"image": image}))


def load(path: Path) -> StateImage:
    """The image in `path`. Raises `ImageError`, and `OSError`."""
    content = path.read_bytes()
    if not content.startswith(IMAGE_MAGIC.to_bytes(4, "little")):
        raise ImageError(f"{path} is no state image: `vgicctl snapshot save` writes one")
    try:
        image: StateImage = messages.parse_reply(Opcode.SNAPSHOT, content)["image"]
    except WireError as error:
        raise ImageError(f"{path} is a damaged state image: {_damage(error)}") from error
    return image


def _damage(error: WireError) -> str:
    match error.field.rpartition(".")[2]:
        case "crc32":
            return "its checksum does not match its content"
        case "version":
            return "its layout is none that this release knows"
        case "size":
            return "it is cut off"
    return error.text


def difference(image: Geometry, domain: Geometry) -> str:
    """In which respects the domain that `image` was taken from is not `domain`; "" when they are alike.

    The variant is no obstacle: both keep the same state.
    """
    found = []
    for name, thing in _THINGS.items():
        of_image, of_domain = getattr(image, name), getattr(domain, name)
        if of_image != of_domain:
            found.append(f"{thing} {of_image} instead of {of_domain}")
    return ", ".join(found)


_THINGS: Final = {
    "vcpus": "vCPUs:",
    "spis": "SPIs:",
    "lrs": "list registers:",
    "profile": "profile",
}
