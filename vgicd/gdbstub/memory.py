"""Memory: what gdb reads and writes at an address.

A read never has a side effect, but in a live window, where it is the guest's own.  It is assembled of DEBUG reads, each
as wide as its register takes; places without a register read as zero, as the guest would see them.  A write is the
guest's own access as the selected vCPU, and to GICH, where no guest reaches, the hypervisor's.  What a register would
not take is refused before anything is written, so that gdb causes no guest fault.

An aligned access of 1, 2, 4 or 8 bytes is exactly one access of that width; any other write is made of the widest
aligned accesses that the registers take.  Fake code reads as instructions that do nothing, and a vCPU's fake stack as
the return addresses of its active interrupts; neither can be written.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from vgicd.domain import operations as op
from vgicd.domain.address_map import ALIAS_SPAN, PAGE
from vgicd.domain.domain import Domain
from vgicd.domain.operations import Space
from vgicd.export.places import Word
from vgicd.export.svd import access_of
from vgicd.gdbstub.arch import Arch
from vgicd.gdbstub.layout import AddressSpace, Window
from vgicd.gdbstub.lifecycle import INTO_FRAME, OTHER_END, STEP
from vgicd.gdbstub.nesting import active_interrupts
from vgicd.gdbstub.target import Refused, Target
from vgicd.hw.gich import GICH
from vgicd.hw.gicv import GICC
from vgicd.registers import Frame, Register

_SIZES: Final = (8, 4, 2, 1)
_GICD: Final = int(Space.GICD)
_GICC: Final = int(Space.GICC)
_GICH: Final = int(Space.GICH)
_DEVICE: Final = int(Space.DEVICE)
_LRS: Final = GICH["GICH_LR"]


class Access(NamedTuple):
    """One access that a register takes."""

    space: int
    offset: int
    size: int
    value: int


def read(target: Target, vcpu: int, address: int, length: int) -> bytes:
    """`length` bytes from `address` on, as `vcpu` sees them; fewer where what follows is nothing of ours.

    In a live window this is a GUEST read, of exactly one register.  Raises Refused when nothing of ours is at
    `address`, for a live read that the register does not take or the domain refuses, and for a single register whose
    read would stop Xen (variant xen, D2); within a longer read that is zero.
    """
    window = target.layout.find(address)
    if window is not None and address + length <= window.base + window.size:
        return _read_window(target, window, vcpu, address, length)
    if length == 0:
        return b""
    data = bytearray()
    while len(data) < length:
        at, rest = address + len(data), length - len(data)
        window = target.layout.find(at)
        if window is not None and window.live and data:
            break  # a dump does not slip into where reads have side effects
        if window is not None:
            data += _read_window(target, window, vcpu, at, min(rest, window.base + window.size - at))
            continue
        part = _read_fake(target, at, rest)
        if not part:
            break
        data += part
    if not data:
        raise _nothing_at(address)
    return bytes(data)


def write(target: Target, vcpu: int, address: int, data: bytes) -> None:
    """Write `data` at `address` as `vcpu`: as the guest, and to GICH as the hypervisor.

    Raises Refused, with nothing changed, when a register does not take the access, when nothing of ours or fake memory
    is at `address`, and when the domain refuses it.  Should it refuse a later access of several, which none of these
    checks foresees, the sentence says how many were carried out.
    """
    if not data:
        return
    window = target.layout.find(address)
    if window is None:
        if _is_fake(target.layout, address):
            raise Refused("Fake code and stacks cannot be written: they show where interrupts are in their lives.")
        raise _nothing_at(address)
    if address + len(data) > window.base + window.size:
        raise Refused(f"This write leaves {window.name}, which ends at {window.base + window.size:#x}: write less.")
    accesses = list(_accesses(target.domain, window, address, data))
    owner = vcpu if window.vcpu is None else window.vcpu
    for done, access in enumerate(accesses):
        try:
            apply_write(target, owner, access)
        except Refused as refused:
            if not done:
                raise
            raise Refused(f"{refused.text} {done} of {len(accesses)} accesses had been carried out before.") from None


def apply_write(target: Target, vcpu: int, access: Access) -> None:
    """Carry out an access that `check_write` lets pass.  Raises Refused."""
    space, offset, size, value = access
    if space == _GICH:
        target.apply(op.Gich(vcpu, offset, value))
    else:
        target.apply(op.Write(vcpu, space, offset, size, value))


def check_write(domain: Domain, space: int, offset: int, size: int) -> None:
    """Raises Refused with the reason if a write of `size` aligned bytes at `offset` of `space` could have no effect."""
    frame, base = _frame_at(domain, space, offset)
    row = _check(domain, frame, offset - base, size)
    if access_of(Word(row, offset - base, offset - base)) == "RO":
        hint = f" Reading {_live_name(frame, row)} acknowledges." if row.read_effect and frame is GICC else ""
        raise Refused(f"{frame.register_name(offset - base)} is read-only.{hint}")
    if row is _LRS and (index := (offset - row.offset) // 4) >= domain.vgic.options.nr_lrs:
        raise Refused(f"List register {index} does not exist: a vCPU has {domain.vgic.options.nr_lrs}, from 0.")


def return_slot(arch: Arch) -> int:
    """Where in a frame on the fake stack the return address is: in its last word, next to the frame it returns to."""
    return arch.slot - arch.word


def stack_pointer(target: Target, vcpu: int, pc: int) -> int:
    """The stack pointer of `vcpu` when it is at `pc`.

    A vCPU that has just entered irqN, or come back to it or to idle, is that frame itself, so its stack begins with
    the next one.
    """
    layout = target.layout
    base, size = layout.stack(vcpu)
    frames = active_interrupts(target.domain.vgic, target.vcpu(vcpu))
    own = 0 <= pc - layout.slot(frames[0].intid) < STEP if frames else pc == layout.idle + INTO_FRAME
    return base + size - (len(frames) + 1 - own) * target.arch.slot


def place_name(target: Target, address: int) -> str:
    """`address`, and what is there if it is a register: `GICC_IAR (0x801000c)`, `gicc2.PMR (0x200000801000c)`."""
    window = target.layout.find(address)
    offset = None if window is None else _offset(target.domain, window, address)
    if window is None or offset is None:
        return f"{address:#x}"
    frame, base = _frame_of(target.domain, window.space, offset)
    if frame is None or frame.row_at(offset - base) is None:
        return f"{window.name}+{address - window.base:#x} ({address:#x})"
    name = frame.register_name(offset - base)
    if window.live or window.vcpu is not None:
        name = f"{window.name}.{name.removeprefix(frame.name + '_')}"
    return f"{name} ({address:#x})"


# --- windows ----------------------------------------------------------------------------------------------------------


def _read_window(target: Target, window: Window, vcpu: int, address: int, length: int) -> bytes:
    owner = vcpu if window.vcpu is None else window.vcpu
    exact = length in _SIZES and not address & (length - 1)
    if window.live:
        if not exact:
            name = window.name.removeprefix("live_")
            raise Refused(
                f"In {window.name} a read is the guest's own, of one aligned register of 1, 2, 4 or 8 bytes: "
                f"read a single register, or all without side effects in {name}."
            )
        return _read_live(target, window, owner, address, length)
    domain = target.domain
    if exact and (found := _register_at(domain, window, address, length)) is not None:
        row, offset = found
        if row.bits or not offset & 3:  # a device answers alike at all bytes of a word
            return target.peek(owner, window.space, offset, length).to_bytes(length, "little")
    first, end = address & ~3, address + length
    data = bytearray(-(-(end - first) // 4) * 4)
    for at in range(first, end, 4):
        found = _register_at(domain, window, at, 4)
        if found is None:
            continue
        try:
            word = target.peek(owner, window.space, found[1], 4)
        except Refused:
            if end <= first + 4:
                raise
            continue  # one register that variant xen dies of must not hide all others
        data[at - first : at - first + 4] = word.to_bytes(4, "little")
    return bytes(data[address - first : end - first])


def _register_at(domain: Domain, window: Window, address: int, size: int) -> tuple[Register, int] | None:
    """The row that takes a read of `size` bytes at `address`, and the offset in its space; None if none does."""
    offset = _offset(domain, window, address)
    if offset is None:
        return None
    frame, base = _frame_of(domain, window.space, offset)
    if frame is None or frame.by_word[offset - base >> 2] is None:
        return None
    row = _gate(domain, frame, offset - base, size)
    return None if row is None else (row, offset)


def _read_live(target: Target, window: Window, vcpu: int, address: int, length: int) -> bytes:
    offset = _offset(target.domain, window, address)
    if offset is None:
        raise Refused(f"There is no register at {address:#x}.")
    frame, base = _frame_at(target.domain, window.space, offset)
    _check(target.domain, frame, offset - base, length)
    result = target.apply(op.Read(vcpu, window.space, offset, length))
    return int(result.value).to_bytes(length, "little")


def _offset(domain: Domain, window: Window, address: int) -> int | None:
    """The offset in the window's space that `address` reaches, as the address map decodes it; None: nothing answers."""
    offset = address - window.base + window.start
    if window.space == _GICC:
        if domain.address_map.aliased:
            return offset // ALIAS_SPAN * PAGE + offset % PAGE
        if offset >= GICC.size:
            return None
    return offset


