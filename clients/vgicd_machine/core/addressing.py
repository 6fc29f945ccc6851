"""Which virtual address a load or store accesses: the engine tells only the physical one of an access to nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

PAGE_MASK: Final = 0xFFF
"""Bits in which a physical address is as the virtual one, however the guest translates."""

WIDEST_ACCESS: Final = 64
"""Bytes: four SIMD registers, or a block of DC ZVA."""

_DC_ZVA: Final = 0xD50B_7420  # of X0
_STACK_POINTER: Final = 31  # as a base; as an index it is zero
_ADDRESS: Final = (1 << 64) - 1
_POST_INDEX: Final = 1


def accessed(word: int, pc: int, register: Callable[[int], int]) -> int | None:
    """The first byte that instruction `word` at `pc` loads or stores (DDI 0487 C4.1); None if it is not one of these.

    `register(n)` is X0 to X30 as before it, and SP for 31.
    """
    base = word >> 5 & 31
    if word & ~31 == _DC_ZVA:
        return register(word & 31) & -WIDEST_ACCESS
    kind = word >> 24 & 0x3F
    if kind in {0b001000, 0b001100, 0b001101}:  # exclusive and ordered; SIMD structures (bit 30 is Q)
        return register(base)
    match word >> 27 & 7:
        case 0b011 if not word >> 24 & 3:  # literal
            return pc + 4 * _signed(word >> 5, 19) & _ADDRESS
        case 0b101:  # pair
            scale = 2 + (word >> 30) if word >> 26 & 1 else 2 + (word >> 31)
            offset = 0 if word >> 23 & 3 == _POST_INDEX else _signed(word >> 15, 7) << scale
            return register(base) + offset & _ADDRESS
        case 0b111:
            return register(base) + _offset(word, register) & _ADDRESS
    return None


def _offset(word: int, register: Callable[[int], int]) -> int:
    """Of the "load/store register" group."""
    scale = 4 if word >> 26 & 1 and word >> 23 & 1 else word >> 30
    if word >> 24 & 1:  # unsigned immediate
        return (word >> 10 & 0xFFF) << scale
    if not word >> 21 & 1:  # a signed one, with or without write-back
        return 0 if word >> 10 & 3 == _POST_INDEX else _signed(word >> 12, 9)
    if word >> 10 & 3 == 0:  # atomic
        return 0
    index = word >> 16 & 31
    value = 0 if index == _STACK_POINTER else register(index)
    match word >> 13 & 7:
        case 0b010:
            value &= 0xFFFF_FFFF
        case 0b110:
            value = _signed(value, 32)
    return value << (scale if word >> 12 & 1 else 0)


def _signed(value: int, bits: int) -> int:
    """The lowest `bits` of `value` in two's complement."""
    half = 1 << bits - 1
    return (value & 2 * half - 1 ^ half) - half
