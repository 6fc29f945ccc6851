"""GICH: the list registers and control of one CPU's virtual interface (IHI 0048B 5.3; spec 5.3, 5.4).

Invariants: `pmr` holds bits [7:3] only; `bpr` is 2..7 and `abpr` 3..7; `lrs` has `nr_lrs` words without reserved bits,
and those from `top` on are zero.  GICH_VMCR is an alias of the guest's CTLR, PMR, BPR and ABPR.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from vgicd.hw import list_register as lr
from vgicd.hw.events import EventKind
from vgicd.registers import Field, Frame, Layout, block

MAX_LRS: Final = 64
MIN_BPR: Final = 2
MIN_ABPR: Final = 3
IDLE: Final = 0x100  # running priority with nothing active

HCR: Final = Layout(
    "GICH_HCR",
    32,
    Field("EOICount", 27, 5, "EOIs and deactivations that matched no list register"),
    Field("VGrp1DIE", 7, doc="maintenance interrupt while group 1 is disabled"),
    Field("VGrp1EIE", 6, doc="maintenance interrupt while group 1 is enabled"),
    Field("VGrp0DIE", 5, doc="maintenance interrupt while group 0 is disabled"),
    Field("VGrp0EIE", 4, doc="maintenance interrupt while group 0 is enabled"),
    Field("NPIE", 3, doc="maintenance interrupt while no list register is pending"),
    Field("LRENPIE", 2, doc="maintenance interrupt while EOICount is not zero"),
    Field("UIE", 1, doc="maintenance interrupt while at most one list register is valid"),
    Field("En", 0, doc="virtual interface enabled"),
)
EN: Final = HCR["En"].mask
UIE: Final = HCR["UIE"].mask
LRENPIE: Final = HCR["LRENPIE"].mask
NPIE: Final = HCR["NPIE"].mask
VGRP0EIE: Final = HCR["VGrp0EIE"].mask
VGRP0DIE: Final = HCR["VGrp0DIE"].mask
VGRP1EIE: Final = HCR["VGrp1EIE"].mask
VGRP1DIE: Final = HCR["VGrp1DIE"].mask
EOI_COUNT: Final = HCR["EOICount"].mask
EOI_COUNT_SHIFT: Final = HCR["EOICount"].lsb
_ENABLES: Final = HCR.mask & ~EOI_COUNT & ~EN

VTR: Final = Layout(
    "GICH_VTR",
    32,
    Field("PRIbits", 29, 3, "priority bits implemented, minus one", "RO"),
    Field("PREbits", 26, 3, "preemption bits implemented, minus one", "RO"),
    Field("ListRegs", 0, 6, "list registers implemented, minus one", "RO"),
)
VMCR: Final = Layout(
    "GICH_VMCR",
    32,
    Field("VMPriMask", 27, 5, "GICV_PMR[7:3]"),
    Field("VMBP", 21, 3, "GICV_BPR"),
    Field("VMABP", 18, 3, "GICV_ABPR"),
    Field("VEM", 9, doc="GICV_CTLR.EOImode"),
    Field("VMCBPR", 4, doc="GICV_CTLR.CBPR"),
    Field("VMFIQEn", 3, doc="GICV_CTLR.FIQEn"),
    Field("VMAckCtl", 2, doc="GICV_CTLR.AckCtl"),
    Field("VMGrp1En", 1, doc="GICV_CTLR.EnableGrp1"),
    Field("VMGrp0En", 0, doc="GICV_CTLR.EnableGrp0"),
)
CTLR_MASK: Final = 0x21F  # the VMCR bits that are GICV_CTLR's, at the same places
MISR: Final = Layout(
    "GICH_MISR",
    32,
    *(
        Field(name, bit, doc=doc, access="RO")
        for name, bit, doc in (
            ("VGrp1D", 7, "group 1 disabled"),
            ("VGrp1E", 6, "group 1 enabled"),
            ("VGrp0D", 5, "group 0 disabled"),
            ("VGrp0E", 4, "group 0 enabled"),
            ("NP", 3, "no list register pending"),
            ("LRENP", 2, "an EOI matched no list register"),
            ("U", 1, "underflow: at most one list register valid"),
            ("EOI", 0, "a list register reports its EOI"),
        )
    ),
)


def ignore_deactivation(_pirq: int) -> None:
    """For an interface without a physical distributor."""


class Gich:
    """The virtual interface of one CPU: 1..64 list registers and what the guest's CPU interface shares with them.

    `deactivate` is called with the physical INTID when the guest deactivates an interrupt whose LR has HW set.
    `eoi_compares_source`: EOIR and DIR match an SGI's CPUID too (GIC-400: by INTID only).  `idle_deactivates`: an EOIR
    without a running priority still deactivates a matching list register.  `observe` hears of ACK, EOI and
    DEACTIVATE as (kind, INTID, value).

    Raises ValueError for a number of list registers outside 1..64.
    """

    __slots__ = (
        "_survey",
        "abpr",
        "apr",
        "bpr",
        "ctlr",
        "deactivate",
        "eoi_compares_source",
        "hcr",
        "idle_deactivates",
        "lrs",
        "nr_lrs",
        "observe",
        "pmr",
        "top",
    )

    def __init__(
        self,
        nr_lrs: int = 4,
        *,
        deactivate: Callable[[int], None] = ignore_deactivation,
        eoi_compares_source: bool = False,
        idle_deactivates: bool = True,
    ) -> None:
        if not 1 <= nr_lrs <= MAX_LRS:
            raise ValueError(f"a GICv2 virtual interface has 1 to {MAX_LRS} list registers, not {nr_lrs}")
        self.nr_lrs = nr_lrs
        self.deactivate = deactivate
        self.eoi_compares_source = eoi_compares_source
        self.idle_deactivates = idle_deactivates
        self.observe: Callable[[EventKind, int, int], None] | None = None
        self.reset()

    def reset(self) -> None:
        """GIC-400 reset values; a zero VMCR reads back with the minimum binary points."""
        self.hcr = 0
        self.lrs = [0] * self.nr_lrs
        self.top = 0
        self.apr = 0
        self.ctlr = 0
        self.pmr = 0
        self.bpr = MIN_BPR
        self.abpr = MIN_ABPR
        self._survey: tuple[int, int] | None = None

    # --- selection and signalling -------------------------------------------------------------------------------

    def survey(self) -> tuple[int, int]:
        """Index of the best candidate (-1: none) and the maintenance conditions that hold, GICH_MISR.

        A candidate is a pending-only LR of an enabled group; the lowest priority value is best, ties go to the
        lowest index.  A pending-and-active LR is none.  Kept until `changed` is called.
        """
        if self._survey is not None:
            return self._survey
        hcr, ctlr, lrs = self.hcr, self.ctlr, self.lrs
        best, best_priority = -1, lr.PRIORITY + 1
        misr, valid, pending = 0, 0, False
        for index in range(self.top):
            word = lrs[index]
            state = word & lr.STATE
            if state == lr.PENDING:
                pending = True
                valid += 1
                priority = word & lr.PRIORITY
                if priority < best_priority and ctlr >> (word >> lr.GROUP_SHIFT & 1) & 1:
                    best, best_priority = index, priority
            elif state:
                valid += 1
            elif word & (lr.HW | lr.EOI) == lr.EOI:
                misr = 1
        if hcr & _ENABLES:
            if hcr & UIE and valid <= 1:
                misr |= 2
            if hcr & LRENPIE and hcr & EOI_COUNT:
                misr |= 4
            if hcr & NPIE and not pending:
                misr |= 8
            misr |= hcr & (VGRP0EIE if ctlr & 1 else VGRP0DIE)
            misr |= hcr & (VGRP1EIE if ctlr & 2 else VGRP1DIE)
        self._survey = survey = (best, misr)
        return survey

    def changed(self) -> None:
        """An LR, HCR or a group enable has changed: whoever writes `lrs`, `top`, `hcr` or `ctlr` calls this."""
        self._survey = None

    def candidate(self) -> int:
        """Index of the LR whose interrupt HPPIR names; -1 if none."""
        return self.survey()[0]

    def group_priority(self, word: int) -> int:
        """The part of an LR's priority that decides preemption (IHI 0048B 3.3.3)."""
        priority = word >> (lr.PRIORITY_SHIFT - 3) & 0xF8
        if word & lr.GROUP1 and not self.ctlr & 0x10:
            return priority & 0xFF << self.abpr
        return priority & 0xFF << self.bpr + 1

    def running_priority(self) -> int:
        """Group priority of the highest active interrupt, 0x100 when none is."""
        apr = self.apr
        return ((apr & -apr).bit_length() - 1) << 3 if apr else IDLE

    def signalled(self) -> int:
        """Index of the LR whose interrupt is signalled to the guest now; -1 if none."""
        if not self.hcr & EN:
            return -1
        index = self.survey()[0]
        if index < 0:
            return -1
        word = self.lrs[index]
        if word >> (lr.PRIORITY_SHIFT - 3) & 0xF8 >= self.pmr:
            return -1
        if self.apr and self.group_priority(word) >= self.running_priority():
            return -1
        return index

    def outputs(self) -> int:
        """Levels of the virtual interrupt lines: bit 0 vIRQ, bit 1 vFIQ."""
        index = self.signalled()
        if index < 0:
            return 0
        return 2 if self.ctlr & 8 and not self.lrs[index] & lr.GROUP1 else 1

    # --- what the hypervisor reads ------------------------------------------------------------------------------

    def vtr(self) -> int:
        return 0x90000000 | self.nr_lrs - 1

    def vmcr(self) -> int:
        return self.pmr << 24 | self.bpr << 21 | self.abpr << 18 | self.ctlr

    def write_vmcr(self, value: int) -> None:
        self.ctlr = value & CTLR_MASK
        self.pmr = value >> 24 & 0xF8
        self.bpr = max(value >> 21 & 7, MIN_BPR)
        self.abpr = max(value >> 18 & 7, MIN_ABPR)
        self.changed()

    def eisr(self) -> int:
        """Bit n: LRn reports its EOI (64 bits)."""
        return sum(1 << n for n, word in enumerate(self.lrs) if lr.reports_eoi(word))

    def elrsr(self) -> int:
        """Bit n: LRn is free (64 bits)."""
        return sum(1 << n for n, word in enumerate(self.lrs) if lr.is_free(word))

    def misr(self) -> int:
        """The maintenance conditions that are enabled and hold (IHI 0048B 5.3.4)."""
        return self.survey()[1]

    def maintenance(self) -> bool:
        """Level of the maintenance interrupt."""
        return bool(self.hcr & EN and self.survey()[1])

    # --- what the hypervisor writes -----------------------------------------------------------------------------

    def write_hcr(self, value: int) -> None:
        self.hcr = value & HCR.mask
        self.changed()

    def write_lr(self, index: int, value: int) -> None:
        """`index` is 0..nr_lrs-1."""
        self.lrs[index] = lr.writable(value)
        if self.lrs[index] and index >= self.top:
            self.top = index + 1
        self.changed()

    # --- deactivation -------------------------------------------------------------------------------------------

    def find_active(self, value: int) -> int:
        """Index of the LR that an EOIR or DIR write of `value` deactivates; -1 if none matches."""
        intid = value & lr.VIRTUAL_ID
        for index in range(self.top):
            word = self.lrs[index]
            if word & lr.VIRTUAL_ID == intid and word & lr.ACTIVE:
                if self.eoi_compares_source and intid < 16 and (word ^ value) & lr.CPUID:
                    continue
                return index
        return -1

    def deactivate_lr(self, index: int) -> None:
        """Clear the active bit of LR `index` and, with HW set, deactivate the physical interrupt."""
        word = self.lrs[index]
        self.lrs[index] = word & ~lr.ACTIVE
        self._survey = None
        if self.observe is not None:
            self.observe(EventKind.DEACTIVATE, word & lr.VIRTUAL_ID, word)
        if word & lr.HW:
            self.deactivate(word >> lr.SOURCE_SHIFT & 0x3FF)

    def count_eoi(self) -> None:
        """EOICount += 1, modulo 32."""
        self.hcr = (self.hcr + (1 << EOI_COUNT_SHIFT)) & 0xFFFFFFFF
        self.changed()


