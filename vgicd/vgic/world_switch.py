"""The world switch: list registers filled on guest entry and folded back on exit (spec 4).

Between exit and entry an interrupt's state is all in its `VgicIrq`; between entry and exit the pending bit, the
active bit and one SGI source of the loaded ones are in the list registers, and `slot` says in which.  Invariants:
an IRQ in an LR of v is on v's ap_list (I3); no INTID is in two LRs of one vCPU (I4); LRs from `used_lrs` on are zero.
"""

from __future__ import annotations

from typing import ClassVar, NamedTuple

from vgicd.hw import list_register as lr
from vgicd.hw.events import EventKind
from vgicd.hw.gich import (
    EN,
    EOI_COUNT_SHIFT,
    LRENPIE,
    NPIE,
    UIE,
    VGRP0DIE,
    VGRP0EIE,
    VGRP1DIE,
    VGRP1EIE,
)
from vgicd.vgic.ap_list import ACTIVE, NOT, PENDING, ApList
from vgicd.vgic.irq import NR_SGIS, VgicIrq
from vgicd.vgic.vcpu import Vcpu
from vgicd.vgic.virq import Virqs

_LAST = 1 << 16  # added to a rank: behind everything else


class Folded(NamedTuple):
    """What an interrupt's state is once its list register is folded back."""

    active: bool
    active_source: int
    pending_latch: bool
    source: int
    resample: bool  # the line must be read anew from the physical interrupt


