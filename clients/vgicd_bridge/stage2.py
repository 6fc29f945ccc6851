"""Stage 2 translation tables: every guest-physical address is the same physical one, but for holes.

40 bits of address, 4 KiB granule, starting at level 1 with two concatenated tables (DDI 0487 D5.2.6, D5.3.2).
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final, NamedTuple

PAGE: Final = 0x1000
ADDRESS_BITS: Final = 40
ROOT_SIZE: Final = 2 * PAGE
"""The root tables are aligned to their size."""

VTCR: Final = (
    (64 - ADDRESS_BITS)  # T0SZ
    | 1 << 6  # SL0: from level 1
    | 1 << 8  # IRGN0, ORGN0: write-back
    | 1 << 10
    | 3 << 12  # SH0: inner shareable
    | 2 << 16  # PS: 40 bits
    | 1 << 31
)
HCR: Final = (
    1 << 0  # VM: stage 2 is on
    | 1 << 3  # FMO, IMO: physical interrupts come to EL2, virtual ones to the guest
    | 1 << 4
    | 1 << 31  # RW: EL1 is AArch64
)

_TABLE: Final = 3
_PAGE_OR_TABLE: Final = 3
_BLOCK: Final = 1
_LEVEL_SHIFTS: Final = (30, 21, 12)
_ATTRIBUTES: Final = 3 << 6 | 1 << 10  # S2AP: read and write; AF
_NORMAL: Final = 0xF << 2 | 3 << 8
_DEVICE: Final = 1 << 2


class Span(NamedTuple):
    """Addresses from `start` up to, not including, `end`; both multiples of a page."""

    start: int
    end: int


def tables(base: int, holes: Sequence[Span], memory_from: int) -> bytes:
    """The tables to be put at `base` (a multiple of `ROOT_SIZE`), the root first.

    Normal memory begins at `memory_from`; all below is Device memory.
    """
    made: list[list[int]] = []

    def table(level: int, first: int, entries: int) -> int:
        """Make a table for what begins at `first`; its address."""
        shift = _LEVEL_SHIFTS[level]
        at = base + PAGE * sum(-(-len(one) // 512) for one in made)
        words = [0] * entries
        made.append(words)
        for index in range(entries):
            start = first + (index << shift)
            end = start + (1 << shift)
            if any(hole.start <= start and end <= hole.end for hole in holes):
                continue
            if any(hole.start < end and start < hole.end for hole in holes):
                words[index] = table(level + 1, start, 512) | _TABLE
            else:
                kind = _PAGE_OR_TABLE if level + 1 == len(_LEVEL_SHIFTS) else _BLOCK
                words[index] = start | _ATTRIBUTES | (_NORMAL if start >= memory_from else _DEVICE) | kind
        return at

    table(0, 0, 1 << ADDRESS_BITS - _LEVEL_SHIFTS[0])
    return b"".join(struct.pack(f"<{len(words)}Q", *words) for words in made)
