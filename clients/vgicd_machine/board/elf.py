"""AArch64 ELF executables: which bytes go where, and where execution begins."""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

from vgicd_machine.errors import ImageError

MAGIC: Final = b"\x7fELF"

_HEADER: Final = struct.Struct("<16sHHIQQQIHHHHHH")
_SEGMENT: Final = struct.Struct("<IIQQQQQQ")
_ELF64_LITTLE: Final = b"\x02\x01"
_EXECUTABLE, _SHARED, _AARCH64, _LOAD = 2, 3, 183, 1


class Part(NamedTuple):
    """`data` at physical `address`, and zeroes up to `size` bytes."""

    address: int
    data: bytes
    size: int


class Program(NamedTuple):
    """What a file wants in memory, and the physical address at which it is entered."""

    parts: tuple[Part, ...]
    entry: int


def read(name: str, image: bytes) -> Program:
    """The loadable segments of `image` at their physical addresses, position-independent ones as if linked there.

    The entry is translated from the virtual address that the header has to the physical one of its segment.  Raises
    `ImageError`, which calls the file `name`.
    """
    if len(image) < _HEADER.size:
        raise ImageError(f"{name} ends within its ELF header")
    identity, kind, machine, _, entry, table, _, _, _, entry_size, count, *_ = _HEADER.unpack_from(image)
    if identity[4:6] != _ELF64_LITTLE or machine != _AARCH64 or kind not in {_EXECUTABLE, _SHARED}:
        raise ImageError(f"{name} is not a 64-bit little-endian AArch64 executable")
    if count and (entry_size != _SEGMENT.size or table + count * _SEGMENT.size > len(image)):
        raise ImageError(f"{name} has a broken program header table")
    parts: list[Part] = []
    begin = entry
    for index in range(count):
        kind, _, offset, virtual, physical, in_file, in_memory, _ = _SEGMENT.unpack_from(
            image, table + index * _SEGMENT.size
        )
        if kind != _LOAD or not in_memory:
            continue
        if in_file > in_memory or offset + in_file > len(image):
            raise ImageError(f"{name}: segment {index} is longer than the file")
        parts.append(Part(physical, image[offset : offset + in_file], in_memory))
        if virtual <= entry < virtual + in_memory:
            begin = entry - virtual + physical
    if not parts:
        raise ImageError(f"{name} has nothing to load")
    return Program(tuple(parts), begin)
