"""Where a virtual address is: the stage 1 translation of EL1 and EL0 (DDI 0487 D5.2), done by hand.

The CPU's own would leave traces in it.  Permissions are not looked at: a debugger may look at everything.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from vgicd_machine.gdb.refusal import Refused

_ADDRESS: Final = (1 << 48) - 1
_VALID, _TABLE = 1, 2
_LAST_LEVEL: Final = 3
_GRANULES: Final = ({0: 12, 1: 16, 2: 14}, {1: 14, 2: 12, 3: 16})
"""log2 of the granule by TCR_EL1.TG0, and by TG1."""


class Regime(NamedTuple):
    """The registers that say how addresses are translated."""

    sctlr: int
    tcr: int
    ttbr0: int
    ttbr1: int


class Leaf(NamedTuple):
    """The descriptor that ended a translation: `address` is where the virtual one is, `size` how much lies there."""

    address: int
    descriptor: int
    level: int
    size: int


def translate(regime: Regime, virtual: int, read: Callable[[int], int | None]) -> Leaf | None:
    """Where `virtual` is; None with the MMU off. `read` yields the doubleword at a physical address, None for none.

    Raises `Refused` when nothing is mapped there.
    """
    if not regime.sctlr & 1:
        return None
    upper = virtual >> 55 & 1
    size_field = regime.tcr >> 16 * upper & 0x3F  # TnSZ
    granule = _GRANULES[upper].get(regime.tcr >> (30 if upper else 14) & 3)
    if granule is None or regime.tcr >> (23 if upper else 7) & 1:  # EPDn
        raise Refused(f"{virtual:#x} is not mapped: TCR_EL1 {regime.tcr:#x} has no tables for it.")
    bits = 64 - size_field
    tagged = regime.tcr >> 37 + upper & 1  # TBIn
    top = virtual >> bits & (1 << (56 if tagged else 64) - bits) - 1
    if top != (((1 << (56 if tagged else 64) - bits) - 1) if upper else 0):
        raise Refused(f"{virtual:#x} is no address of {bits} bits, which TCR_EL1 {regime.tcr:#x} says it has.")
    stride = granule - 3
    level = 4 - -(-(bits - granule) // stride)
    table = (regime.ttbr1 if upper else regime.ttbr0) & _ADDRESS & ~1
    above = bits
    while True:
        shift = granule + stride * (_LAST_LEVEL - level)
        entry = table + (virtual >> shift & (1 << above - shift) - 1) * 8
        descriptor = read(entry)
        if descriptor is None:
            raise Refused(f"{virtual:#x} is not mapped: its table at {entry:#x} is not in memory.")
        if not descriptor & _VALID or (level == _LAST_LEVEL and not descriptor & _TABLE):
            raise Refused(f"{virtual:#x} is not mapped: its level {level} descriptor is {descriptor:#x}.")
        if level == _LAST_LEVEL or not descriptor & _TABLE:
            size = 1 << shift
            base = descriptor & _ADDRESS & -size
            return Leaf(base | virtual & size - 1, descriptor, level, size)
        table = descriptor & _ADDRESS & -(1 << granule)
        above, level = shift, level + 1
