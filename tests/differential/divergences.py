"""Every difference from QEMU 7.2 that is allowed: what exactly, by which clause, and who is believed right.

No entry excludes a whole register but the identification registers.  `test_divergences.py` shows both answers for
each of them.  Clauses without a name are ARM IHI 0048B's; "spec" is the behaviour this project implements.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tests.differential.divergence import (
    Action,
    Divergence,
    Situation,
    acknowledges,
    reads_highest,
    writes,
)
from tests.differential.state import ACK_CTL
from tests.differential.steps import FRAMES, Kind

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.differential.state import Interface

ALL: Final = 0xFFFFFFFF
SGIS: Final = 0xFFFF
SPURIOUS: Final = 1023
OTHER_GROUP: Final = 1022


def _outputs_of(situation: Situation, holds: Callable[[Interface], bool]) -> int:
    return sum(3 << 2 * cpu for cpu, interface in enumerate(situation.state.cpus) if holds(interface))


def _narrow(situation: Situation) -> bool:
    step = situation.step
    if step.kind is Kind.LINE:
        return False
    row = FRAMES[step.frame].row_at(step.offset)
    return row is not None and not row.widths & step.size


def _binary_point(situation: Situation) -> int:
    """QEMU holds a binary point below our minimum, which we show in its place."""
    step, ours, theirs = situation.step, situation.ours.value, situation.theirs.value
    for offset, minimum in ((0x08, 2), (0x1C, 3)):
        if step.is_at("GICC", offset):
            return 7 if theirs < minimum == ours else 0
    if step.is_at("GICH", 0x08):
        return 7 << 18 if theirs >> 18 & 7 < 3 == ours >> 18 & 7 else 0
    return 0


def _masked_highest(situation: Situation) -> int:
    """QEMU hides a pending interrupt that PMR masks."""
    best = situation.interface.best
    masked = best is not None and best.priority >= situation.interface.pmr
    return SPURIOUS | 0x1C00 if masked and situation.theirs.value == SPURIOUS and reads_highest(situation.step) else 0


def _source_of_highest(situation: Situation) -> int:
    intid = situation.ours.value & SPURIOUS
    return 0x1C00 if intid < 16 and reads_highest(situation.step) else 0


def _too_low_of_group_1(situation: Situation) -> int:
    interface = situation.interface
    best = interface.best
    applies = (
        situation.step.is_at("GICC", 0x0C)
        and not interface.ctlr & ACK_CTL
        and best is not None
        and best.group == 1
        and interface.running <= best.priority < interface.pmr
    )
    return 1 if applies and situation.theirs.value == OTHER_GROUP else 0


def _lr_reserved(situation: Situation) -> int:
    return 0x7E000 if situation.step.is_at("GICH", 0x100, 0x1FC) and not situation.ours.value >> 31 else 0


def _identification(situation: Situation) -> int:
    return ALL if situation.step.is_at("GICD", 0x008) or situation.step.is_at("GICC", 0x0FC) else 0


def _target_bits(situation: Situation) -> int:
    if not situation.step.is_at("GICD", 0x800, 0xBFC):
        return 0
    return 0x01010101 if len(situation.state.cpus) == 1 else 0xF0F0F0F0


def _not_one_target(situation: Situation) -> bool:
    """With several CPUs: an SPI gets several targets, or none."""
    step = situation.step
    if not writes(step, "GICD", 0x820, 0xBFC) or len(situation.state.cpus) == 1:
        return False
    existing = (1 << len(situation.state.cpus)) - 1
    return any((target & existing).bit_count() != 1 for target in step.value.to_bytes(step.size, "little"))


def _trigger_under_high_line(situation: Situation) -> bool:
    step = situation.step
    if not writes(step, "GICD", 0xC08, 0xCFC):
        return False
    state, first = situation.state, (step.offset - 0xC00) * 4
    return any(bool(step.value >> 2 * n & 2) != (first + n in state.edge) for n in range(16) if first + n in state.high)


def _group_of_running(situation: Situation) -> bool:
    """With several CPUs, where QEMU's active priorities cannot be mended: an active interrupt changes its group."""
    step = situation.step
    if not writes(step, "GICD", 0x080, 0x0FC) or len(situation.state.cpus) == 1:
        return False
    state, first = situation.state, (step.offset - 0x080) * 8
    return any(first <= intid < first + 32 for cpu in state.cpus for intid in cpu.active)


def _pends_ppi(situation: Situation) -> bool:
    """With several CPUs: software makes a PPI pending."""
    step = situation.step
    return writes(step, "GICD", 0x200) and bool(step.value & ~SGIS) and len(situation.state.cpus) > 1


