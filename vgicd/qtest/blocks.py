"""Blocks: accesses of any length, cut as QEMU's memory system cuts them, and the texts in which their data travel."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from typing import Final

from vgicd.qtest.text import U64, Refused

WORD: Final = 4
"""Bytes of the widest access that a GIC takes; wider ones come to it in several."""

_PREFIX: Final = 2  # characters of `0x`, which nobody looks at
_NO_DIGIT: Final = -1
_DIGITS: Final = {ord(digit): int(digit, 16) for digit in "0123456789abcdefABCDEF"}


def pieces(address: int, size: int) -> Iterator[tuple[int, int]]:
    """(address, width) of the accesses that `size` bytes at `address` become, lowest first.

    Each is the widest of 4, 2 and 1 that is aligned and not too long; addresses wrap at 64 bits.
    """
    while size:
        width = WORD
        while address % width or width > size:
            width >>= 1
        yield address, width
        address = address + width & U64
        size -= width


def from_hex(word: bytes, size: int) -> bytes:
    """The `size` bytes that `word`, hexadecimal behind two characters, says; zero where it says nothing.

    As in QEMU a character that is no digit stands for a digit that is all ones and spills over.
    """
    data = bytearray(size)
    for index in range(min(size, (len(word) - _PREFIX) // 2)):
        high, low = (_DIGITS.get(word[_PREFIX + 2 * index + place], _NO_DIGIT) for place in (0, 1))
        data[index] = (high << 4 | low) & 0xFF
    return bytes(data)


def from_base64(word: bytes, size: int) -> bytes:
    """The first `size` bytes of what `word` encodes; characters that are not base64's are passed over."""
    try:
        data = base64.b64decode(word)
    except binascii.Error:
        raise Refused("DATA is not base64: its length or its padding is wrong.") from None
    if len(data) < size:
        raise Refused(f"DATA holds {len(data)} bytes, and SIZE is {size}.")
    return data[:size]
