"""The VGIC of one domain: all layers together, and the steps that the distributor's registers take.

Methods that a docstring calls a step are what `variants` overrides; nothing else distinguishes Xen's behaviour.
"""

from __future__ import annotations

from typing import ClassVar

from vgicd.hw.events import EventKind
from vgicd.registers import Frame
from vgicd.vgic.distributor import GICD
from vgicd.vgic.irq import NR_PRIVATE, VgicIrq
from vgicd.vgic.vcpu import Vcpu
from vgicd.vgic.world_switch import Folded, WorldSwitch


class Vgic(WorldSwitch):
    """Top layer.

    `folding_all` is set by whoever switches worlds: accesses to live registers fold every vCPU first.
    """

    frame: ClassVar[Frame] = GICD
    aborts: ClassVar[bool] = False  # step: does a refused access abort, or read zero and ignore writes?
    folds_all: ClassVar[bool] = True  # step: does an access to a live register fold every vCPU?

    def reset_step(self) -> None:
        """With one vCPU every SPI goes to it, written target or not (IHI 0048B 4.3.12)."""
        for irq in self.spis:
            self.set_targets(irq, 0)

    # --- targets and configuration ------------------------------------------------------------------------------

    def set_targets(self, irq: VgicIrq, targets: int) -> None:
        """`targets` is a mask of existing vCPUs."""
        irq.targets = targets
        lowest = (targets & -targets).bit_length() - 1
        irq.target_vcpu = self.vcpus[lowest] if targets else self.untargeted()

    def untargeted(self) -> Vcpu | None:
        """Step: where an SPI without a target goes."""
        return self.vcpus[0] if len(self.vcpus) == 1 else None

    def retargeted(self, irq: VgicIrq) -> None:
        """The target was written: deliver what had none, and have the holder let go of what goes elsewhere now."""
        if irq.vcpu is None:
            self.queue_on_target(irq)
        else:
            self.reload(irq)

    def queue_on_target(self, irq: VgicIrq) -> None:
        """Step: a pending interrupt without a target has got one."""
        self.queue(irq)

    def reconfigured(self, irq: VgicIrq) -> None:
        """Step: edge became level or the reverse, and with it perhaps pending or not."""
        self.reconsider(irq)

    # --- pending and active -------------------------------------------------------------------------------------

    def pending_writable(self, irq: VgicIrq) -> bool:
        """Step: may I[SC]PENDR change it?"""
        return not irq.is_sgi

    def note_pend(self, vcpu: Vcpu, irq: VgicIrq) -> None:
        """For watchers: `irq` became pending by a register write."""
        if self.watched:
            self.note(EventKind.PEND, vcpu.id, irq.intid)

    def line_shown(self, irq: VgicIrq) -> bool:
        """Step: the line part of a level interrupt as I[SC]PENDR show it: the physical line, if tied (F19)."""
        return self.physical.pending(irq.hwintid) if irq.hw else irq.line_level

    def seen_through(self, vcpu: Vcpu, intid: int) -> list[Vcpu]:
        """Whose list registers an access by `vcpu` to a live register of `intid` would find folded."""
        return self.vcpus if self.folding_all and intid >= NR_PRIVATE else [vcpu]

    def access_overlay(self, vcpu: Vcpu, intid: int) -> dict[VgicIrq, Folded]:
        """What an access by `vcpu` to a live register of `intid` would find instead of the interrupts' own state."""
        overlay: dict[VgicIrq, Folded] = {}
        for other in self.seen_through(vcpu, intid):
            overlay.update(self.overlay(other))
        return overlay

    def line_after_fold(self, irq: VgicIrq, word: int) -> bool:
        """Step: the line that `line_shown` would show once `irq`'s LR `word` is folded."""
        return self.line_shown(irq) if irq.hw else irq.line_level

    def change_active(self, vcpu: Vcpu, irq: VgicIrq, active: bool) -> None:
        """Step: I[SC]ACTIVER by `vcpu`; the physical active state follows, an SGI becomes the writer's own."""
        if irq.hw:
            self.hw_set_active(irq, active)
        was_active, irq.active = irq.active, active
        if active and not was_active and irq.is_sgi:
            irq.active_source = vcpu.id
        self.touch(irq)
        if active:
            self.queue(irq)
        else:
            if was_active and self.watched:
                self.note(EventKind.DEACTIVATE, vcpu.id, irq.intid)
            self.reconsider(irq)

    def index_sgi_sources(self) -> None:
        """Step: how [CS]PENDSGIR find their SGI; here by the offset in the register."""

    # --- distributor enable -------------------------------------------------------------------------------------

    def queue_withheld(self) -> None:
        """Step: the distributor was enabled: queue what became pending, or was dropped, while it was not.

        What is listed already, being active, must be loaded anew with its next instance.
        """
        for irq in self.all_irqs():
            if irq.enabled and irq.pending:
                self.queue(irq)

    def kick_on_disable(self) -> None:
        """Step: the distributor was disabled: list registers must not go on signalling."""
        for vcpu in self.vcpus:
            if vcpu.ap_list.irqs:
                self.kick(vcpu)

    # --- power --------------------------------------------------------------------------------------------------

    def power_on(self, vcpu: Vcpu) -> None:
        """Step: PSCI CPU_ON: nothing of the vCPU's former life is left (spec 6.10).

        Its private interrupts are neither pending nor active, its list is empty, its virtual interface idle; SPIs
        that it held are deactivated and queued anew.
        """
        held = [irq for irq in vcpu.ap_list.irqs if irq.intid >= NR_PRIVATE]
        for irq in list(vcpu.ap_list.irqs):
            vcpu.ap_list.remove(irq)
        for irq in vcpu.private:
            irq.pending_latch = irq.active = irq.soft = False
            irq.source = irq.active_source = 0
        vcpu.gich.apr = 0
        for irq in held:
            if irq.active:
                self.deactivate(irq)
            self.queue(irq)
        for irq in vcpu.private:
            if irq.enabled and irq.pending:
                self.queue(irq)  # a level line that is still high
