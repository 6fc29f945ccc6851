"""Virtual addresses are looked up in the guest's tables as DDI 0487 D5.2 says, whatever their granule."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from vgicd_machine.gdb.refusal import Refused
from vgicd_machine.gdb.translation import Regime, translate

TABLES = 0x4100_0000
TARGET = 0x4234_0000
VALID, TABLE, ACCESSED = 1, 3, 0x400


def tcr(bits: int, granule0: int, granule1: int) -> int:
    return (64 - bits) | (64 - bits) << 16 | granule0 << 14 | granule1 << 30


KIB4, KIB16, KIB64 = tcr(48, 0, 2), tcr(47, 2, 1), tcr(42, 1, 3)


def tables(entries: dict[int, int]) -> Callable[[int], int | None]:
    """Memory with descriptors at the byte offsets `entries` from TABLES, and zeros."""
    return lambda address: entries.get(address - TABLES, 0) if TABLES <= address < TABLES + 0x100_0000 else None


@pytest.mark.parametrize("upper", [False, True])
@pytest.mark.parametrize(
    ("control", "offset", "entries", "size"),
    [
        (KIB4, 0x4020_3123, {0: TABLES + 0x1000, 0x1008: TABLES + 0x2000, 0x2008: TABLES + 0x3000, 0x3018: 0}, 1 << 12),
        (KIB4, 0x4020_3123, {0: TABLES + 0x1000, 0x1008: TABLES + 0x2000, 0x2008: 0}, 1 << 21),
        (KIB4, 0x4020_3123, {0: TABLES + 0x1000, 0x1008: 0}, 1 << 30),
        (KIB16, 0x0200_4123, {0x0: TABLES + 0x4000, 0x4008: TABLES + 0x8000, 0x8008: 0}, 1 << 14),
        (KIB16, 0x0200_4123, {0x0: TABLES + 0x4000, 0x4008: 0}, 1 << 25),
        (KIB64, 0x2001_0123, {0x8: TABLES + 0x10000, 0x10008: 0}, 1 << 16),
        (KIB64, 0x2001_0123, {0x8: 0}, 1 << 29),
    ],
)  # fmt: skip
def test_every_granule_and_size_of_block(
    control: int, offset: int, entries: dict[int, int], size: int, upper: bool
) -> None:
    """The entry that is 0 becomes the leaf: a page at the last level, a block above it."""
    last = 0x3 if size in (1 << 12, 1 << 14, 1 << 16) else VALID
    filled = {at: entry | TABLE if entry else (TARGET & -size) | ACCESSED | last for at, entry in entries.items()}
    bits = 64 - (control & 0x3F)
    virtual = offset + ((1 << 64) - (1 << bits) if upper else 0)
    regime = Regime(1, control, 0 if upper else TABLES, TABLES if upper else 0)
    leaf = translate(regime, virtual, tables(filled))
    assert leaf is not None
    assert (leaf.address, leaf.size) == ((TARGET & -size) | offset & size - 1, size)


@pytest.mark.parametrize(
    ("virtual", "control", "entries", "says"),
    [
        (0x1000, KIB4, {}, "level 0 descriptor is 0x0"),
        (0x1000, KIB4, {0: 0x8000_0003}, "its table at 0x80000000 is not in memory"),
        (0x1000, KIB4 | 1 << 7, {}, "has no tables for it"),
        (0x1000, tcr(48, 3, 2), {}, "has no tables for it"),
        (1 << 48, KIB4, {}, "no address of 48 bits"),
        (0x12 << 56, KIB4, {}, "no address of 48 bits"),
        (0x12 << 56 | 0x1000, KIB4 | 1 << 37, {}, "level 0 descriptor is 0x0"),  # TBI0: the top byte is a tag
    ],
)
def test_what_is_not_mapped_is_refused_with_the_reason(
    virtual: int, control: int, entries: dict[int, int], says: str
) -> None:
    with pytest.raises(Refused, match=says):
        translate(Regime(1, control, TABLES, TABLES), virtual, tables(entries))


def test_without_the_mmu_addresses_are_physical() -> None:
    assert translate(Regime(0, KIB4, TABLES, TABLES), 0x1234, tables({})) is None
