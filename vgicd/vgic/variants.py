"""Where Xen's new VGIC deviates from a correct one (spec 7.2, D1..D21), each deviation beside its reason.

The core reads as the right algorithm.  Every defect is a mixin that overrides a few of its named steps; variant
"xen" is all of them over `XenBaseline`, which holds the design choices that have no defect number.  Leaving a mixin
out mends that one defect.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from operator import attrgetter
from typing import Final

from vgicd.hw import list_register as lr
from vgicd.hw.events import EventKind
from vgicd.hw.gich import EN, UIE
from vgicd.registers import Frame, ignore
from vgicd.vgic.ap_list import ACTIVE, NOT, PENDING
from vgicd.vgic.distributor import DISTRIBUTOR, NO_REVISION, Irqs
from vgicd.vgic.errors import FatalAssertion
from vgicd.vgic.irq import LineOwner, VgicIrq
from vgicd.vgic.vcpu import Vcpu
from vgicd.vgic.vgic import Vgic


def _all_ones(_vgic: Vgic, _vcpu: Vcpu, irqs: Irqs) -> int:
    return (1 << len(irqs)) - 1


def _unrevised(_vgic: Vgic, _vcpu: Vcpu) -> int:
    return NO_REVISION


_REPLACED: Final = {
    "GICD_IGROUPR": {
        "read": _all_ones,
        "peek": _all_ones,
        "write": ignore,
        "restore": None,
        "reset": (1, 1, 1),
        "writable": 0,
        "effect": "none",
        "doc": "Interrupt group: reads as ones, although everything is delivered as group 0 (F7)",
    },
    "GICD_IIDR": {"read": _unrevised, "peek": _unrevised, "restore": None},
}
XEN_GICD: Final = Frame("GICD", 0x1000, (replace(row, **_REPLACED.get(row.name, {})) for row in DISTRIBUTOR))  # type: ignore[arg-type]


class XenBaseline(Vgic):
    """Xen's choices that later KVM revised, or that differ from the architecture, without a defect number."""

    frame = XEN_GICD
    aborts = True  # reserved places, odd widths, interrupts beyond nr_irqs
    folds_all = False  # F17: another vCPU's list registers are not consulted

    def may_drive(self, irq: VgicIrq, owner: LineOwner | None) -> bool:
        """The line has no owner (KVM's cookie is missing)."""
        return True

    def may_share(self, pirq: int) -> bool:
        """CONNECT does not look whether others are tied to `pirq`: its caller does."""
        return True

    def untargeted(self) -> Vcpu | None:
        """Even with one vCPU an SPI needs a target (q18)."""
        return None

    def reconfigured(self, irq: VgicIrq) -> None:
        """ICFGR queues nothing (q11)."""

    def line_shown(self, irq: VgicIrq) -> bool:
        """The virtual line also of a mapped interrupt, although it was dropped at entry (F19, q20)."""
        return irq.line_level

    def line_after_fold(self, irq: VgicIrq, word: int) -> bool:
        return self.shown_line(irq, self.folded(irq, word))

    def blocked_while_active(self, irq: VgicIrq) -> bool:
        """A software level interrupt is shown pending and active: spurious if the line falls unseen (F3)."""
        return irq.hw or irq.source != 0

    def resample(self, irq: VgicIrq) -> None:
        """A low line ends the physical active state even though a soft-pend is left (q22)."""
        irq.line_level = self.physical.sample(irq.hwintid)
        if not irq.line_level:
            self.physical.set_active(irq.hwintid, False)

    def pending_now(self, vcpu: Vcpu, irq: VgicIrq) -> bool:
        """A running vCPU's list registers are not consulted: an acknowledged soft-pend still counts (F17)."""
        return irq.pending

    def sourceless_sgi(self, irq: VgicIrq) -> int:
        """BUG_ON: reached by D3 and D4."""
        raise FatalAssertion("D4", "vgic_v2_populate_lr", f"SGI {irq.intid} is pending without a source")

    def exit(self, vcpu: Vcpu) -> None:
        """With an empty list nothing is done, so HCR keeps what it had."""
        self.kicked &= ~(1 << vcpu.id)
        if vcpu.ap_list.irqs:
            self.fold(vcpu)
            self.prune(vcpu)

    def fold(self, vcpu: Vcpu) -> None:
        """EOICount is neither read nor cleared (D14)."""
        gich = vcpu.gich
        if not vcpu.used_lrs:
            return
        gich.hcr &= ~UIE
        for irq, word in self.held(vcpu):
            self.fold_lr(irq, word)
        gich.lrs = [0] * gich.nr_lrs
        self.replay_eois(vcpu, gich.hcr >> 27)
        gich.hcr &= ~EN
        gich.top = vcpu.used_lrs = 0
        vcpu.loaded = []
        gich.changed()

    def leave(self, vcpu: Vcpu) -> None:
        """Nothing is skipped."""
        self.exit(vcpu)

    def enter(self, vcpu: Vcpu) -> None:
        """Underflow is asked for whenever anything listed is left out, deliverable or not; no other condition is."""
        gich, ap_list = vcpu.gich, vcpu.ap_list
        if not ap_list.irqs:
            return
        ap_list.touch_all()
        ap_list.refresh(self.assess)
        self.check_entry(vcpu)
        if len(ap_list.irqs) > gich.nr_lrs:
            ap_list.sort()
        count = 0
        for irq in ap_list.irqs:
            if self.oracle(irq) is not vcpu:
                continue
            word = gich.lrs[count] = self.populate(irq)
            irq.slot = count
            vcpu.loaded.append(irq)
            count += 1
            vcpu.last_lr_irq = irq
            if self.watched:
                self.note(EventKind.LOAD, vcpu.id, irq.intid, word)
            if count == gich.nr_lrs:
                if irq is not ap_list.irqs[-1]:
                    gich.hcr |= UIE
                break
        vcpu.used_lrs = gich.top = count
        gich.hcr |= EN
        gich.changed()

    def check_entry(self, vcpu: Vcpu) -> None:
        """Raise FatalAssertion before anything is changed if an SGI to be loaded has no source."""
        irqs, count = vcpu.ap_list.irqs, 0
        if len(irqs) > vcpu.gich.nr_lrs:
            irqs = sorted(irqs, key=attrgetter("rank"))
        for irq in irqs:
            if self.oracle(irq) is vcpu:
                if irq.is_sgi and irq.pending_latch and not irq.source:
                    self.sourceless_sgi(irq)
                count += 1
                if count == vcpu.gich.nr_lrs:
                    break

    def assess(self, irq: VgicIrq, vcpu: Vcpu) -> tuple[int, int]:
        """Active first, so that it is never evicted; then pending by priority; then the rest (before F22)."""
        if irq.active:
            return 0, ACTIVE
        if irq.enabled and irq.pending:
            return 0x100 | irq.priority, PENDING
        return 0x200, NOT


