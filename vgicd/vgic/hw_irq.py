"""Hardware-mapped interrupts: SPIs tied to physical ones (spec 6.1, 6.2).

The LR's HW bit deactivates the physical interrupt with the virtual one, so the physical interrupt must look active
as long as its virtual one may still be deactivated.  Routing a physical interrupt to a guest is its caller's affair
(spec 6.1: trigger type, host priority 0xA0, who may have it); here begins what the VGIC is told of it.
"""

from __future__ import annotations

from vgicd.vgic.injection import Injection
from vgicd.vgic.irq import NR_PRIVATE, VgicIrq
from vgicd.vgic.state import EBUSY, EINVAL
from vgicd.vgic.vcpu import Vcpu


class HwIrqs(Injection):
    """Third layer: connecting, and what the distributor's registers do to the physical side."""

    def connect(self, virq: int, pirq: int) -> int:
        """Tie SPI `virq` to physical interrupt `pirq`.

        0; -EINVAL for no such SPI; -EBUSY while it is tied, enabled, active or latched (the line is not looked at), or
        `pirq` is tied to another.
        """
        irq = self.lookup(None, virq)
        if irq is None:
            return EINVAL
        if irq.hw or irq.enabled or irq.active or irq.pending_latch or not self.may_share(pirq):
            return EBUSY
        irq.hw = True
        irq.hwintid = pirq
        self.mapped.setdefault(pirq, irq)
        self.touch(irq)
        return 0

    def may_share(self, pirq: int) -> bool:
        """Step: may one more SPI be tied to `pirq`?  A physical interrupt serves one virtual one (spec 6.1)."""
        return pirq not in self.mapped

    def disconnect(self, virq: int, pirq: int | None = None) -> int:
        """Untie SPI `virq`; -EINVAL if there is none, or `pirq` is given and is not the tied one (untied: 0)."""
        irq = self.lookup(None, virq)
        if irq is None or (pirq is not None and pirq != irq.hwintid):
            return EINVAL
        irq.hw = False
        if self.mapped.get(irq.hwintid) is irq:
            del self.mapped[irq.hwintid]
            for other in self.spis:
                if other.hw and other.hwintid == irq.hwintid:
                    self.mapped.setdefault(irq.hwintid, other)
        irq.hwintid = 0
        self.touch(irq)
        return 0

    def physical_of(self, virq: int) -> int | None:
        """The physical INTID tied to `virq`."""
        irq = self.lookup(None, virq)
        return irq.hwintid if irq is not None and irq.hw else None

    def hardware_irq(self, pirq: int, virq: int) -> bool:
        """Physical `pirq` fires and is taken for `virq`.

        False, and nothing happens, while it is disabled or active.
        """
        physical = self.physical[pirq]
        if not physical.enabled or physical.active:
            return False
        self.physical.take(pirq)
        self.inject(None, virq, True)
        return True

    def move_vcpu(self, vcpu: Vcpu, pcpu: int) -> None:
        """`vcpu` runs on physical CPU `pcpu`; the hardware interrupts aimed at it follow."""
        vcpu.pcpu = pcpu
        for irq in self.spis:
            if irq.hw and irq.target_vcpu is vcpu:
                self.physical.set_affinity(irq.hwintid, pcpu)

    def hw_enable(self, irq: VgicIrq) -> None:
        """ISENABLER 0 -> 1: trigger type (hardware domain), affinity, enable; then look at the line again."""
        physical = self.physical
        if self.options.hardware_domain and not physical[irq.hwintid].enabled:
            physical.set_type(irq.hwintid, irq.is_level)
        if irq.target_vcpu is not None:
            physical.set_affinity(irq.hwintid, irq.target_vcpu.pcpu)
        physical.enable(irq.hwintid)
        self.resample_on_enable(irq)

    def resample_on_enable(self, irq: VgicIrq) -> None:
        """Step: the line may have fallen while the interrupt was disabled (F11)."""
        if irq.is_level and irq.line_level and not irq.active:
            self.resample(irq)

    def hw_disable(self, irq: VgicIrq) -> None:
        self.physical.disable(irq.hwintid)

    def hw_set_pending(self, irq: VgicIrq) -> None:
        """ISPENDR: the virtual interrupt will be deactivated through the HW bit, so the physical must be active."""
        self.physical.set_active(irq.hwintid, True)

    def hw_clear_pending(self, irq: VgicIrq) -> None:
        """ICPENDR: a guest must not be able to mask the physical interrupt by setting and clearing."""
        if irq.pending:
            return
        self.physical.set_pending(irq.hwintid, False)
        if not irq.active:
            self.physical.set_active(irq.hwintid, False)

    def hw_set_active(self, irq: VgicIrq, value: bool) -> None:
        """I[SC]ACTIVER: the physical active state follows."""
        self.physical.set_active(irq.hwintid, value)

    def resample(self, irq: VgicIrq) -> None:
        """Take the physical pending state as the line; if nothing is left pending, let the physical one fire again."""
        irq.line_level = self.physical.sample(irq.hwintid)
        if not irq.line_level and not irq.pending_latch:
            self.physical.set_active(irq.hwintid, False)

    def release_all(self) -> None:
        """Domain free: every tied physical interrupt is disabled, deactivated if in progress, and let go."""
        for irq in self.spis:
            if irq.hw:
                self.release(irq)

    def release(self, irq: VgicIrq) -> None:
        physical = self.physical[irq.hwintid]
        self.physical.disable(irq.hwintid)
        if physical.inprogress:
            self.physical.set_active(irq.hwintid, False)
        self.disconnect(self.released_number(irq))

    def released_number(self, irq: VgicIrq) -> int:
        """Step: the number that names the interrupt to `disconnect`."""
        return irq.intid

    def is_spi(self, virq: int) -> bool:
        return NR_PRIVATE <= virq < self.nr_irqs