TABLE: Final = (
    Divergence(
        name="identification",
        register="GICD_IIDR, GICC_IIDR",
        cases="abc",
        action=Action.MASK,
        clause="4.3.3, 4.4.14",
        right="both",
        why="implementer, revision and product are those of the implementation",
        value=_identification,
    ),
    Divergence(
        name="binary-point-minimum",
        register="GICC_BPR, GICC_ABPR, GICH_VMCR",
        cases="abc",
        action=Action.MASK,
        clause="4.4.3: the minimum is implementation defined, GICH_VTR.PREbits: it is 2 (ABPR 3)",
        right="vgicd",
        why="QEMU's GICC takes 0 (ABPR 1) with 5 priority bits, its GICV_ABPR 1; below the minimum all group the same",
        value=_binary_point,
    ),
    Divergence(
        name="highest-under-pmr",
        register="GICC_HPPIR, GICC_AHPPIR",
        cases="abc",
        action=Action.MASK,
        clause="4.4.7; spec 5.3 and T66: measured on GIC-400",
        right="vgicd",
        why="QEMU answers 1023 when the highest priority pending interrupt does not pass PMR",
        value=_masked_highest,
    ),
    Divergence(
        name="highest-source",
        register="GICC_HPPIR, GICC_AHPPIR",
        cases="abc",
        action=Action.MASK,
        clause="4.4.7: bits [12:10] name the requesting CPU of an SGI",
        right="vgicd",
        why="QEMU answers 0 there (its issue 4402)",
        value=_source_of_highest,
    ),
    Divergence(
        name="too-low-group-1",
        register="GICC_IAR",
        cases="abc",
        action=Action.MASK,
        clause="4.4.4: 1022 is for a pending interrupt of sufficient priority; spec 11.4",
        right="vgicd",
        why="QEMU answers 1022 before it looks at the running priority; neither changes state",
        value=_too_low_of_group_1,
    ),
    Divergence(
        name="disabled-group",
        register="GICC_IAR, GICC_AIAR, GICC_HPPIR, GICC_AHPPIR and the outputs",
        cases="abc",
        action=Action.SKIP,
        clause="4.4.1 and 4.4.7: an interrupt of a disabled group is not signalled, and is ignored; spec 5.3, 11.1",
        right="vgicd",
        why="QEMU's candidate is of either group: one of the disabled group hides the other's, and is acknowledged",
        when=lambda s: acknowledges(s.step) and s.interface.hides,
        value=lambda s: ALL if reads_highest(s.step) and s.interface.hides else 0,
        outputs=lambda s: _outputs_of(s, lambda interface: interface.hides),
    ),
    Divergence(
        name="own-priority",
        register="GICC_IAR, GICC_AIAR and the outputs",
        cases="abc",
        action=Action.SKIP,
        clause="3.3.3: the group priority decides on preemption; spec 5.3",
        right="vgicd",
        why="QEMU compares the whole priority with the running one; they differ once the binary point was raised",
        when=lambda s: acknowledges(s.step) and s.interface.preempts_within_group,
        outputs=lambda s: _outputs_of(s, lambda interface: interface.preempts_within_group),
    ),
    Divergence(
        name="aliases",
        register="GICC_AIAR, GICC_AEOIR, GICC_AHPPIR",
        cases="ab",
        action=Action.DRIVE,
        clause="4.4.9 to 4.4.11",
        right="vgicd",
        why="QEMU has none of them (RAZ/WI): see aliases.py",
    ),
    Divergence(
        name="width",
        register="all that take words only",
        cases="abc",
        action=Action.ALONE,
        clause="4.1.4: other widths are not permitted; spec 5.1: refused accesses are RAZ/WI",
        right="both",
        why="QEMU takes bytes and halfwords everywhere",
        when=_narrow,
    ),
    Divergence(
        name="list-register",
        register="GICH_LR bits [18:13] with HW 0; GICH_LR4 of four",
        cases="b",
        action=Action.ALONE,
        clause="GICH_LRn: reserved bits are SBZP, list registers that are not implemented are RAZ/WI",
        right="vgicd",
        why="QEMU stores the reserved bits, and its bound is one too high: a fifth register stores",
        when=lambda s: s.step.is_at("GICH", 0x110),
        value=_lr_reserved,
    ),
    Divergence(
        name="distributor-enable",
        register="GICD_CTLR bit 1",
        cases="ac",
        action=Action.DRIVE,
        clause="4.3.1: without the Security Extensions the use of bits [31:1] is reserved; spec 5.2.1",
        right="both",
        why="QEMU has EnableGrp1 there, Xen one enable for both groups: QEMU is written bit 0 twice, bit 1 is masked",
        value=lambda s: 2 if s.step.is_at("GICD", 0x000) else 0,
    ),
    Divergence(
        name="targets",
        register="GICD_ITARGETSR",
        cases="ac",
        action=Action.SKIP,
        clause="4.3.12: RAZ/WI in a uniprocessor, as are bits of absent CPUs; 1.4.3: the 1-N model. Spec 5.2.7",
        right="both for one CPU and 1-N, vgicd for the bits",
        why="vgicd shows bit 0 on one CPU as Xen does and delivers to the lowest target only; "
        "QEMU stores bits of absent CPUs, signals all targets and loses an edge without any",
        when=_not_one_target,
        value=_target_bits,
    ),
    Divergence(
        name="trigger",
        register="GICD_ICFGR1, and the SPIs' bits at reset",
        cases="ac",
        action=Action.ALONE,
        clause="4.3.13: the PPIs' programmability and the reset value are implementation defined; spec 1.9, 5.2.8",
        right="both",
        why="QEMU's PPIs are programmable and its SPIs reset to level; SPIs are made edge before a run",
        when=lambda s: writes(s.step, "GICD", 0xC04),
    ),
    Divergence(
        name="trigger-under-high-line",
        register="GICD_ICFGR, of an SPI whose line is high",
        cases="ac",
        action=Action.SKIP,
        clause="4.3.13: UNPREDICTABLE for an enabled interrupt; spec 1.6: the level of an edge line is not stored",
        right="QEMU",
        why="vgicd takes the line's level into account from its next change on",
        when=_trigger_under_high_line,
    ),
    Divergence(
        name="sgi-enable",
        register="GICD_ICENABLER0 bits [15:0]",
        cases="ac",
        action=Action.SKIP,
        clause="4.3.5, 4.3.6: whether SGIs can be disabled is implementation defined; spec 5.2.3",
        right="both",
        why="QEMU's SGIs are always enabled",
        when=lambda s: writes(s.step, "GICD", 0x180) and bool(s.step.value & SGIS),
    ),
    Divergence(
        name="sgi-without-source",
        register="GICD_SPENDSGIR, bytes written as 0",
        cases="ac",
        action=Action.DRIVE,
        clause="4.3.17: only a 1 has an effect",
        right="vgicd",
        why="QEMU makes the SGI pending from no CPU, and aborts when it is acknowledged; it gets the other bytes only",
    ),
    Divergence(
        name="sgir-reserved-filter",
        register="GICD_SGIR with TargetListFilter 0b11",
        cases="ac",
        action=Action.ALONE,
        clause="4.3.15: reserved",
        right="vgicd",
        why="QEMU sends the SGI to all CPUs",
        when=lambda s: writes(s.step, "GICD", 0xF00) and s.step.value >> 24 & 3 == 3,
    ),
    Divergence(
        name="active-priorities",
        register="GICC_APR, GICC_EOIR",
        cases="ac",
        action=Action.DRIVE,
        clause="4.4.12: the format is implementation defined; 4.4.5: an EOI that is not the last "
        "acknowledged interrupt's is UNPREDICTABLE; GICV has one GICH_APR for both groups; spec 5.3, T73",
        right="both",
        why="QEMU's GICC has 128 priorities, apart for each group, and drops from those of the INTID's group; "
        "it ignores an EOI of an INTID beyond its last, and one with nothing running. Its registers are "
        "converted, and mended after such an EOI. (Several CPUs: no active interrupt changes its group.)",
        when=_group_of_running,
    ),
    Divergence(
        name="active-spi",
        register="GICD_ISACTIVER, GICC_EOIR, GICC_DIR, of SPIs",
        cases="abc",
        action=Action.DRIVE,
        clause="4.3.9: an SPI has one active state; 4.4.15: any CPU may deactivate it",
        right="vgicd",
        why="QEMU 7.2 has one per CPU: ISACTIVER sets all, deactivation clears the CPU's own; ICACTIVER follows",
    ),
    Divergence(
        name="pending-per-cpu",
        register="GICD_ITARGETSR of a pending SPI, GICD_ISPENDR0 bits [31:16]",
        cases="c",
        action=Action.SKIP,
        clause="4.3.12: a change of targets applies to a pending interrupt; 4.3.7: banked for PPIs",
        right="vgicd",
        why="QEMU 7.2 keeps a pending bit per CPU and sets those of the targets: a moved SPI stays pending for its old "
        "target (here it is made pending anew), and a PPI, which has none with several CPUs, never becomes pending",
        when=_pends_ppi,
    ),
)  # fmt: skip
