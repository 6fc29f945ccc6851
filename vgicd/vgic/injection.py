"""Injection: from a line to an ap_list (spec 2).

Order of change, never reversed: line level -> pending latch -> target -> ap_list -> kick.
An IRQ is on at most one ap_list; an active IRQ never leaves the one it is on.
"""

from __future__ import annotations

from vgicd.hw.events import EventKind
from vgicd.vgic.irq import LineOwner, VgicIrq
from vgicd.vgic.state import EINVAL, VgicState
from vgicd.vgic.vcpu import Vcpu


class Injection(VgicState):
    """Second layer: lines, latches, destinations and queueing."""

    def inject(self, vcpu: Vcpu | None, intid: int, level: bool, owner: LineOwner | None = None) -> int:
        """Drive the input line of `intid`; `vcpu` owns it if it is private, and is ignored for SPIs.

        For an edge interrupt `level` true is one trigger and false is nothing.  Returns 0, or -EINVAL and no change
        for an interrupt that the domain has not, or whose line belongs to another `owner`.
        """
        irq = self.lookup(vcpu, intid)
        if irq is None or not self.may_drive(irq, owner):
            return EINVAL
        if not self.accepts(irq, level):
            return 0
        if irq.is_level:
            irq.line_level = level
        else:
            irq.pending_latch = True
            if irq.is_sgi and vcpu is not None:
                self.inject_sgi(irq, vcpu)
        if self.watched:
            place = vcpu.id if vcpu is not None else 0
            self.note(EventKind.LINE, place, intid, int(level))
            if level:
                self.note(EventKind.PEND, place, intid)
        self.queue(irq)
        return 0

    def may_drive(self, irq: VgicIrq, owner: LineOwner | None) -> bool:
        """Step: a line that belongs to a device is driven by that device only."""
        return irq.owner is owner

    def inject_sgi(self, irq: VgicIrq, vcpu: Vcpu) -> None:
        """Step: an SGI injected like a line is the vCPU's own request (spec 2.3)."""
        irq.source |= 1 << vcpu.id

    @staticmethod
    def accepts(irq: VgicIrq, level: bool) -> bool:
        """VALIDATE: edge takes triggers, level takes changes (spec 2.2)."""
        return irq.line_level != level if irq.is_level else level

    def oracle(self, irq: VgicIrq) -> Vcpu | None:
        """The vCPU that must have `irq` on its ap_list now, or None (spec 2.4)."""
        if irq.active:
            return irq.vcpu or irq.target_vcpu
        if irq.enabled and self.enabled and (irq.pending_latch or (irq.is_level and irq.line_level)):
            return irq.target_vcpu
        return None

    def queue(self, irq: VgicIrq) -> bool:
        """Put `irq` on its destination's ap_list unless it is on one, and kick (spec 2.5).

        An edge in a list register asks for no EOI maintenance, so one that is listed kicks, too: its guest may have
        finished the loaded instance already.  True iff it was queued.
        """
        target = self.oracle(irq)
        holder = irq.vcpu
        if holder is not None:
            self.kick_listed(irq, target)
            return False
        if target is None:
            return False
        target.ap_list.append(irq)
        target.dirty = True
        if self.watched:
            self.note(EventKind.QUEUE, target.id, irq.intid)
        self.kick(target)
        return True

    def kick_listed(self, irq: VgicIrq, target: Vcpu | None) -> None:
        """A change to a listed interrupt kicks its destination, and its holder, who alone can let it go."""
        self.touch(irq)
        if target is None:
            self.reload(irq)
        else:
            self.kick(target)
            if irq.vcpu is not target:
                self.kick_stale_holder(irq)

    def reload(self, irq: VgicIrq) -> None:
        """Step: what a list register may show of `irq` no longer holds, so its holder must exit (spec 2.6)."""
        self.kick_holder(irq)

    def kick_stale_holder(self, irq: VgicIrq) -> None:
        """Step: `irq` is on another list than it is destined for (spec 2.5)."""
        self.kick_holder(irq)

    def reconsider(self, irq: VgicIrq) -> None:
        """A register write may have changed whether or how `irq` is delivered: list it, or have it loaded anew."""
        if irq.vcpu is None:
            self.queue(irq)
        else:
            self.reload(irq)
