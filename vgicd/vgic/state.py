"""The VGIC's state and the ways to reach it: geometry, interrupts, lookup, kicks and observation.

First layer of class `Vgic`; each further layer uses those below it and the named steps that `variants` overrides.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from vgicd.hw.effects import Effect, EffectKind
from vgicd.hw.events import EventKind
from vgicd.hw.gich import EN, Gich
from vgicd.hw.physical import PhysicalDistributor
from vgicd.vgic.errors import CreationError
from vgicd.vgic.irq import NR_PRIVATE, VgicIrq
from vgicd.vgic.vcpu import Vcpu

EINVAL: Final = -22
EBUSY: Final = -16
ENXIO: Final = -6
MAX_VCPUS: Final = 8
MAX_SPIS: Final = 988  # after rounding up to a multiple of 32: 960 are to be had

_KICKS: Final = tuple(Effect(EffectKind.KICK, vcpu) for vcpu in range(MAX_VCPUS))


@dataclass(frozen=True, slots=True)
class Options:
    """What distinguishes one VGIC from another of the same geometry."""

    nr_lrs: int = 4
    iidr_revision: int = 2
    hardware_domain: bool = False
    eoi_compares_source: bool = False
    idle_deactivates: bool = True
    captures_edges: bool = True
    lazy: bool = True


class VgicState:
    """One domain's interrupts.

    Raises CreationError -EINVAL for more than 8 vCPUs or more than 960 SPIs (spec 6.9).
    """

    def __init__(self, vcpus: int, spis: int, options: Options) -> None:
        if not 1 <= vcpus <= MAX_VCPUS:
            raise CreationError(EINVAL, f"a GICv2 domain has 1 to {MAX_VCPUS} vCPUs, not {vcpus}")
        self.nr_spis = -(-spis // 32) * 32
        if spis < 0 or self.nr_spis > MAX_SPIS:
            raise CreationError(EINVAL, f"a domain has 0 to 960 SPIs, not {spis}")
        self.nr_irqs = self.nr_spis + NR_PRIVATE
        self.options = options
        self.iidr_revision = options.iidr_revision
        self.enabled = False  # GICD_CTLR bit 0
        self.effects: list[Effect] = []
        self.physical = PhysicalDistributor(self.effects, captures_edges=options.captures_edges)
        self.kicked = 0  # bit v: vCPU v was kicked and has not left the guest since
        self.events: list[tuple[int, int, int, int]] = []  # (kind, vcpu, intid, value)
        self.folding_all = False
        self.watched = 0  # bit k: events of kind k are recorded
        self.sourceless_sgis = 0  # loads of a pending SGI without a source, dropped
        self.vcpus = [Vcpu(index, self._interface()) for index in range(vcpus)]
        self.vcpu_mask = (1 << vcpus) - 1
        self.spis = [VgicIrq(intid, None) for intid in range(NR_PRIVATE, self.nr_irqs)]
        self.mapped: dict[int, VgicIrq] = {}  # the SPI that each tied physical INTID fires
        self.virqs_allocated = 0xFFFF  # SGIs are never to be had
        self.reset_step()

    def _interface(self) -> Gich:
        return Gich(
            self.options.nr_lrs,
            deactivate=self.physical.deactivate,
            eoi_compares_source=self.options.eoi_compares_source,
            idle_deactivates=self.options.idle_deactivates,
        )

    def reset_step(self) -> None:
        """What a variant's reset values differ in."""

    # --- lookup -------------------------------------------------------------------------------------------------

    def lookup(self, vcpu: Vcpu | None, intid: int) -> VgicIrq | None:
        """The interrupt, or None where the domain has none: beyond its SPIs, or private without a vCPU (spec 1.7)."""
        if intid < NR_PRIVATE:
            return vcpu.private[intid] if vcpu is not None and intid >= 0 else None
        if intid < self.nr_irqs:
            return self.spis[intid - NR_PRIVATE]
        return self.beyond_spis(intid)

    def beyond_spis(self, intid: int) -> VgicIrq | None:
        """Step: what lies behind the last SPI."""
        return None

    def range_of(self, vcpu: Vcpu, first: int, count: int) -> list[VgicIrq]:
        """`count` interrupts from INTID `first`, all private or all SPIs; `vcpu` owns the private ones."""
        if first < NR_PRIVATE:
            return vcpu.private[first : first + count]
        return self.spis[first - NR_PRIVATE : first - NR_PRIVATE + count]

    def all_irqs(self) -> Iterator[VgicIrq]:
        """Every interrupt: vCPU 0's private ones first, the SPIs last."""
        for vcpu in self.vcpus:
            yield from vcpu.private
        yield from self.spis

    # --- kicks and observation ----------------------------------------------------------------------------------

    def kick(self, vcpu: Vcpu) -> None:
        """Wake `vcpu` and have it leave the guest soon."""
        self.kicked |= 1 << vcpu.id
        self.effects.append(_KICKS[vcpu.id])
        if self.watched:
            self.note(EventKind.KICK, vcpu.id)

    def kick_holder(self, irq: VgicIrq) -> None:
        """Kick the vCPU on whose ap_list `irq` is, if any, because what it would load has changed."""
        holder = irq.vcpu
        if holder is not None:
            self.touch(irq)
            self.kick(holder)

    def touch(self, irq: VgicIrq) -> None:
        """The next world switch of the vCPU that holds `irq` must look at it."""
        holder = irq.vcpu
        if holder is not None:
            holder.ap_list.touch(irq)
            holder.dirty = True

    def touch_all(self, vcpu: Vcpu) -> None:
        """The next world switch of `vcpu` must look at its whole ap_list."""
        vcpu.ap_list.touch_all()
        vcpu.dirty = True

    def note(self, kind: EventKind, vcpu: int, intid: int = 0, value: int = 0) -> None:
        """Record an event if somebody watches its kind."""
        if self.watched >> kind & 1:
            self.events.append((kind, vcpu, intid, value))

    # --- creation order (spec 6.9) ------------------------------------------------------------------------------

    def enable_interface(self, vcpu: Vcpu) -> None:
        """Switch `vcpu`'s virtual interface on, as its creation on a GICv2 host does."""
        vcpu.gich.write_hcr(vcpu.gich.hcr | EN)
