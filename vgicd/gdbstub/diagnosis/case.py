"""One question: why does this interrupt not reach this vCPU?  Its facts, and what mending it would change on the way.

The steps look at the domain as it is and never change it.  What mends one cause may move a vCPU in or out of the guest
or drop a running priority, which the mending of later causes must know: `World` and `Case` keep account of that.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from vgicd.domain import operations as op
from vgicd.domain.domain import Domain
from vgicd.gdbstub.nesting import Active, active_interrupts
from vgicd.hw import list_register as lr
from vgicd.hw.gich import Gich
from vgicd.hw.gicv import EOI_MODE, GICC
from vgicd.registers import Register
from vgicd.vgic.irq import NR_PRIVATE, VgicIrq
from vgicd.vgic.vcpu import Vcpu
from vgicd.vgic.vgic import Vgic
from vgicd.vgic.world_switch import Folded

IDLE_PRIORITY: Final = 0xF8
"""The lowest priority that five bits can hold: no GICC_PMR, which has the same five, lets it through."""
ORDINARY_PRIORITY: Final = 0xA0
"""What Linux and Xen give an interrupt unless asked otherwise."""
ALL_PRIORITIES: Final = 0xF8
"""The GICC_PMR that lets the most through."""


class Finding(NamedTuple):
    """One step on an interrupt's way.

    `ok`: it lets the interrupt through.  `mend` are the operations that make it so, in order, given that those of the
    findings before it have been applied; a step that is ok has some if the mending of others undoes it.  `hint` is
    said where operations do not say enough.
    """

    step: str
    ok: bool
    text: str
    mend: tuple[Any, ...] = ()
    hint: str = ""


class World:
    """Who is inside the guest once the mending so far is done; in automatic mode that is nobody's concern."""

    def __init__(self, domain: Domain) -> None:
        self.explicit = domain.explicit
        self._inside = {vcpu.id: vcpu.inside for vcpu in domain.vgic.vcpus}

    def inside(self, vcpu: Vcpu) -> tuple[Any, ...]:
        """What brings `vcpu` into the guest."""
        if not self.explicit or self._inside[vcpu.id]:
            return ()
        self._inside[vcpu.id] = True
        return (op.Enter(vcpu.id),)

    def outside(self, vcpu: Vcpu) -> tuple[Any, ...]:
        """What takes `vcpu` out of the guest."""
        if not self.explicit or not self._inside[vcpu.id]:
            return ()
        self._inside[vcpu.id] = False
        return (op.Exit(vcpu.id),)

    def is_inside(self, vcpu: Vcpu) -> bool:
        return self._inside[vcpu.id]