class WorldSwitch(Virqs):
    """Fifth layer: exit (fold, prune) and entry (sort, flush), and the question whether to wake up."""

    # --- exit ---------------------------------------------------------------------------------------------------

    def exit(self, vcpu: Vcpu) -> None:
        """`vcpu` leaves the guest: fold its list registers, then drop or move what has no business on its list."""
        self.kicked &= ~(1 << vcpu.id)
        self.fold(vcpu)
        self.prune(vcpu)

    def leave(self, vcpu: Vcpu) -> None:
        """As `exit`, for a vCPU that enters again soon: what nobody has changed may stay in its list register.

        Folding it and loading it again would give the same word; `enter` folds it after all if it loses its place.
        """
        self.kicked &= ~(1 << vcpu.id)
        if self.options.lazy:
            self._fold(vcpu, everything=False)
        else:
            self._fold(vcpu, everything=True)
        self.prune(vcpu)

    def fold(self, vcpu: Vcpu) -> None:
        """Take the list registers' state back into the interrupts and leave the hardware empty."""
        self._fold(vcpu, everything=True)
        gich = vcpu.gich
        gich.lrs = [0] * gich.nr_lrs
        gich.top = vcpu.used_lrs = 0
        vcpu.loaded = []

    def _fold(self, vcpu: Vcpu, *, everything: bool) -> None:
        gich, ap_list = vcpu.gich, vcpu.ap_list
        if vcpu.groups != gich.ctlr & 3:
            ap_list.touch_all()
        if everything or vcpu.dirty:
            lrs, shadow = gich.lrs, vcpu.shadow
            for index, irq in enumerate(vcpu.loaded):
                if irq.slot != index or irq.vcpu is not vcpu:
                    continue  # folded already
                word = lrs[index]
                if everything or word != shadow[index] or irq.touched or (irq.hw and irq.is_level):
                    self.fold_lr(irq, word)
                    if not irq.touched:
                        ap_list.touch(irq)
        missed = gich.hcr >> EOI_COUNT_SHIFT
        if missed:
            self.replay_eois(vcpu, missed)
        gich.hcr = 0
        gich.changed()
        vcpu.dirty = True

    def held(self, vcpu: Vcpu) -> list[tuple[VgicIrq, int]]:
        """The interrupts whose state is in `vcpu`'s list registers, each with its word."""
        lrs = vcpu.gich.lrs
        return [(irq, lrs[index]) for index, irq in enumerate(vcpu.loaded) if irq.slot == index and irq.vcpu is vcpu]

    def folded(self, irq: VgicIrq, word: int) -> Folded:
        """What folding LR `word` makes of `irq`.  Pure; `fold_lr` does it and DEBUG reads show it."""
        active = bool(word & lr.ACTIVE)
        active_source, source = irq.active_source, irq.source
        resample = False
        latch = self.pending_through(irq, word)
        if irq.intid < NR_SGIS:
            cpu = (word & lr.CPUID) >> lr.SOURCE_SHIFT
            if active:
                active_source = cpu
            if word & lr.PENDING:
                source |= 1 << cpu
        elif irq.is_level and irq.hw:
            resample = bool(word & lr.PENDING) or (not active and self.resamples_on_deactivation(irq))
        return Folded(active, active_source, latch, source, resample)

    def pending_through(self, irq: VgicIrq, word: int) -> bool:
        """Would `irq`'s latch be set once its LR `word` is folded?"""
        if irq.is_level:
            return self.folded_latch(irq, word)
        return irq.pending_latch or bool(word & lr.PENDING)

    def folded_latch(self, irq: VgicIrq, word: int) -> bool:
        """Step: the latch of a level interrupt after folding `word`; the acknowledge consumes a soft-pend only (R+)."""
        return irq.pending_latch or (irq.soft and bool(word & lr.PENDING))

    def resamples_on_deactivation(self, irq: VgicIrq) -> bool:
        """Step: a mapped level interrupt ended with its line last seen high must look at the wire again (F18)."""
        return irq.active and irq.line_level

    def fold_lr(self, irq: VgicIrq, word: int) -> None:
        """Fold one list register (spec 4.8)."""
        irq.active, irq.active_source, irq.pending_latch, irq.source, resample = self.folded(irq, word)
        irq.soft = False
        irq.slot = -1
        if irq.hw:
            if not word & lr.STATE:
                self.physical[irq.hwintid].inprogress = False
            if resample:
                self.resample(irq)

    def missed_deactivations(self, vcpu: Vcpu, count: int) -> list[VgicIrq]:
        """Step: the active interrupts outside the list registers that `count` unmatched EOIs deactivate.

        They are sought behind the last one that got a list register: an EOI that the hardware counted was for an
        interrupt it did not hold (F23).
        """
        irqs = vcpu.ap_list.irqs
        last = vcpu.last_lr_irq
        start = irqs.index(last) + 1 if last is not None and last.vcpu is vcpu else 0
        return [irq for irq in irqs[start:] if irq.active][:count]

    def replay_eois(self, vcpu: Vcpu, count: int) -> None:
        """Deactivate what the guest ended while it was in no list register."""
        for irq in self.missed_deactivations(vcpu, count):
            self.deactivate(irq)

    def deactivate(self, irq: VgicIrq) -> None:
        """End the active state of an interrupt that is in no list register, as its LR would have."""
        irq.active = False
        self.touch(irq)
        if self.watched:
            self.note(EventKind.DEACTIVATE, irq.vcpu.id if irq.vcpu else 0, irq.intid)
        if irq.hw:
            self.physical.deactivate(irq.hwintid)
            self.physical[irq.hwintid].inprogress = False
            if irq.is_level and irq.line_level:
                self.resample(irq)

    def prune(self, vcpu: Vcpu) -> None:
        """Take off `vcpu`'s list what is destined nowhere, and move what is destined elsewhere (spec 4.3)."""
        ap_list = vcpu.ap_list
        if not self.options.lazy:
            ap_list.touch_all()
        oracle = self.oracle
        strays = [irq for irq in ap_list.touched if oracle(irq) is not vcpu]
        for irq in ap_list.in_order(strays):
            target = oracle(irq)
            ap_list.remove(irq)
            if target is None:
                if self.watched:
                    self.note(EventKind.UNLIST, vcpu.id, irq.intid)
                continue
            target.ap_list.append(irq)
            target.dirty = True
            if self.watched:
                self.note(EventKind.MIGRATE, vcpu.id, irq.intid, target.id)
            self.kick_after_migration(target)

    def kick_after_migration(self, target: Vcpu) -> None:
        """Step: the new owner must not have to wait for an unrelated exit (F4)."""
        self.kick(target)

    # --- entry --------------------------------------------------------------------------------------------------

    def enter(self, vcpu: Vcpu) -> None:
        """`vcpu` is about to run: order its list if it overflows, load the list registers, program HCR."""
        gich, ap_list = vcpu.gich, vcpu.ap_list
        if not self.options.lazy:
            ap_list.touch_all()
        vcpu.groups = gich.ctlr & 3
        self._fold_touched(vcpu)
        ap_list.refresh(self.assess)
        nr_lrs = gich.nr_lrs
        if len(ap_list.irqs) > nr_lrs:
            ap_list.sort()
            chosen = self._choose(ap_list, nr_lrs)
            self._fold_displaced(vcpu, chosen)
        else:
            chosen = self._choose(ap_list, nr_lrs)
        self._load(vcpu, chosen)
        gich.hcr = self.entry_hcr(vcpu)
        gich.changed()

    def _fold_touched(self, vcpu: Vcpu) -> None:
        """What was touched after the exit must not be judged by a state that is still in its list register."""
        for irq in vcpu.ap_list.touched:
            if irq.slot >= 0:
                self.fold_lr(irq, vcpu.gich.lrs[irq.slot])

    @staticmethod
    def _choose(ap_list: ApList, nr_lrs: int) -> list[VgicIrq]:
        """The members that get a list register, in order."""
        _, pending, active = ap_list.counts
        wanted = pending + active
        irqs = ap_list.irqs
        if wanted == len(irqs) <= nr_lrs:
            return irqs
        chosen: list[VgicIrq] = []
        wanted = min(wanted, nr_lrs)
        for irq in irqs:
            if len(chosen) == wanted:
                break
            if irq.deliverable:
                chosen.append(irq)
        return chosen

    def _fold_displaced(self, vcpu: Vcpu, chosen: list[VgicIrq]) -> None:
        """Fold what is still in a list register and has lost it to others."""
        for irq, word in self.held(vcpu):
            if irq not in chosen:
                self.fold_lr(irq, word)

    def _load(self, vcpu: Vcpu, chosen: list[VgicIrq]) -> None:
        gich = vcpu.gich
        lrs = gich.lrs
        words = []
        mapped = False
        index = 0
        for irq in chosen:
            if irq.slot >= 0:
                words.append(lrs[irq.slot])
            else:
                words.append(self.populate(irq))
                if self.watched:
                    self.note(EventKind.LOAD, vcpu.id, irq.intid, words[index])
            irq.slot = index
            index += 1
            if irq.hw and irq.is_level:
                mapped = True
        vcpu.used_lrs = gich.top = index
        vcpu.loaded = chosen[:]
        vcpu.last_lr_irq = chosen[-1] if index else None
        if index < gich.nr_lrs:
            words += [0] * (gich.nr_lrs - index)
        gich.lrs = words
        vcpu.shadow = words[:]
        vcpu.dirty = mapped or bool(vcpu.ap_list.touched)  # a mapped line is sampled at every exit

    def assess(self, irq: VgicIrq, vcpu: Vcpu) -> tuple[int, int]:
        """Step: (rank, deliverable) of a member of `vcpu`'s list, lower ranks first (spec 3, F22).

        What is pending, enabled and not active precedes everything else; then by priority; then hardware-mapped
        ones; what is disabled, or of a group that the guest disabled, is last.  Active ones keep the order of their
        priorities whatever becomes of them: it is the order in which the guest ends them.
        """
        rank = irq.priority << 1
        if not irq.hw:
            rank |= 1
        pending = irq.pending_latch or (irq.is_level and irq.line_level)
        if irq.active:
            deliverable = ACTIVE
            rank |= 0x200
        elif not (irq.enabled and pending):
            deliverable = NOT
            rank |= 0x200
        else:
            deliverable = PENDING if self.enabled and irq.target_vcpu is vcpu else NOT
        if not irq.active and not (irq.enabled and vcpu.groups >> irq.group & 1):
            rank |= _LAST
        return rank, deliverable

    def populate(self, irq: VgicIrq) -> int:
        """The LR word for `irq`, whose pending state moves into it (spec 4.5, 4.8)."""
        word = irq.intid | irq.priority >> 3 << lr.PRIORITY_SHIFT | irq.group << lr.GROUP_SHIFT
        allow = self.shows_disabled or (irq.enabled and self.enabled)
        if irq.hw:
            word |= lr.HW | irq.hwintid << lr.SOURCE_SHIFT
        elif irq.is_level:
            word |= lr.EOI
        if irq.active:
            word |= lr.ACTIVE
            if irq.intid < NR_SGIS:
                word |= self.active_cpuid(irq) << lr.SOURCE_SHIFT
                if irq.source and self.reports_sgi_eoi:
                    word |= lr.EOI
            if self.blocked_while_active(irq):
                allow = False
        if not allow:
            return word
        if irq.is_level:
            if irq.pending_latch or irq.line_level:
                word |= lr.PENDING
                if irq.pending_latch:
                    self.load_latch(irq)
                if irq.hw:
                    irq.line_level = False
        elif irq.pending_latch:
            if irq.intid < NR_SGIS:
                return word | self.take_source(irq)
            irq.pending_latch = False
            word |= lr.PENDING
        return word

    shows_disabled: ClassVar[bool] = False  # step: an active interrupt is shown pending although disabled
    reports_sgi_eoi: ClassVar[bool] = True  # step: while requests of other CPUs wait, an SGI's EOI asks for an exit

    def active_cpuid(self, irq: VgicIrq) -> int:
        """Step: the CPUID to show for an active SGI: its sender's, or the guest's EOI would not match (F2)."""
        return irq.active_source

    def blocked_while_active(self, irq: VgicIrq) -> bool:
        """Step: must an active interrupt not be shown pending as well?

        The architecture forbids it for HW = 1; a level line may fall unseen (F3); an SGI with waiting sources has one
        CPUID for two states (F2).  The next instance is loaded at the exit after EOI.
        """
        return irq.hw or irq.is_level or irq.source != 0

    def load_latch(self, irq: VgicIrq) -> None:
        """Step: the LR's pending bit takes the latch of a level interrupt along, so that it can be set again (R+)."""
        irq.soft = True
        irq.pending_latch = False

    def take_source(self, irq: VgicIrq) -> int:
        """One request of pending SGI `irq` moves into its LR: the CPUID and state bits (F1)."""
        source = irq.source & -irq.source
        if not source:
            return self.sourceless_sgi(irq)
        irq.source ^= source
        irq.pending_latch = bool(irq.source)
        word = lr.PENDING | source.bit_length() - 1 << lr.SOURCE_SHIFT
        return word | lr.EOI if irq.source and self.reports_sgi_eoi else word

    def sourceless_sgi(self, irq: VgicIrq) -> int:
        """Step: a pending SGI nobody sent; only a restored state can hold one (F13)."""
        self.sourceless_sgis += 1
        return 0

    def entry_hcr(self, vcpu: Vcpu) -> int:
        """Step: HCR for the guest about to run (spec 4.8): a maintenance interrupt for whatever must be reloaded."""
        ctlr = vcpu.gich.ctlr
        nr_lrs = vcpu.gich.nr_lrs
        hcr = EN | (VGRP0DIE if ctlr & 1 else VGRP0EIE) | (VGRP1DIE if ctlr & 2 else VGRP1EIE)
        _, pending, active = vcpu.ap_list.counts
        if pending + active > nr_lrs:
            hcr |= UIE
            if pending > nr_lrs:
                hcr |= NPIE
            if active:
                hcr |= LRENPIE
        return hcr

    # --- waking -------------------------------------------------------------------------------------------------

    def pending_check(self, vcpu: Vcpu) -> bool:
        """Has `vcpu` something to be woken for (spec 4.7)?  What its list registers hold counts."""
        if not self.enabled:
            return False
        overlay = self.overlay(vcpu)
        pmr = vcpu.gich.pmr
        for irq in vcpu.ap_list.irqs:
            if not irq.enabled or irq.priority >= pmr or irq.target_vcpu is not vcpu:
                continue
            shown = overlay.get(irq)
            if shown is None:
                if irq.pending and not irq.active:
                    return True
            elif not shown.active and (shown.pending_latch or self.shown_line(irq, shown)):
                return True
        return False

    def pending_now(self, vcpu: Vcpu, irq: VgicIrq) -> bool:
        """Step: is `irq`, private to `vcpu`, pending?  What its list register holds counts."""
        shown = self.overlay(vcpu).get(irq)
        return irq.pending if shown is None else shown.pending_latch or self.shown_line(irq, shown)

    # --- seeing through the list registers ------------------------------------------------------------------------

    def overlay(self, vcpu: Vcpu) -> dict[VgicIrq, Folded]:
        """What the interrupts that `vcpu` holds would be if it left the guest now.  Changes nothing."""
        shown: dict[VgicIrq, Folded] = {}
        for irq, word in self.held(vcpu):
            shown[irq] = self.folded(irq, word)
        missed = vcpu.gich.hcr >> EOI_COUNT_SHIFT
        if missed:
            for irq in self.missed_deactivations(vcpu, missed):
                resample = irq.hw and irq.is_level and irq.line_level
                shown[irq] = Folded(False, irq.active_source, irq.pending_latch, irq.source, resample)
        return shown

    def shown_line(self, irq: VgicIrq, shown: Folded) -> bool:
        """The line part of `irq`'s pending state under `shown`."""
        if not irq.is_level:
            return False
        return self.physical.pending(irq.hwintid) if shown.resample else irq.line_level
