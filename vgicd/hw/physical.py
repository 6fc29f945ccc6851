"""The physical distributor, as far as hardware-mapped interrupts need it (spec 5.5).

It keeps what Xen would program and read there, and every call is also an effect in the caller's list.  While an
interrupt is active its line is masked for the host; the host's handler drops priority only, so an interrupt stays
active until the guest deactivates its virtual one.
"""

from __future__ import annotations

from vgicd.hw.effects import Effect, EffectKind


class PhysicalIrq:
    """One physical SPI; all false at first, level-triggered."""

    __slots__ = ("active", "affinity", "enabled", "inprogress", "is_level", "latch", "line")

    def __init__(self) -> None:
        self.line = False
        self.latch = False
        self.active = False
        self.enabled = False
        self.inprogress = False
        self.is_level = True
        self.affinity = 0


class PhysicalDistributor:
    """Physical SPIs by INTID, made when first named.

    `captures_edges`: a rising line of an edge-triggered interrupt sets its latch, and its level does not show as
    pending.  Without it, pending is line or latch whatever the trigger type.
    """

    def __init__(self, effects: list[Effect], *, captures_edges: bool = True) -> None:
        self.effects = effects
        self.captures_edges = captures_edges
        self.irqs: dict[int, PhysicalIrq] = {}

    def __getitem__(self, pirq: int) -> PhysicalIrq:
        irq = self.irqs.get(pirq)
        if irq is None:
            irq = self.irqs[pirq] = PhysicalIrq()
        return irq

    def pending(self, pirq: int) -> bool:
        """GICD_ISPENDR of the physical interrupt, without the record of a read."""
        irq = self.irqs.get(pirq)
        if irq is None:
            return False
        return irq.latch or (irq.line and (irq.is_level or not self.captures_edges))

    def drive(self, pirq: int, level: bool) -> None:
        """The device's wire changes."""
        irq = self[pirq]
        if level and not irq.line and self.captures_edges and not irq.is_level:
            irq.latch = True
        irq.line = level

    def fires(self, pirq: int) -> bool:
        """The host would take the interrupt now."""
        irq = self[pirq]
        return irq.enabled and not irq.active and self.pending(pirq)

    def take(self, pirq: int) -> None:
        """The host acknowledges and drops priority: active until the guest deactivates."""
        irq = self[pirq]
        irq.active = irq.inprogress = True
        irq.latch = False

    def sample(self, pirq: int) -> bool:
        """Read the pending state, for the record."""
        value = self.pending(pirq)
        self.effects.append(Effect(EffectKind.SAMPLE, int(value), pirq))
        return value

    def enable(self, pirq: int) -> None:
        self[pirq].enabled = True
        self.effects.append(Effect(EffectKind.ENABLE, 0, pirq))

    def disable(self, pirq: int) -> None:
        self[pirq].enabled = False
        self.effects.append(Effect(EffectKind.DISABLE, 0, pirq))

    def set_affinity(self, pirq: int, cpu: int) -> None:
        self[pirq].affinity = cpu
        self.effects.append(Effect(EffectKind.AFFINITY, 0, pirq, cpu))

    def set_type(self, pirq: int, is_level: bool) -> None:
        self[pirq].is_level = is_level
        self.effects.append(Effect(EffectKind.TYPE, int(is_level), pirq))

    def set_active(self, pirq: int, value: bool) -> None:
        """Force the active state; INPROGRESS follows it."""
        irq = self[pirq]
        irq.active = irq.inprogress = value
        self.effects.append(Effect(EffectKind.ACTIVE, int(value), pirq))

    def set_pending(self, pirq: int, value: bool) -> None:
        """Force the pending latch; INPROGRESS stays."""
        self[pirq].latch = value
        self.effects.append(Effect(EffectKind.PENDING, int(value), pirq))

    def deactivate(self, pirq: int) -> None:
        """The guest deactivated through the HW bit of a list register.  INPROGRESS is software's to clear."""
        self[pirq].active = False
        self.effects.append(Effect(EffectKind.DEACTIVATE, 0, pirq))
