"""Virtual interrupt numbers: which of them Xen itself has given away (spec 6.6)."""

from __future__ import annotations

from vgicd.vgic.hw_irq import HwIrqs
from vgicd.vgic.irq import NR_PRIVATE, NR_SGIS
from vgicd.vgic.state import EINVAL


class Virqs(HwIrqs):
    """Fourth layer: the allocation bitmap, and injection on behalf of device models, which respects it."""

    def is_valid_line(self, virq: int) -> bool:
        return 0 <= virq < self.nr_irqs

    def reserve_virq(self, virq: int) -> bool:
        """Claim `virq`.  True iff it exists and was free."""
        if not self.is_valid_line(virq) or self.virqs_allocated >> virq & 1:
            return False
        self.virqs_allocated |= 1 << virq
        return True

    def allocate_virq(self, spi: bool) -> int:
        """Claim the lowest free SPI, or PPI.  Its number, or -1."""
        first, end = (NR_PRIVATE, self.nr_irqs) if spi else (NR_SGIS, NR_PRIVATE)
        for virq in range(first, end):
            if self.reserve_virq(virq):
                return virq
        return -1

    def free_virq(self, virq: int) -> None:
        """Give `virq` back; what was never to be had (SGIs, numbers out of range) stays as it is."""
        if NR_SGIS <= virq < self.nr_irqs:
            self.virqs_allocated &= ~(1 << virq)

    def set_irq_level(self, intid: int, level: int, padding: int = 0) -> int:
        """Xen's set_irq_level for device models: SPIs that Xen does not own, level exactly 0 or 1 (spec 2.7).

        0, or -EINVAL and no change.
        """
        if not self.is_spi(intid) or level not in (0, 1) or padding or self.virqs_allocated >> intid & 1:
            return EINVAL
        return self.inject(None, intid, bool(level))