@dataclass
class Case:
    """The facts: `irq`, on its way to `vcpu`.

    `shown` is what folding its list register would make of it, `word` that list register, both None when it is in
    none.  `priority` and `group` are what it is signalled with; `ended` and `apr` (of `vcpu`) follow the mending.
    """

    domain: Domain
    irq: VgicIrq
    vcpu: Vcpu
    state: op.IrqState
    world: World
    shown: Folded | None
    word: int | None
    priority: int
    group: int
    apr: int
    ended: set[tuple[int, int]] = field(default_factory=set)  # (vCPU, INTID) that the mending has the guest end
    changed: bool = False  # the mending so far changes what the list registers must hold

    @property
    def vgic(self) -> Vgic:
        return self.domain.vgic

    @property
    def gich(self) -> Gich:
        return self.vcpu.gich

    @property
    def intid(self) -> int:
        return self.irq.intid

    @property
    def holder(self) -> Vcpu | None:
        """The vCPU on whose ap_list it is."""
        return self.irq.vcpu

    @property
    def loaded(self) -> bool:
        """Is it in a list register of the vCPU it is on its way to?"""
        return self.word is not None and self.irq.vcpu is self.vcpu

    @property
    def found_priority(self) -> int:
        """The priority before any mending."""
        return self.irq.priority if self.word is None else lr.SOFTWARE["Priority"].get(self.word) << 3

    @property
    def variant(self) -> str:
        return self.domain.config.variant

    @property
    def is_private(self) -> bool:
        return self.intid < NR_PRIVATE

    # --- accesses ---------------------------------------------------------------------------------------------------

    def gicd(self, name: str, value: int, intid: int | None = None) -> tuple[Any, ...]:
        """`vcpu` writes a distributor register: the whole of a plain one, or what `intid` has in an array of them.

        `value` is then the interrupt's field; other interrupts' are left alone, as a 0 does nothing in registers that
        set or clear, and those with bytes are written as one.
        """
        row = self.vgic.frame[name]
        if row.bits == 0:
            offset, size = row.offset, 4
        else:
            place = self.intid if intid is None else intid
            offset, size, value = _element(row, place, value)
        self.changed = True
        return (*self.world.outside(self.vcpu), op.Write(self.vcpu.id, op.Space.GICD, offset, size, value))

    def gicc(self, name: str, value: int, vcpu: Vcpu | None = None) -> tuple[Any, ...]:
        """A vCPU writes a register of its CPU interface."""
        who = vcpu or self.vcpu
        return (*self.world.inside(who), op.Write(who.id, op.Space.GICC, GICC[name].offset, 4, value))

    def acknowledge(self, group: int) -> tuple[Any, ...]:
        """`vcpu` reads the acknowledge register that answers an interrupt of `group`."""
        name = "GICC_AIAR" if group and not self.gich.ctlr & 4 else "GICC_IAR"
        return (*self.world.inside(self.vcpu), op.Read(self.vcpu.id, op.Space.GICC, GICC[name].offset, 4))

    def any_exit(self, vcpu: Vcpu) -> tuple[Any, ...]:
        """Something that makes `vcpu` leave the guest and enter again: a distributor read, or EXIT and ENTER."""
        if self.world.explicit:
            out = self.world.outside(vcpu)
            return (*out, *self.world.inside(vcpu))
        return (op.Read(vcpu.id, op.Space.GICD, self.vgic.frame["GICD_CTLR"].offset, 4),)

    def power_on(self, vcpu: Vcpu) -> tuple[Any, ...]:
        """Somebody powers `vcpu` on."""
        return (op.VcpuPower(vcpu.id, True),)

    # --- the CPU interface ------------------------------------------------------------------------------------------

    def active_on(self, vcpu: Vcpu) -> list[Active]:
        """The active interrupts of `vcpu` that the mending so far has not ended, the innermost first."""
        return [found for found in active_interrupts(self.vgic, vcpu) if (vcpu.id, found.intid) not in self.ended]

    def level_of(self, vcpu: Vcpu, found: Active) -> int:
        """The group priority of an active interrupt."""
        return group_priority(vcpu.gich, found.priority, found.group)

    def end(self, found: Active, vcpu: Vcpu) -> tuple[Any, ...]:
        """`vcpu` ends what is active: the writes that drop its priority, if it runs, and deactivate it."""
        value = found.intid | found.source << lr.SOURCE_SHIFT
        split = vcpu.gich.ctlr & EOI_MODE
        mend: tuple[Any, ...] = ()
        if found.running or not split:
            mend += self.gicc("GICC_EOIR", value, vcpu)
            if vcpu is self.vcpu:
                self.apr &= max(self.apr - 1, 0)
        if split:
            mend += self.gicc("GICC_DIR", value, vcpu)
        self.ended.add((vcpu.id, found.intid))
        return mend


def make_case(domain: Domain, irq: VgicIrq, vcpu: Vcpu) -> Case:
    """The facts about `irq` on its way to `vcpu`."""
    owner = vcpu.id if irq.intid < NR_PRIVATE else op.NO_VCPU
    state = domain.queries.irq_info(op.IrqInfo(irq.intid, owner))
    holder = irq.vcpu
    word = holder.gich.lrs[irq.slot] if holder is not None and irq.slot >= 0 else None
    layout = lr.SOFTWARE
    return Case(
        domain=domain,
        irq=irq,
        vcpu=vcpu,
        state=state,
        world=World(domain),
        shown=domain.vgic.overlay(holder).get(irq) if holder is not None else None,
        word=word,
        priority=irq.priority if word is None else layout["Priority"].get(word) << 3,
        group=irq.group if word is None else layout["Grp1"].get(word),
        apr=vcpu.gich.apr,
    )


def group_priority(gich: Gich, priority: int, group: int) -> int:
    """The part of a priority that decides preemption, as `gich` is set up (IHI 0048B 3.3.3)."""
    return gich.group_priority(priority >> 3 << lr.PRIORITY_SHIFT | group << lr.GROUP_SHIFT)


def element(row: Register, intid: int) -> str:
    """The name of what `intid` has in a register array: `GICD_ISENABLER1 bit 10`, or `GICD_ITARGETSR10 byte 2`."""
    bit = intid * row.bits
    place = f"{row.name}{bit >> 5}"
    if row.bits == 8:
        return f"{place} byte {bit >> 3 & 3}"
    return f"{place} bit {bit & 31}" if row.bits == 1 else f"{place} bits {bit & 31 | 1}:{bit & 31}"


def _element(row: Register, intid: int, value: int) -> tuple[int, int, int]:
    """Offset, size and value of the access that gives `intid` the field `value`."""
    bit = intid * row.bits
    if row.widths & 1 and row.bits == 8:
        return row.offset + (bit >> 3), 1, value
    return row.offset + (bit >> 5 << 2), 4, value << (bit & 31)