class D1(Vgic):
    """LOOKUP is bounded by 1019, not by the domain's SPIs: beyond them it reads and writes foreign memory."""

    def beyond_spis(self, intid: int) -> VgicIrq | None:
        if intid <= 1019:
            raise FatalAssertion("D1", "vgic_get_irq", f"INTID {intid} indexes beyond the domain's SPIs")
        return None


class D2(Vgic):
    """CPENDSGIR and SPENDSGIR find their SGI by offset & 0x3ff, so by SPI 784 and up: an assertion fails."""

    def index_sgi_sources(self) -> None:
        raise FatalAssertion("D2", "VGIC_ADDR_TO_INTID", "CPENDSGIR and SPENDSGIR address SPI 784 and up")


class D3(Vgic):
    """The SGI bits of ISPENDR0 and ICPENDR0 act: one sets a latch without source, one leaves stale sources."""

    def pending_writable(self, irq: VgicIrq) -> bool:
        return True


class D4(Vgic):
    """INJECT of an SGI sets no source, which the next entry asserts."""

    def inject_sgi(self, irq: VgicIrq, vcpu: Vcpu) -> None:
        pass


class D5(Vgic):
    """An active SGI loses its CPUID in the LR, or gets that of the next request: a comparing EOI misses it."""

    def active_cpuid(self, irq: VgicIrq) -> int:
        return 0

    def blocked_while_active(self, irq: VgicIrq) -> bool:
        return False if irq.is_sgi else super().blocked_while_active(irq)


