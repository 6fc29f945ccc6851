"""The arm64 Linux `Image` and its compressed forms, as the kernel's Documentation/arm64/booting.rst has them."""

from __future__ import annotations

import struct
import zlib
from typing import Final, NamedTuple

from vgicd_machine.errors import ImageError

MAGIC: Final = b"ARM\x64"
BLOCK: Final = 2 << 20
"""The load address is `text_offset` above a multiple of this."""

_HEADER: Final = struct.Struct("<IIQQQ24s4sI")
_GZIP: Final = b"\x1f\x8b"
_ZBOOT: Final = struct.Struct("<4s4sII8s32s")  # of EFI's self-decompressing kernel: its payload and how it is packed
_OLD_TEXT_OFFSET: Final = 0x8_0000  # before image_size was defined
_BIG_ENDIAN: Final = 1  # of flags
_ROOM: Final = 0x1000  # under a text_offset below this QEMU's boot code would find none, so it takes the next block


class Header(NamedTuple):
    """Where an Image wants to be, and how much memory it uses there beyond its file."""

    text_offset: int
    size: int


def unpacked(name: str, image: bytes, limit: int) -> bytes:
    """`image`, decompressed if it is a gzip file or an EFI zboot kernel with one inside.

    Raises `ImageError` when it is broken, packed in another way, or longer than `limit` bytes.
    """
    if image[:2] == b"MZ" and image[4:8] == b"zimg" and len(image) >= _ZBOOT.size:
        _, _, offset, size, _, method = _ZBOOT.unpack_from(image)
        how = method.rstrip(b"\0").decode("ascii", "replace")
        if how != "gzip":
            raise ImageError(f"{name} is a kernel that unpacks itself under EFI, by {how}: unpack it to an Image first")
        image = image[offset : offset + size]
    if not image.startswith(_GZIP):
        return image
    unpack = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
    try:
        data = unpack.decompress(image, limit + 1)
    except zlib.error as error:
        raise ImageError(f"{name} is a broken gzip file: {error}") from error
    if len(data) > limit:
        raise ImageError(f"{name} is more than {limit:#x} bytes long when unpacked, and RAM is not")
    if not unpack.eof:
        raise ImageError(f"{name} is a gzip file that ends too early")
    return data


def header(name: str, image: bytes) -> Header | None:
    """The header of an arm64 Image; None when `image` is none.  Raises `ImageError` for a big-endian one."""
    if len(image) < _HEADER.size:
        return None
    _, _, text_offset, size, flags, _, magic, _ = _HEADER.unpack_from(image)
    if magic != MAGIC:
        return None
    if not size:
        return Header(_OLD_TEXT_OFFSET, len(image))
    if flags & _BIG_ENDIAN:
        raise ImageError(f"{name} is a big-endian kernel, which this machine cannot run")
    return Header(text_offset, max(size, len(image)))


def load_address(base: int, found: Header) -> int:
    """Where an Image with header `found` goes in RAM from `base`: where QEMU's virt puts it."""
    return base + found.text_offset + (BLOCK if found.text_offset < _ROOM else 0)