def _accesses(domain: Domain, window: Window, address: int, data: bytes) -> Iterator[Access]:
    """The accesses that write `data`, all of them checked.  Raises Refused."""
    exact = len(data) in _SIZES and not address & (len(data) - 1)
    done = 0
    while done < len(data):
        at, rest = address + done, len(data) - done
        offset = _offset(domain, window, at)
        if offset is None:
            raise Refused(f"There is no register at {at:#x}.")
        size = rest if exact else _widest(domain, window.space, offset, rest)
        check_write(domain, window.space, offset, size)
        yield Access(window.space, offset, size, int.from_bytes(data[done : done + size], "little"))
        done += size


def _widest(domain: Domain, space: int, offset: int, rest: int) -> int:
    """The widest aligned access of at most `rest` bytes that the register at `offset` takes; if none, the widest."""
    aligned = [size for size in _SIZES if size <= rest and not offset & (size - 1)]
    frame, base = _frame_of(domain, space, offset)
    if frame is not None:
        row = frame.row_at(offset - base)
        for size in aligned:
            if row is not None and row.widths & size:
                return size
    return aligned[0]


# --- frames -----------------------------------------------------------------------------------------------------------


def _frame_of(domain: Domain, space: int, offset: int) -> tuple[Frame | None, int]:
    """The frame that answers at `offset` of `space`, and where in the space it begins."""
    if space == _GICD:
        return domain.vgic.frame, 0
    if space == _GICC:
        return GICC, 0
    if space == _GICH:
        return GICH, 0
    found = domain.devices.window(offset) if space == _DEVICE else None
    return (found.frame, found.base) if found is not None else (None, 0)


