"""The machine's memories: anonymous mappings that every core executes from."""

from __future__ import annotations

import ctypes
import mmap
from typing import Final

BASE: Final = 0x4000_0000
"""Of RAM."""

FLASH_BASE: Final = 0
FLASH_SIZE: Final = 64 << 20


class Memory:
    """`size` bytes from guest-physical `base`, zeroed; the guest may not write to one that is not `writable`."""

    def __init__(self, size: int, base: int = BASE, *, writable: bool = True) -> None:
        self.base = base
        self.size = size
        self.writable = writable
        self._bytes = mmap.mmap(-1, size)
        self._pin = ctypes.c_char.from_buffer(self._bytes)  # keeps the mapping where the engines have been told

    @property
    def end(self) -> int:
        """The first address after it."""
        return self.base + self.size

    @property
    def host_address(self) -> int:
        return ctypes.addressof(self._pin)

    def contains(self, address: int, size: int) -> bool:
        return self.base <= address and address + size <= self.end

    def write(self, address: int, data: bytes) -> None:
        """`data` at guest-physical `address`, by the host; the caller has made sure of `contains`."""
        offset = address - self.base
        self._bytes[offset : offset + len(data)] = data

    def read(self, address: int, size: int) -> bytes:
        offset = address - self.base
        return self._bytes[offset : offset + size]
