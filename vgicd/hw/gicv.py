"""GICV: the CPU interface as the guest sees it at its GICC address (IHI 0048B 5.5; spec 5.3).

Two 4 KiB pages; DIR is alone on the second.  Words only.  Acting directly on the list registers, without the
hypervisor: what an access changes here, the hypervisor learns at the next exit.
"""

from __future__ import annotations

from typing import Final

from vgicd.hw import list_register as lr
from vgicd.hw.events import EventKind
from vgicd.hw.gich import CTLR_MASK, EN, MIN_ABPR, MIN_BPR, Gich
from vgicd.registers import Field, Frame, Layout, block

SPURIOUS: Final = 0x3FF
OTHER_GROUP: Final = 0x3FE
FIRST_SPECIAL: Final = 1020
IIDR: Final = 0x0202143B  # GIC-400
ACK_CTL: Final = 0x4
EOI_MODE: Final = 0x200

CTLR: Final = Layout(
    "GICC_CTLR",
    32,
    Field("EOImode", 9, doc="0: EOIR drops priority and deactivates; 1: DIR deactivates"),
    Field("CBPR", 4, doc="BPR serves group 1, too"),
    Field("FIQEn", 3, doc="group 0 signals vFIQ"),
    Field("AckCtl", 2, doc="IAR acknowledges group 1, too"),
    Field("EnableGrp1", 1, doc="signal group 1"),
    Field("EnableGrp0", 0, doc="signal group 0"),
)
INTERRUPT: Final = Layout(
    "GICC_IAR",
    32,
    Field("CPUID", 10, 3, "requesting CPU of an SGI"),
    Field("INTID", 0, 10, "interrupt"),
)


def _identity(word: int) -> int:
    """What IAR and HPPIR answer for an LR: the INTID, and the sender of an SGI."""
    intid = word & lr.VIRTUAL_ID
    if intid < 16 and not word & lr.HW:
        return word & (lr.CPUID | lr.VIRTUAL_ID)
    return intid


def _acknowledge(gich: Gich, answer: int, index: int) -> int:
    word = gich.lrs[index]
    gich.lrs[index] = word ^ lr.STATE  # pending-only becomes active-only
    gich.changed()
    gich.apr |= 1 << (gich.group_priority(word) >> 3)
    if gich.observe is not None:
        gich.observe(EventKind.ACK, answer & lr.VIRTUAL_ID, answer)
    return answer


def peek_iar(gich: Gich) -> int:
    """What a read of IAR would answer now."""
    index = gich.signalled()
    if index < 0:
        return SPURIOUS
    word = gich.lrs[index]
    if word & lr.GROUP1 and not gich.ctlr & ACK_CTL:
        return OTHER_GROUP
    return _identity(word)


def read_iar(gich: Gich) -> int:
    """Acknowledge the signalled interrupt.

    1023 when none is; 1022, and no acknowledge, when it is of group 1 and AckCtl is 0.
    """
    index = gich.signalled()
    if index < 0:
        return SPURIOUS
    word = gich.lrs[index]
    if word & lr.GROUP1 and not gich.ctlr & ACK_CTL:
        return OTHER_GROUP
    return _acknowledge(gich, _identity(word), index)


def peek_aiar(gich: Gich) -> int:
    """What a read of AIAR would answer now."""
    index = gich.signalled()
    if index < 0 or not gich.lrs[index] & lr.GROUP1:
        return SPURIOUS
    return _identity(gich.lrs[index])


def read_aiar(gich: Gich) -> int:
    """As IAR, for group 1 only: 1023 when the signalled interrupt is of group 0."""
    answer = peek_aiar(gich)
    return answer if answer == SPURIOUS else _acknowledge(gich, answer, gich.signalled())


def _highest(gich: Gich) -> int:
    return gich.candidate() if gich.hcr & EN else -1


def read_hppir(gich: Gich) -> int:
    """The highest priority pending interrupt, whatever PMR and the running priority say (GIC-400)."""
    index = _highest(gich)
    if index < 0:
        return SPURIOUS
    word = gich.lrs[index]
    if word & lr.GROUP1 and not gich.ctlr & ACK_CTL:
        return OTHER_GROUP
    return _identity(word)


def read_ahppir(gich: Gich) -> int:
    """As HPPIR, for group 1 only."""
    index = _highest(gich)
    if index < 0 or not gich.lrs[index] & lr.GROUP1:
        return SPURIOUS
    return _identity(gich.lrs[index])


