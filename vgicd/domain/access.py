"""Register accesses: from (space, address, size, plane) to a row's handler.

GUEST accesses have the architecture's side effects and come from a vCPU: to the distributor it traps out of the
guest, to its CPU interface it acts on the list registers directly.  DEBUG reads have none, and answer what the GUEST
read would answer now.  RESTORE writes set state.  A refused guest access is a guest fault: read zero and write
ignored, or an abort, and counted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vgicd.domain.errors import Code, RequestError
from vgicd.domain.operations import Plane, Read, Space, Write
from vgicd.hw import list_register as lr
from vgicd.hw.events import EventKind
from vgicd.hw.gich import GICH
from vgicd.hw.gicv import EOI_MODE, FIRST_SPECIAL, GICC
from vgicd.registers import Frame, Register
from vgicd.vgic.distributor import restore_iidr, revision_of
from vgicd.vgic.errors import RestoreError
from vgicd.vgic.state import MAX_VCPUS

if TYPE_CHECKING:
    from vgicd.domain.domain import Domain
    from vgicd.vgic.vcpu import Vcpu

_GUEST: Final = int(Plane.GUEST)
_DEBUG: Final = int(Plane.DEBUG)
_RESTORE: Final = int(Plane.RESTORE)
_PHYSICAL: Final = int(Space.PHYSICAL)
_GICD: Final = int(Space.GICD)
_GICC: Final = int(Space.GICC)
_GICH: Final = int(Space.GICH)
_DEVICE: Final = int(Space.DEVICE)
_IAR_ROW: Final = GICC["GICC_IAR"]
_IAR: Final = _IAR_ROW.offset
_AIAR: Final = GICC["GICC_AIAR"].offset
_CTLR: Final = GICC["GICC_CTLR"].offset
_EOIR: Final = GICC["GICC_EOIR"].offset
_AEOIR: Final = GICC["GICC_AEOIR"].offset
_DIR: Final = GICC["GICC_DIR"].offset
_LRS: Final = GICH["GICH_LR"]
_SIZES: Final = 1 | 2 | 4 | 8
_SPACE_NAMES: Final = ("physical", "GICD", "GICC", "GICH", "DEVICE")


class GuestFault(Exception):
    """The guest takes an abort.  Nothing has changed."""


class RegisterAccess:
    """The register file of one domain."""

    def __init__(self, domain: Domain) -> None:
        self.domain = domain
        self.vgic = domain.vgic
        self.switch = domain.switch
        self.frame = domain.vgic.frame
        self.nr_irqs = domain.vgic.nr_irqs
        self.aborts = domain.aborts
        self.changes = False  # whether the access under way changes state, so takes an order number

    # --- reads ----------------------------------------------------------------------------------------------------

    def read(self, op: Read) -> int:
        """The value read.

        Raises GuestFault for an abort, and RequestError for what no bus could carry.
        """
        vcpu_id, space, address, size, plane = op
        self.changes = plane == _GUEST
        try:
            vcpu = self.vgic.vcpus[vcpu_id if vcpu_id >= 0 else MAX_VCPUS]
        except IndexError:
            raise self._no_vcpu(vcpu_id) from None
        if space == _GICD and plane == _GUEST and size == 4 and 0 <= address < 0x1000:
            return self._read_gicd(vcpu, address, size)
        if space == _GICC and plane == _GUEST and size == 4 and 0 <= address < 0x2000:
            return self._read_gicc(vcpu, address, size)
        self._check_request(space, address, size)
        if space == _PHYSICAL:
            found = self.domain.address_map.decode(address, guest=plane == _GUEST)
            if found is None:
                return self._unmapped_read(vcpu, address, size)
            space, address = found
        if plane != _GUEST:
            return self._peek(vcpu, space, address, size)
        if space == _GICD:
            return self._read_gicd(vcpu, address, size)
        if space == _GICC:
            return self._read_gicc(vcpu, address, size)
        if space == _DEVICE:
            return self._read_device(vcpu, address, size)
        raise RequestError(Code.BAD_VALUE, "plane", "no guest reaches GICH: read it on the DEBUG plane, or use LR_GET")

    def _read_gicd(self, vcpu: Vcpu, offset: int, size: int) -> int:
        self._require_trap(vcpu)
        row = self.frame.gate(offset, size, self.nr_irqs)
        if self.vgic.watched:
            self._note_access(_GICD, vcpu, offset, size, 0)
        if row is None:
            if not self.domain.explicit:
                self.switch.exit_for_read(vcpu, live=False)
            return self._refuse(_GICD, self.frame, vcpu, offset, size)
        if self.domain.explicit:
            reader = row.read
        else:
            self.switch.exit_for_read(vcpu, row.live)
            reader = row.peek if row.live else row.read
        value: int
        if row.bits:
            first = (offset - row.offset) * 8 // row.bits
            value = reader(self.vgic, vcpu, self.vgic.range_of(vcpu, first, size * 8 // row.bits))
        else:
            value = reader(self.vgic, vcpu)
        return value

    def _read_gicc(self, vcpu: Vcpu, offset: int, size: int) -> int:
        if not vcpu.inside:
            raise self._not_inside(vcpu)
        if self.vgic.watched:
            self._note_access(_GICC, vcpu, offset, size, 0)
        if offset == _IAR and size == 4:
            return self._acknowledge(vcpu, _IAR_ROW)
        row = GICC.gate(offset, size)
        if row is None:
            return self._refuse(_GICC, GICC, vcpu, offset, size)
        if offset == _AIAR:
            return self._acknowledge(vcpu, row)
        value: int = row.read(vcpu.gich)
        return value

    def _acknowledge(self, vcpu: Vcpu, row: Register) -> int:
        gich = vcpu.gich
        apr = gich.apr
        value: int = row.read(gich)
        if gich.apr != apr:
            vcpu.dirty = True
            self.switch.sense(vcpu)
        return value

    def _peek(self, vcpu: Vcpu, space: int, offset: int, size: int) -> int:
        if space == _GICD:
            row = self.frame.gate(offset, size, self.nr_irqs)
            if row is None:
                return self._faulting_peek()
            if row.bits:
                irqs = self.vgic.range_of(vcpu, row.first(offset), size * 8 // row.bits)
                return int(row.peek(self.vgic, vcpu, irqs))
            return int(row.peek(self.vgic, vcpu))
        if space == _GICC:
            row = GICC.gate(offset, size)
            return int(row.peek(vcpu.gich)) if row is not None else self._faulting_peek(self.domain.strict_gicc)
        if space == _GICH:
            row = GICH.gate(offset, size)
            return int(row.peek(vcpu.gich, offset)) if row is not None else 0
        window = self.domain.devices.window(offset)
        if window is None:
            raise self._no_device(offset)
        row = window.frame.gate(offset - window.base, size)
        if row is None:
            return self._faulting_peek()
        arguments = (vcpu.id, offset - window.base) if window.banked else ()
        return int(row.peek(window.device, *arguments)) & (1 << 8 * size) - 1

    def _faulting_peek(self, aborts: bool | None = None) -> int:
        """What a refused guest read would show, uncounted."""
        if self.aborts if aborts is None else aborts:
            raise GuestFault
        return 0

    def _read_device(self, vcpu: Vcpu, offset: int, size: int) -> int:
        window = self.domain.devices.window(offset)
        if window is None:
            raise self._no_device(offset)
        self._require_trap(vcpu)
        row = window.frame.gate(offset - window.base, size)
        if self.vgic.watched:
            self._note_access(_DEVICE, vcpu, offset, size, 0)
        if not self.domain.explicit:
            self.switch.exit_for_read(vcpu, live=False)
        if row is None:
            return self._refuse(_DEVICE, window.frame, vcpu, offset, size, base=window.base)
        arguments = (vcpu.id, offset - window.base) if window.banked else ()
        return int(row.read(window.device, *arguments)) & (1 << 8 * size) - 1

    # --- writes ---------------------------------------------------------------------------------------------------

    def write(self, op: Write) -> None:
        """Raises GuestFault for an abort, and RequestError for what no bus could carry or no plane allows."""
        vcpu_id, space, address, size, value, plane = op
        self.changes = True
        try:
            vcpu = self.vgic.vcpus[vcpu_id if vcpu_id >= 0 else MAX_VCPUS]
        except IndexError:
            raise self._no_vcpu(vcpu_id) from None
        self._check_request(space, address, size)
        if plane == _DEBUG:
            raise RequestError(
                Code.READ_ONLY, "plane", "the DEBUG plane is for reads: write as the guest, or on the RESTORE plane"
            )
        if space == _PHYSICAL:
            found = self.domain.address_map.decode(address, guest=plane == _GUEST)
            if found is None:
                self._unmapped_write(vcpu, address, size, value)
                return
            space, address = found
        value &= (1 << 8 * size) - 1
        if plane == _RESTORE:
            self._restore(vcpu, space, address, size, value)
        elif space == _GICD:
            self.write_gicd(vcpu, address, size, value)
        elif space == _GICC:
            self.write_gicc(vcpu, address, size, value)
        elif space == _DEVICE:
            self._write_device(vcpu, address, size, value)
        else:
            raise RequestError(
                Code.BAD_VALUE, "plane", "no guest reaches GICH: write it with the GICH operation in explicit mode"
            )

    def write_gicd(self, vcpu: Vcpu, offset: int, size: int, value: int) -> None:
        """A guest's write of `value`, cut to `size` bytes, at distributor `offset`."""
        self._require_trap(vcpu)
        vgic = self.vgic
        row = self.frame.gate(offset, size, self.nr_irqs)
        if vgic.watched:
            self._note_access(_GICD, vcpu, offset, size, value, write=True)
        if not self.domain.explicit:
            self.switch.exit_for_write(vcpu, row is not None and row.folds)
        if row is None:
            self._refuse(_GICD, self.frame, vcpu, offset, size, value, write=True)
        elif row.bits:
            first = (offset - row.offset) * 8 // row.bits
            row.write(vgic, vcpu, vgic.range_of(vcpu, first, size * 8 // row.bits), value)
        else:
            row.write(vgic, vcpu, value)

    def write_gicc(self, vcpu: Vcpu, offset: int, size: int, value: int) -> None:
        """A guest's write of `value`, cut to `size` bytes, at CPU interface `offset`."""
        if not vcpu.inside:
            raise self._not_inside(vcpu)
        row = GICC.gate(offset, size)
        if self.vgic.watched:
            self._note_access(_GICC, vcpu, offset, size, value, write=True)
        if row is None:
            self._refuse(_GICC, GICC, vcpu, offset, size, value, write=True)
            return
        gich = vcpu.gich
        if offset == _DIR and self.domain.traps_dir and self._dir_misses(vcpu, value):
            self._trapped_dir(vcpu, value)
            return
        if offset in (_EOIR, _AEOIR, _DIR):
            deactivations = len(self.vgic.effects)
            row.write(gich, value)
            vcpu.dirty = True
            if self.vgic.folding_all and (len(self.vgic.effects) > deactivations or self._strays(vcpu, value)):
                self.switch.leave(vcpu)  # neither asks for maintenance: a hardware LR whose latch waits, a stray
        else:
            if offset == _CTLR:
                vcpu.dirty = vcpu.dirty or bool((gich.ctlr ^ value) & 3)
            row.write(gich, value)
        self.switch.sense(vcpu)

    def _write_device(self, vcpu: Vcpu, offset: int, size: int, value: int) -> None:
        devices = self.domain.devices
        window = devices.window(offset)
        if window is None:
            raise self._no_device(offset)
        self._require_trap(vcpu)
        row = window.frame.gate(offset - window.base, size)
        if self.vgic.watched:
            self._note_access(_DEVICE, vcpu, offset, size, value, write=True)
        if not self.domain.explicit:
            self.switch.exit(vcpu)
        if row is None:
            self._refuse(_DEVICE, window.frame, vcpu, offset, size, value, write=True, base=window.base)
        elif window.banked:
            row.write(window.device, vcpu.id, offset - window.base, value)
            window.device.update(self.vgic, vcpu.id)
        else:
            row.write(window.device, value)

    def _strays(self, vcpu: Vcpu, value: int) -> bool:
        """Has an EOI left an interrupt pending here that was retargeted while it was active?"""
        irq = self.vgic.lookup(vcpu, value & 0x3FF)
        if irq is None or irq.vcpu is not vcpu or irq.target_vcpu is vcpu or irq.slot < 0:
            return False
        return vcpu.gich.lrs[irq.slot] & lr.STATE == lr.PENDING

    # --- GICC_DIR that misses the list registers --------------------------------------------------------------------

    def _dir_misses(self, vcpu: Vcpu, value: int) -> bool:
        gich = vcpu.gich
        return bool(gich.ctlr & EOI_MODE) and value & 0x3FF < FIRST_SPECIAL and gich.find_active(value) < 0

    def _trapped_dir(self, vcpu: Vcpu, value: int) -> None:
        """Deactivate what this vCPU's list registers do not hold (spec 4.8): it may be in another's, or in none.

        In explicit mode nobody is taken out for it: an active bit in another vCPU's list register is cleared there.
        """
        vgic = self.vgic
        if not self.domain.explicit:
            self.switch.exit(vcpu)
        irq = vgic.lookup(vcpu, value & 0x3FF)
        if irq is None or irq.vcpu is None:
            return
        holder = irq.vcpu
        if not self.domain.explicit:
            self.switch.exit(holder)
        elif irq.slot >= 0:
            if holder.gich.lrs[irq.slot] & lr.ACTIVE:
                holder.gich.deactivate_lr(irq.slot)
                self.switch.sense(holder)
            return
        if not irq.active or (irq.is_sgi and value >> 10 & 7 != irq.active_source):
            return
        vgic.deactivate(irq)
        vgic.reconsider(irq)

    # --- RESTORE --------------------------------------------------------------------------------------------------

    def _restore(self, vcpu: Vcpu, space: int, offset: int, size: int, value: int) -> None:
        frame = {_GICD: self.frame, _GICC: GICC, _GICH: GICH}.get(space)
        row = frame.gate(offset, size, self.nr_irqs if space == _GICD else 1024) if frame is not None else None
        if row is None or row.restore is None:
            name = frame.register_name(offset) if frame is not None else f"device offset {offset:#x}"
            raise RequestError(Code.READ_ONLY, "address", f"{name} holds no state to restore with {size} bytes")
        self._check_restore(space, row, value)
        if not self.domain.explicit:
            self.switch.exit_everybody()
        try:
            if space == _GICC:
                row.restore(vcpu.gich, value)
            elif space == _GICH:
                row.restore(vcpu.gich, offset, value)
            elif row.bits:
                count = size * 8 // row.bits
                row.restore(self.vgic, vcpu, self.vgic.range_of(vcpu, row.first(offset), count), value)
            else:
                row.restore(self.vgic, vcpu, value)
        finally:
            for other in self.vgic.vcpus:
                self.vgic.touch_all(other)
            if not self.domain.explicit:
                self.switch.enter_everybody()
            else:
                self.switch.sense(vcpu)

    def _check_restore(self, space: int, row: Register, value: int) -> None:
        """Refuse before anybody is taken out of the guest: that alone may change the state."""
        if self.domain.explicit and space == _GICD and (inside := [v.id for v in self.vgic.vcpus if v.inside]):
            text = f"vCPU {inside[0]} is inside the guest: EXIT all before the distributor is restored"
            raise RequestError(Code.BAD_STATE, "vcpu", text)  # an exit would undo what its list registers hold
        if row is _LRS:
            text = "list registers are restored with a state image, or set with LR_SET in explicit mode"
            raise RequestError(Code.BAD_VALUE, "value", text)
        if row.restore is restore_iidr:
            try:
                revision_of(value)
            except RestoreError as error:
                raise RequestError(Code.BAD_VALUE, "value", error.text) from error

    # --- decoding and refusing ------------------------------------------------------------------------------------

    def _check_request(self, space: int, address: int, size: int) -> None:
        if size not in (1, 2, 4, 8):
            raise RequestError(Code.BAD_SIZE, "size", f"an access is 1, 2, 4 or 8 bytes wide, not {size}")
        limits = (1 << 64, self.frame.size, GICC.size, GICH.size, 1 << 64)
        if not 0 <= space < len(limits):
            raise RequestError(Code.BAD_VALUE, "space", f"space is 0 to {len(limits) - 1}, not {space}")
        if not 0 <= address < limits[space]:
            raise RequestError(
                Code.BAD_ADDRESS,
                "address",
                f"{_SPACE_NAMES[space]} offsets are below {limits[space]:#x}, not {address:#x}",
            )

    def _unmapped_read(self, vcpu: Vcpu, address: int, size: int) -> int:
        if self.changes:
            self.domain.count_fault("unmapped", "read")
            self._note_fault(_PHYSICAL, vcpu, address, size, 0)
        if self.domain.config.trap_unmapped:
            raise GuestFault
        return (1 << 8 * size) - 1

    def _unmapped_write(self, vcpu: Vcpu, address: int, size: int, value: int) -> None:
        self.domain.count_fault("unmapped", "write")
        self._note_fault(_PHYSICAL, vcpu, address, size, value, write=True)
        if self.domain.config.trap_unmapped:
            raise GuestFault

    def _refuse(
        self,
        space: int,
        frame: Frame,
        vcpu: Vcpu,
        offset: int,
        size: int,
        value: int = 0,
        *,
        write: bool = False,
        base: int = 0,
    ) -> int:
        """A guest fault at `offset` of `space`, where `frame` begins at `base`: it aborts, or reads 0."""
        self._count(frame, offset - base, size)
        self._note_fault(space, vcpu, offset, size, value, write=write)
        if self.domain.strict_gicc if space == _GICC else self.aborts:
            raise GuestFault
        return 0

    def _count(self, frame: Frame, offset: int, size: int) -> None:
        row = frame.row_at(offset)
        if row is None:
            kind = "reserved"
        elif not row.widths & size:
            kind = "width"
        elif offset & (size - 1):
            kind = "alignment"
        else:
            kind = "range"
        self.domain.count_fault(kind, frame.register_name(offset))

    def _require_trap(self, vcpu: Vcpu) -> None:
        """What is not in the CPU interface traps: the vCPU is powered, and in explicit mode the client took it out."""
        if self.domain.explicit:
            if vcpu.inside:
                raise self._still_inside(vcpu)
        elif not vcpu.inside:
            raise self._not_inside(vcpu)

    def _note_access(self, space: int, vcpu: Vcpu, offset: int, size: int, value: int, *, write: bool = False) -> None:
        if self.vgic.watched >> EventKind.ACCESS & 1:
            self.domain.note_access(EventKind.ACCESS, vcpu.id, space << 28 | offset, size | write << 8, value)

    def _note_fault(self, space: int, vcpu: Vcpu, offset: int, size: int, value: int, *, write: bool = False) -> None:
        if self.vgic.watched >> EventKind.FAULT & 1:
            self.domain.note_access(EventKind.FAULT, vcpu.id, space << 28 | offset, size | write << 8, value)

    def _no_vcpu(self, vcpu_id: int) -> RequestError:
        return RequestError(
            Code.BAD_VCPU, "vcpu", f"vCPU {vcpu_id} does not exist: the domain has {len(self.vgic.vcpus)}"
        )

    def _no_device(self, offset: int) -> RequestError:
        return RequestError(
            Code.NO_DEVICE, "address", f"no device of profile {self.domain.config.profile} is at {offset:#x}"
        )

    def _still_inside(self, vcpu: Vcpu) -> RequestError:
        return RequestError(
            Code.BAD_STATE, "vcpu", f"vCPU {vcpu.id} is inside the guest: EXIT it before it accesses the distributor"
        )

    def _not_inside(self, vcpu: Vcpu) -> RequestError:
        cure = "power it on" if not vcpu.powered else "ENTER it first"
        return RequestError(Code.BAD_STATE, "vcpu", f"vCPU {vcpu.id} is outside the guest: {cure}")