def _frame_at(domain: Domain, space: int, offset: int) -> tuple[Frame, int]:
    frame, base = _frame_of(domain, space, offset)
    if frame is None:
        raise Refused(f"No device is at {offset:#x} of the device space.")
    return frame, base


def _gate(domain: Domain, frame: Frame, offset: int, size: int) -> Register | None:
    return frame.gate(offset, size, domain.vgic.nr_irqs)


def _check(domain: Domain, frame: Frame, offset: int, size: int) -> Register:
    """The row that takes an aligned access of `size` bytes at `offset`; Refused with the reason if none does."""
    row = _gate(domain, frame, offset, size)
    if row is not None:
        return row
    row = frame.row_at(offset)
    if row is None:
        raise Refused(f"There is no register at {frame.name}+{offset:#x}.")
    name = frame.register_name(offset)
    if not row.widths & size:
        takes = " or ".join(str(width) for width in reversed(_SIZES) if row.widths & width)
        raise Refused(f"{name} takes accesses of {takes} bytes, not {size}.")
    raise Refused(f"{name} begins with INTID {row.first(offset)}, and this domain has 0 to {domain.vgic.nr_irqs - 1}.")


def _live_name(frame: Frame, row: Register) -> str:
    return f"live_{frame.name.lower()}.{row.name.removeprefix(frame.name + '_')}"


# --- fake code and stacks ---------------------------------------------------------------------------------------------


def _is_fake(layout: AddressSpace, address: int) -> bool:
    code, size = layout.code
    if code <= address < code + size or layout.irq_base <= address < layout.irq_base + layout.irq_size:
        return True
    return any(base <= address < base + size for base, size in map(layout.stack, range(layout.vcpus)))


def _read_fake(target: Target, address: int, length: int) -> bytes:
    """What is read of the fake code or stack at `address`, up to its end; nothing elsewhere."""
    layout, nop = target.layout, target.arch.nop
    for base, size in (layout.code, (layout.irq_base, layout.irq_size)):
        if base <= address < base + size:
            length = min(length, base + size - address)
            phase = (address - base) % len(nop)
            return (nop * (length // len(nop) + 2))[phase : phase + length]
    for vcpu in range(layout.vcpus):
        base, size = layout.stack(vcpu)
        if base <= address < base + size:
            end = min(address - base + length, size)
            return _stack(target, vcpu, size)[address - base : end]
    return b""


def _stack(target: Target, vcpu: int, size: int) -> bytes:
    """The fake stack: a frame for each active interrupt, the outermost at its end, and behind them one for idle.

    As on a real stack a frame stays where it is while others come and go inside it, so that gdb recognises it.  Where
    a return address points says whether its frame has a caller.
    """
    arch, layout = target.arch, target.layout
    active = active_interrupts(target.domain.vgic, target.vcpu(vcpu))
    returns = [layout.slot(irq.intid) + INTO_FRAME for irq in active[:-1]]
    returns += [layout.slot(irq.intid) + OTHER_END for irq in active[-1:]]
    returns.append(layout.idle + INTO_FRAME)
    padding = bytes(return_slot(arch))
    frames = b"".join(padding + at.to_bytes(arch.word, "little") for at in returns)
    return frames.rjust(size, b"\0")


def _nothing_at(address: int) -> Refused:
    return Refused(f"Nothing is at {address:#x}: `info mem` lists what there is.")
