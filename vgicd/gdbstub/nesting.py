"""Nesting: which interrupts are active on a vCPU, innermost first, as a debugger shows them for a call stack.

The state of a loaded interrupt is what its list register would fold back to; an EOI that found no list register counts
as the deactivation that it will be.  Looking changes nothing.
"""

from __future__ import annotations

from typing import NamedTuple

from vgicd.hw import list_register as lr
from vgicd.vgic.distributor import peek_pending
from vgicd.vgic.irq import VgicIrq
from vgicd.vgic.vcpu import Vcpu
from vgicd.vgic.vgic import Vgic


class Active(NamedTuple):
    """An active interrupt. `priority` is 0..0xF8, that with which it was loaded if it is in a list register.

    `running`: its group priority is an active one (APR), so that the guest has not dropped it by EOIR.  `pending`: it
    is pending again as well.  `source` is the requesting vCPU of an SGI, else 0.  `lr` is -1 in no list register.
    """

    intid: int
    priority: int
    group: int
    running: bool
    pending: bool
    source: int
    lr: int


def active_interrupts(vgic: Vgic, vcpu: Vcpu) -> list[Active]:
    """The active interrupts of `vcpu`, innermost first.

    Each one that runs preempted those of lower group priority (IHI 0048B 3.3.3), so running ones come first, by group
    priority.  Behind them are those whose priority the guest has dropped and which it has yet to deactivate (EOImode
    1): nothing says in what order they were, so that is by priority, too.  Equal ones are in order of INTID.
    """
    gich = vcpu.gich
    shown = vgic.overlay(vcpu)
    words = dict(vgic.held(vcpu))
    found: list[tuple[tuple[bool, int, int, int], Active]] = []
    for irq in vcpu.ap_list.irqs:
        state = shown.get(irq)
        if not (irq.active if state is None else state.active):
            continue
        word = words.get(irq, _word(irq))
        preempts = gich.group_priority(word)
        running = bool(gich.apr >> (preempts >> 3) & 1)
        priority = (word & lr.PRIORITY) >> lr.PRIORITY_SHIFT << 3
        source = irq.active_source if state is None else state.active_source
        entry = Active(
            intid=irq.intid,
            priority=priority,
            group=word >> lr.GROUP_SHIFT & 1,
            running=running,
            pending=bool(peek_pending(vgic, vcpu, [irq])),
            source=source if irq.is_sgi else 0,
            lr=irq.slot,
        )
        found.append(((not running, preempts, priority, irq.intid), entry))
    return [entry for _, entry in sorted(found)]


def _word(irq: VgicIrq) -> int:
    """The part of a list register that decides nesting, for `irq` which is in none."""
    return irq.priority >> 3 << lr.PRIORITY_SHIFT | irq.group << lr.GROUP_SHIFT