def _lr_index(offset: int) -> int:
    return (offset - 0x100) >> 2


def _read_lr(gich: Gich, offset: int) -> int:
    index = _lr_index(offset)
    return gich.lrs[index] if index < gich.nr_lrs else 0


def _write_lr(gich: Gich, offset: int, value: int) -> None:
    index = _lr_index(offset)
    if index < gich.nr_lrs:
        gich.write_lr(index, value)


def _write_apr(gich: Gich, _offset: int, value: int) -> None:
    gich.apr = value


def _write_hcr(gich: Gich, _offset: int, value: int) -> None:
    gich.write_hcr(value)


def _write_vmcr(gich: Gich, _offset: int, value: int) -> None:
    gich.write_vmcr(value)


GICH: Final = Frame(
    "GICH",
    0x1000,
    (
        block("GICH_HCR", 0x00, read=lambda g, _: g.hcr, write=_write_hcr, restore=_write_hcr, fields=HCR,
              writable=HCR.mask, doc="Hypervisor control"),
        block("GICH_VTR", 0x04, read=lambda g, _: g.vtr(), fields=VTR, reset=None, doc="VGIC type"),
        block("GICH_VMCR", 0x08, read=lambda g, _: g.vmcr(), write=_write_vmcr, restore=_write_vmcr, fields=VMCR,
              reset=0x004C0000, writable=VMCR.mask, doc="Virtual machine control"),
        block("GICH_MISR", 0x10, read=lambda g, _: g.misr(), fields=MISR, doc="Maintenance interrupt status"),
        block("GICH_EISR", 0x20, read=lambda g, o: g.eisr() >> (o - 0x20) * 8 & 0xFFFFFFFF, length=8,
              doc="End of interrupt status, bit n of the pair is LRn"),
        block("GICH_ELRSR", 0x30, read=lambda g, o: g.elrsr() >> (o - 0x30) * 8 & 0xFFFFFFFF, length=8, reset=None,
              doc="Empty list register status, bit n of the pair is LRn"),
        block("GICH_APR", 0xF0, read=lambda g, _: g.apr, write=_write_apr, restore=_write_apr,
              writable=0xFFFFFFFF, doc="Active priorities: bit n is group priority n << 3"),
        block("GICH_LR", 0x100, read=_read_lr, write=_write_lr, restore=_write_lr, length=4 * MAX_LRS,
              fields=lr.SOFTWARE, writable=lr.SOFTWARE.mask | lr.HARDWARE.mask,
              doc="List registers; those not implemented are RAZ/WI"),
    ),
)  # fmt: skip
