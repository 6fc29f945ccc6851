"""Interception: telling a client how the lines of one device change.

Its levels start low, whatever the lines' are, and a line is told when it differs from what was told of it.  As in
QEMU nothing is told at once: a GIC looks at its outputs when it is written to or a line changes, and a mere read that
leaves them alone tells nothing.
"""

from __future__ import annotations

from typing import ClassVar, Final

from vgicd.domain.events import Event, EventKind
from vgicd.qtest.wiring import TIMERS, Device, Kind, Wiring

_OUTPUTS: Final = 2  # of a vCPU: vIRQ and vFIQ


def notice(line: int, level: int) -> bytes:
    """What a client is told of `line`."""
    return b"IRQ %s %d\n" % (b"raise" if level else b"lower", line)


class Interception:
    """The lines of `device` in one direction; by itself of a device that has none."""

    sees_outputs: ClassVar[bool] = False
    events: ClassVar[int] = 0
    """The mask of the event kinds of which `event` must be told."""

    def __init__(self, device: Device) -> None:
        self.device = device
        self._levels: dict[int, int] = {}

    def change(self, line: int, level: int) -> bytes:
        """The notice that `line` has `level` now; nothing if that is what was told last. Any level but 0 is high."""
        if self._levels.get(line, 0) == level:
            return b""
        self._levels[line] = level
        return notice(line, level)

    def driven(self, line: int, level: int) -> bytes:
        """Notices for input `line` of the GIC, which the client itself has driven to `level`."""
        return b""

    def outputs(self, word: int) -> bytes:
        """Notices for the outputs of all vCPUs being `word`."""
        return b""

    def event(self, event: Event) -> bytes:
        """Notices for something that happened in the domain, other than by `driven`."""
        return b""


class CpuInputs(Interception):
    """A CPU's inputs 0 IRQ and 1 FIQ."""

    sees_outputs = True

    def outputs(self, word: int) -> bytes:
        """Its own two of them."""
        own = word >> _OUTPUTS * self.device.vcpu
        return self.change(0, own & 1) + self.change(1, own >> 1 & 1)


class CpuOutputs(Interception):
    """The timers of a CPU: those of the domain, or of the emulator that drives them."""

    events = 1 << EventKind.LINE

    def event(self, event: Event) -> bytes:
        """A timer's line has changed."""
        if event.vcpu != self.device.vcpu or event.intid not in TIMERS:
            return b""
        return self.change(TIMERS[event.intid], event.value)


class GicInputs(Interception):
    """All lines into the GIC, whoever drives them."""

    events = 1 << EventKind.LINE

    def __init__(self, device: Device, wiring: Wiring) -> None:
        super().__init__(device)
        self._wiring = wiring

    def driven(self, line: int, level: int) -> bytes:
        """Told by the level as given, of which there are more than two."""
        return self.change(line, level)

    def event(self, event: Event) -> bytes:
        """Another client, or a device of the domain, has driven a line.

        The domain has no event for the fall of an edge-triggered one: each of its edges is a raise.
        """
        line = self._wiring.input_of(event.intid, event.vcpu)
        self._levels[line] = event.value
        return notice(line, event.value)


def intercept(device: Device, wiring: Wiring, *, outputs: bool) -> Interception:
    """What `irq_intercept_out` (`outputs`) or `irq_intercept_in` of `device` observes."""
    if device.kind is Kind.CPU:
        return CpuOutputs(device) if outputs else CpuInputs(device)
    return Interception(device) if outputs else GicInputs(device, wiring)
