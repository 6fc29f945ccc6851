"""The automatic world switch: between operations every powered vCPU is inside the guest.

An access to the distributor takes its vCPU out; a kick takes out the kicked.  Then all that are outside enter again,
physical interrupts fire, and a vCPU with its maintenance interrupt asserted leaves and enters once more.  Leaving and
entering again is skipped where it would change nothing, which `Vcpu.dirty` tells.
"""

from __future__ import annotations

from vgicd.domain.devices.bundle import Devices
from vgicd.hw.events import EventKind
from vgicd.vgic.vcpu import Vcpu
from vgicd.vgic.vgic import Vgic


class AutomaticSwitch:
    """Who is outside, and the levels that the virtual interfaces drive.

    `outputs` is bit 2v the vIRQ and bit 2v+1 the vFIQ of vCPU v; `maintenance` is bit v.  Both are kept current by
    `sense`, which whoever changes an interface must call.
    """

    def __init__(self, vgic: Vgic, devices: Devices) -> None:
        self.vgic = vgic
        self.devices = devices
        self.outside = 0
        self.outputs = 0
        self.maintenance = 0

    def sense(self, vcpu: Vcpu) -> None:
        """Read `vcpu`'s output lines and its maintenance interrupt anew."""
        shift = 2 * vcpu.id
        gich = vcpu.gich
        level = gich.outputs() if vcpu.inside else 0
        self.outputs = self.outputs & ~(3 << shift) | level << shift
        bit = 1 << vcpu.id
        if vcpu.inside and gich.maintenance():
            self.maintenance |= bit
        else:
            self.maintenance &= ~bit

    def leave(self, vcpu: Vcpu) -> None:
        """`vcpu` leaves the guest; one that is outside already only prunes its list again."""
        self._step_out(vcpu)
        self.vgic.leave(vcpu)

    def exit(self, vcpu: Vcpu) -> None:
        """As `leave`, for those who need everything folded."""
        self._step_out(vcpu)
        self.vgic.exit(vcpu)

    def _step_out(self, vcpu: Vcpu) -> None:
        if not self.outside >> vcpu.id & 1:
            self.outside |= 1 << vcpu.id
            if self.devices.present:
                self.devices.at_exit(vcpu.id)

    def exit_for_read(self, vcpu: Vcpu, live: bool) -> None:
        """Before `vcpu` reads a distributor register; a `live` one is read through the list registers after that."""
        vgic = self.vgic
        for other in vgic.vcpus if live and vgic.folding_all else (vcpu,):
            if self.changes(other):
                self.leave(other)

    def exit_for_write(self, vcpu: Vcpu, folds: bool) -> None:
        """Before `vcpu` writes a distributor register; one that `folds` finds nothing in list registers."""
        if not folds:
            self.leave(vcpu)
            return
        self.exit(vcpu)
        if self.vgic.folding_all:
            for other in self.vgic.vcpus:
                if other is not vcpu and other.inside and (other.used_lrs or self.changes(other)):
                    self.exit(other)

    def changes(self, vcpu: Vcpu) -> bool:
        """Would leaving and entering again change anything?"""
        if not vcpu.inside:
            return False
        return vcpu.dirty or not self.vgic.options.lazy or self.devices.would_change(vcpu.id)

    def settle(self) -> None:
        """Everything that follows from an operation, until all vCPUs are inside and only new input changes them."""
        self._enter_all()
        if self.vgic.physical.irqs:
            self._fire_physical()
        if self.maintenance:
            for vcpu in self.vgic.vcpus:
                if self.maintenance >> vcpu.id & 1:
                    self._maintain(vcpu)

    def _maintain(self, vcpu: Vcpu) -> None:
        if self.vgic.watched:
            self.vgic.note(EventKind.MAINTENANCE, vcpu.id, 0, vcpu.gich.misr())
        if not self.changes(vcpu):
            return
        self.leave(vcpu)
        self._enter_all()
        if self.vgic.physical.irqs:
            self._fire_physical()

    def _enter_all(self) -> None:
        vgic = self.vgic
        while kicked := vgic.kicked:
            lowest = kicked & -kicked
            vcpu = vgic.vcpus[lowest.bit_length() - 1]
            if vcpu.inside:
                self.leave(vcpu)
            else:
                vgic.kicked ^= lowest  # powered off: it will find its interrupts when it enters
        if not self.outside:
            return
        for vcpu in vgic.vcpus:
            if self.outside >> vcpu.id & 1:
                vgic.enter(vcpu)
                self.sense(vcpu)
        self.outside = 0

    def _fire_physical(self) -> None:
        """Each physical line that is pending, enabled and not active fires once."""
        vgic = self.vgic
        fired = False
        for pirq in sorted(vgic.mapped):
            if vgic.physical.fires(pirq):
                fired |= vgic.hardware_irq(pirq, vgic.mapped[pirq].intid)
        if fired:
            self._enter_all()

    # --- taking over and handing over -----------------------------------------------------------------------------

    def enter_everybody(self) -> None:
        """Automatic mode begins: every powered vCPU enters."""
        for vcpu in self.vgic.vcpus:
            if vcpu.powered:
                vcpu.inside = True
                self.outside |= 1 << vcpu.id
        self.settle()

    def exit_everybody(self) -> None:
        """All vCPUs leave and stay outside."""
        for vcpu in self.vgic.vcpus:
            if vcpu.inside:
                self.exit(vcpu)
        while self.vgic.kicked:  # a migration may have kicked one that was out already
            kicked = self.vgic.vcpus[(self.vgic.kicked & -self.vgic.kicked).bit_length() - 1]
            self.vgic.exit(kicked)
        self.outside = 0
        for vcpu in self.vgic.vcpus:
            vcpu.inside = False
            self.sense(vcpu)
