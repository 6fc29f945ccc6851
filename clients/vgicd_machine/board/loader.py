"""From a file to RAM and an entry address: AArch64 ELF executables and flat binaries."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Final

from vgicd_machine.board.memory import Ram
from vgicd_machine.errors import ImageError

FLAT_OFFSET: Final = 0x8_0000
"""Where a flat binary goes, from the start of RAM, unless told otherwise."""

_ELF: Final = b"\x7fELF"
_HEADER: Final = struct.Struct("<16sHHIQQQIHHHHHH")
_SEGMENT: Final = struct.Struct("<IIQQQQQQ")
_ELF64_LITTLE: Final = b"\x02\x01"
_EXECUTABLE, _AARCH64, _LOAD = 2, 183, 1


def load(path: Path, ram: Ram, address: int | None = None) -> int:
    """Load `path` and yield its entry address.

    An ELF goes to its physical addresses; a flat binary to `address` (default: `FLAT_OFFSET` into RAM) and is entered
    at its first byte.  Raises `ImageError` with the reason; RAM is then as it was.
    """
    try:
        image = path.read_bytes()
    except OSError as error:
        raise ImageError(f"cannot read the image {path}: {error.strerror}") from error
    if image.startswith(_ELF):
        if address is not None:
            raise ImageError(f"{path} is an ELF, which says itself where it goes: leave the address out")
        return _load_elf(path, image, ram)
    if not image:
        raise ImageError(f"{path} is empty")
    at = ram.base + FLAT_OFFSET if address is None else address
    _check(path, ram, at, len(image))
    ram.write(at, image)
    return at


def _load_elf(path: Path, image: bytes, ram: Ram) -> int:
    if len(image) < _HEADER.size:
        raise ImageError(f"{path} ends within its ELF header")
    identity, kind, machine, _, entry, table, _, _, _, entry_size, count, *_ = _HEADER.unpack_from(image)
    if identity[4:6] != _ELF64_LITTLE or machine != _AARCH64 or kind != _EXECUTABLE:
        raise ImageError(f"{path} is not a 64-bit little-endian AArch64 executable")
    if entry_size != _SEGMENT.size or table + count * _SEGMENT.size > len(image):
        raise ImageError(f"{path} has a broken program header table")
    parts: list[tuple[int, bytes]] = []
    for index in range(count):
        kind, _, offset, _, physical, in_file, in_memory, _ = _SEGMENT.unpack_from(image, table + index * _SEGMENT.size)
        if kind != _LOAD or not in_memory:
            continue
        if in_file > in_memory or offset + in_file > len(image):
            raise ImageError(f"{path}: segment {index} is longer than the file")
        _check(path, ram, physical, in_memory)
        parts.append((physical, image[offset : offset + in_file] + bytes(in_memory - in_file)))
    if not parts:
        raise ImageError(f"{path} has nothing to load")
    for physical, data in parts:
        ram.write(physical, data)
    return int(entry)


def _check(path: Path, ram: Ram, address: int, size: int) -> None:
    if not ram.contains(address, size):
        raise ImageError(
            f"{path} wants {size:#x} bytes at {address:#x}, but RAM is {ram.base:#x} to {ram.base + ram.size:#x}"
        )
