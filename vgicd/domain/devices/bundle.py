"""The devices of a domain as its world switch and its address spaces see them."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from vgicd.domain.config import DomainConfig
from vgicd.domain.devices.event_channel import GUEST_INTID, EventChannel
from vgicd.domain.devices.vpl011 import INTID as UART_INTID
from vgicd.domain.devices.vpl011 import VPL011, Vpl011
from vgicd.domain.devices.vtimer import PHYSICAL, SECURE, VIRTUAL, VTIMER, Vtimer
from vgicd.registers import Frame
from vgicd.vgic.errors import CreationError
from vgicd.vgic.state import EINVAL
from vgicd.vgic.vgic import Vgic

VTIMER_WINDOW: Final = 0x0000
VPL011_WINDOW: Final = 0x1000


class Window(NamedTuple):
    """Where a device's registers are in DEVICE space; `banked` registers are one set a vCPU."""

    base: int
    frame: Frame
    device: Any
    banked: bool


class Devices:
    """Timers, event channel and UART of profile `xen-guest`; none in the others, whose client owns all lines.

    Raises CreationError -EINVAL when the UART's SPI does not exist or is taken.
    """

    def __init__(self, config: DomainConfig, vgic: Vgic) -> None:
        self.vgic = vgic
        self.vtimer: Vtimer | None = None
        self.event_channel: EventChannel | None = None
        self.vpl011: Vpl011 | None = None
        self.windows: tuple[Window, ...] = ()
        self.present = config.profile == "xen-guest"
        if not self.present:
            return
        for intid in (VIRTUAL, SECURE, PHYSICAL):
            vgic.reserve_virq(intid)
        self.vtimer = Vtimer(config.vcpus)
        self.event_channel = EventChannel(config.vcpus, self._event_channel_intid(config.hardware_domain))
        if not vgic.reserve_virq(UART_INTID):
            raise CreationError(EINVAL, f"the vPL011 needs SPI {UART_INTID}: ask for at least one SPI")
        self.vpl011 = Vpl011(vgic)
        self.windows = (
            Window(VTIMER_WINDOW, VTIMER, self.vtimer, banked=True),
            Window(VPL011_WINDOW, VPL011, self.vpl011, banked=False),
        )
        for vcpu in vgic.vcpus:
            for intid in (VIRTUAL, PHYSICAL):
                vcpu.private[intid].owner = self.vtimer
            vcpu.private[self.event_channel.intid].owner = self.event_channel
        vgic.spis[UART_INTID - 32].owner = self.vpl011

    def _event_channel_intid(self, hardware_domain: bool) -> int:
        """PPI 31 for guests; the first free one for the hardware domain, once all its PPIs are known."""
        if hardware_domain:
            return self.vgic.allocate_virq(spi=False)
        self.vgic.reserve_virq(GUEST_INTID)
        return GUEST_INTID

    def at_exit(self, vcpu_id: int) -> None:
        """What Xen does first on every exit: timer lines, then the event channel's (spec 4.1)."""
        if self.vtimer is not None:
            self.vtimer.update(self.vgic, vcpu_id)
        if self.event_channel is not None:
            self.event_channel.update(self.vgic, vcpu_id)

    def would_change(self, vcpu_id: int) -> bool:
        """Would `at_exit` change a line of this vCPU?"""
        if not self.present:
            return False
        private = self.vgic.vcpus[vcpu_id].private
        return any(
            irq.owner is not None and irq.owner.level_at_exit(vcpu_id, irq.intid) != irq.line_level for irq in private
        )

    def window(self, offset: int) -> Window | None:
        """The device window that holds DEVICE space offset `offset`."""
        for window in self.windows:
            if window.base <= offset < window.base + window.frame.size:
                return window
        return None

    def save(self) -> dict[str, tuple[int, ...]]:
        words: dict[str, tuple[int, ...]] = {}
        for device in (self.vtimer, self.event_channel, self.vpl011):
            if device is not None:
                words |= device.save()
        return words

    def load(self, words: dict[str, tuple[int, ...]]) -> None:
        for device in (self.vtimer, self.event_channel, self.vpl011):
            if device is not None:
                device.load(words)
