"""AIAR, AEOIR and AHPPIR, which QEMU's GICv2 lacks, done with what it has.

With AckCtl set, IAR and HPPIR answer for both groups; the answer then counts only if the interrupt is of group 1.
AckCtl plays no part in signalling, so the output levels stay true throughout.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tests.differential.state import ACK_CTL

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.differential.qtest import Qtest

CTLR: Final = 0x00
IAR: Final = 0x0C
EOIR: Final = 0x10
HPPIR: Final = 0x18
AIAR: Final = 0x20
AEOIR: Final = 0x24
AHPPIR: Final = 0x28
SPURIOUS: Final = 1023
FIRST_SPECIAL: Final = 1020


def read_alias(qtest: Qtest, base: int, offset: int, group_of: Callable[[int], int]) -> int:
    """What AIAR or AHPPIR at `offset` of the CPU interface at `base` stands for; `group_of` an INTID's group."""
    ctlr = qtest.read(base + CTLR)
    qtest.write(base + CTLR, ctlr | ACK_CTL)
    value = qtest.read(base + HPPIR)
    if value & SPURIOUS >= FIRST_SPECIAL or not group_of(value & SPURIOUS):
        value = SPURIOUS
    elif offset == AIAR:
        value = qtest.read(base + IAR)
    qtest.write(base + CTLR, ctlr)
    return value