def write_eoir(gich: Gich, value: int) -> None:
    """Drop the running priority and, with EOImode 0, deactivate.

    1020..1023 are ignored.  An EOI that dropped a priority but found no list register counts in HCR.EOICount.
    """
    if value & lr.VIRTUAL_ID >= FIRST_SPECIAL:
        return
    running = gich.apr
    if not running and not gich.idle_deactivates:
        return
    gich.apr = running & (running - 1) if running else 0
    if gich.observe is not None:
        gich.observe(EventKind.EOI, value & lr.VIRTUAL_ID, value)
    if gich.ctlr & EOI_MODE:
        return
    index = gich.find_active(value)
    if index >= 0:
        gich.deactivate_lr(index)
    elif running:
        gich.count_eoi()


def write_dir(gich: Gich, value: int) -> None:
    """With EOImode 1, deactivate; a miss counts in HCR.EOICount.  With EOImode 0, and for 1020..1023: ignored."""
    if not gich.ctlr & EOI_MODE or value & lr.VIRTUAL_ID >= FIRST_SPECIAL:
        return
    index = gich.find_active(value)
    if index >= 0:
        gich.deactivate_lr(index)
    else:
        gich.count_eoi()


def read_rpr(gich: Gich) -> int:
    return min(gich.running_priority(), 0xFF)


def write_ctlr(gich: Gich, value: int) -> None:
    gich.ctlr = value & CTLR_MASK
    gich.changed()


def write_pmr(gich: Gich, value: int) -> None:
    gich.pmr = value & 0xF8


def write_bpr(gich: Gich, value: int) -> None:
    gich.bpr = max(value & 7, MIN_BPR)


def write_abpr(gich: Gich, value: int) -> None:
    gich.abpr = max(value & 7, MIN_ABPR)


def write_apr(gich: Gich, value: int) -> None:
    gich.apr = value


_PRIORITY: Final = Layout("priority", 32, Field("Priority", 0, 8, "bits [7:3] are implemented"))
_BINARY_POINT: Final = Layout("binary point", 32, Field("BinaryPoint", 0, 3))

GICC: Final = Frame(
    "GICC",
    0x2000,
    (
        block("GICC_CTLR", 0x0000, read=lambda g: g.ctlr, write=write_ctlr, restore=write_ctlr, fields=CTLR,
              writable=CTLR_MASK, doc="CPU interface control"),
        block("GICC_PMR", 0x0004, read=lambda g: g.pmr, write=write_pmr, restore=write_pmr, fields=_PRIORITY,
              writable=0xF8, doc="Priority mask: only lower values are signalled"),
        block("GICC_BPR", 0x0008, read=lambda g: g.bpr, write=write_bpr, restore=write_bpr, fields=_BINARY_POINT,
              reset=MIN_BPR, writable=7, doc="Binary point, at least 2"),
        block("GICC_IAR", 0x000C, read=read_iar, peek=peek_iar, fields=INTERRUPT, reset=SPURIOUS,
              doc="Interrupt acknowledge: a read acknowledges"),
        block("GICC_EOIR", 0x0010, write=write_eoir, effect="command", fields=INTERRUPT, doc="End of interrupt"),
        block("GICC_RPR", 0x0014, read=read_rpr, fields=_PRIORITY, reset=0xFF, doc="Running priority, 0xFF when idle"),
        block("GICC_HPPIR", 0x0018, read=read_hppir, fields=INTERRUPT, reset=SPURIOUS,
              doc="Highest priority pending interrupt"),
        block("GICC_ABPR", 0x001C, read=lambda g: g.abpr, write=write_abpr, restore=write_abpr,
              fields=_BINARY_POINT, reset=MIN_ABPR, writable=7, doc="Aliased binary point, at least 3"),
        block("GICC_AIAR", 0x0020, read=read_aiar, peek=peek_aiar, fields=INTERRUPT, reset=SPURIOUS,
              doc="Aliased interrupt acknowledge: group 1 only"),
        block("GICC_AEOIR", 0x0024, write=write_eoir, effect="command", fields=INTERRUPT,
              doc="Aliased end of interrupt"),
        block("GICC_AHPPIR", 0x0028, read=read_ahppir, fields=INTERRUPT, reset=SPURIOUS,
              doc="Aliased highest priority pending interrupt"),
        block("GICC_APR0", 0x00D0, read=lambda g: g.apr, write=write_apr, restore=write_apr, writable=0xFFFFFFFF,
              doc="Active priorities: bit n is group priority n << 3"),
        block("GICC_IIDR", 0x00FC, read=lambda _: IIDR, reset=IIDR, doc="Identification: GIC-400"),
        block("GICC_DIR", 0x1000, write=write_dir, effect="command", fields=INTERRUPT,
              doc="Deactivate interrupt, with EOImode 1"),
    ),
)  # fmt: skip