class D6(Vgic):
    """No EOI request while further sources wait: the next one is delivered after an unrelated exit only."""

    reports_sgi_eoi = False


class D7(Vgic):
    """A hardware-mapped edge interrupt is shown pending and active, which HW = 1 forbids, and loses its latch."""

    def blocked_while_active(self, irq: VgicIrq) -> bool:
        return False if irq.hw and not irq.is_level else super().blocked_while_active(irq)


class D8(Vgic):
    """An active interrupt that was disabled is shown pending and may be delivered once more."""

    shows_disabled = True


class D9(Vgic):
    """A pending interrupt that gets its target late is queued by nobody."""

    def queue_on_target(self, irq: VgicIrq) -> None:
        pass


class D10(Vgic):
    """What became pending, or was dropped, while the distributor was disabled stays off the lists."""

    def queue_withheld(self) -> None:
        pass


class D11(Vgic):
    """The new owner of a migrated interrupt is not kicked; of a listed one the destination is, not the holder."""

    def kick_after_migration(self, target: Vcpu) -> None:
        pass

    def kick_stale_holder(self, irq: VgicIrq) -> None:
        pass


class D12(Vgic):
    """A level that falls, a disable, a new priority: nobody is kicked, so the stale LR is still delivered."""

    def reload(self, irq: VgicIrq) -> None:
        pass

    def kick_on_disable(self) -> None:
        pass


class D13(Vgic):
    """ISACTIVER and ICACTIVER are ignored."""

    def change_active(self, vcpu: Vcpu, irq: VgicIrq, active: bool) -> None:
        pass


class D14(Vgic):
    """EOICount is ignored: with more active interrupts than list registers the surplus never deactivates."""

    def missed_deactivations(self, vcpu: Vcpu, count: int) -> list[VgicIrq]:
        return []


class D15(Vgic):
    """PENDING_CHECK looks at neither the active state, nor PMR, nor the target: WFI returns at once."""

    def pending_check(self, vcpu: Vcpu) -> bool:
        return self.enabled and any(irq.enabled and irq.pending for irq in vcpu.ap_list.irqs)


class D16(Vgic):
    """A loaded level interrupt keeps its latch, and folding it once acknowledged clears a later soft-pend, too."""

    def load_latch(self, irq: VgicIrq) -> None:
        pass

    def folded_latch(self, irq: VgicIrq, word: int) -> bool:
        return irq.pending_latch and bool(word & lr.PENDING)


class D17(Vgic):
    """Sorting compares an element with itself and takes its lock twice; a single-threaded sort has no such lock."""


class D18(Vgic):
    """Domain free names the physical number where the virtual one is meant; harmless while they are equal."""

    def released_number(self, irq: VgicIrq) -> int:
        return irq.hwintid


class D19(Vgic):
    """A vCPU that is powered on again finds the interrupts and SGIs of its former life."""

    def power_on(self, vcpu: Vcpu) -> None:
        pass


class D20(Vgic):
    """FREE clears any bit: numbers that were never to be had can be had."""

    def free_virq(self, virq: int) -> None:
        self.virqs_allocated &= ~(1 << virq)


class D21(Vgic):
    """A mapped level line is sampled again neither when the interrupt is enabled nor when it is deactivated."""

    def resample_on_enable(self, irq: VgicIrq) -> None:
        pass

    def resamples_on_deactivation(self, irq: VgicIrq) -> bool:
        return False


DEFECTS: Final[dict[str, type[Vgic]]] = {
    cls.__name__: cls
    for cls in (D1, D2, D3, D4, D5, D6, D7, D8, D9, D10, D11, D12, D13, D14, D15, D16, D17, D18, D19, D20, D21)
}


@lru_cache(maxsize=64)
def xen_vgic(without: frozenset[str] = frozenset()) -> type[Vgic]:
    """The class of variant "xen" with the defects in `without` mended.

    Raises KeyError naming a defect that does not exist.
    """
    for name in without:
        if name not in DEFECTS:
            raise KeyError(name)
    bases = tuple(cls for name, cls in DEFECTS.items() if name not in without)
    return type("XenVgic", (*bases, XenBaseline), {"__doc__": f"Xen's VGIC without {sorted(without) or 'nothing'}."})
