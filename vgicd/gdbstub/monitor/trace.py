"""Events in words: one line each, with the names of registers and interrupts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from vgicd.domain.domain import Domain
from vgicd.domain.events import Event, EventKind
from vgicd.domain.operations import Space
from vgicd.gdbstub import text
from vgicd.gdbstub.target import Target
from vgicd.hw.gich import GICH, MISR
from vgicd.hw.gicv import GICC, INTERRUPT
from vgicd.registers import Frame, Register
from vgicd.vgic.irq import NR_PRIVATE

_SPACE_SHIFT: Final = 28
_OFFSET: Final = (1 << _SPACE_SHIFT) - 1
_FEW: Final = 4  # interrupts named in one line; more are counted


def render(event: Event, target: Target) -> str:
    """`event` as `#1042 vcpu1 write GICD_ISENABLER1 = 0x00000400 (irq42)`: its operation's number, then what happened.

    No newline.  What a guest's read answered is not in its event, so it is not in the line.
    """
    return f"#{event.order} {_happened(event, target.domain, target.names)}"


def _happened(event: Event, domain: Domain, names: Mapping[int, str]) -> str:
    vcpu, irq = f"vcpu{event.vcpu}", text.irq_name(event.intid, names)
    mine = f" of {vcpu}" if event.intid < NR_PRIVATE else ""
    match EventKind(event.kind):
        case EventKind.OUTPUT:
            return f"outputs: {text.outputs(event.value, len(domain.vgic.vcpus))}"
        case EventKind.LINE:
            return f"{irq}{mine} line {'high' if event.value else 'low'}"
        case EventKind.PEND:
            return f"{irq}{mine} pending"
        case EventKind.QUEUE:
            return f"{irq} queued for {vcpu}"
        case EventKind.LOAD:
            return f"{irq} loaded by {vcpu}: {event.value:#010x} {text.list_register(event.value, names)}"
        case EventKind.ACK:
            return f"{text.identity(event.value, names)} ack by {vcpu}"
        case EventKind.EOI:
            return f"{text.identity(event.value, names)} eoi by {vcpu}"
        case EventKind.DEACTIVATE:
            return f"{irq}{mine} deactivated{'' if mine else f' on {vcpu}'}"
        case EventKind.UNLIST:
            return f"{irq} off the ap_list of {vcpu}"
        case EventKind.MIGRATE:
            return f"{irq} moved from {vcpu} to vcpu{event.value}"
        case EventKind.KICK:
            return f"{vcpu} kicked"
        case EventKind.MAINTENANCE:
            return f"{vcpu} maintenance interrupt: {text.flags(MISR, event.value)}"
        case EventKind.ACCESS:
            return f"{vcpu} {_access(event, domain, names)}"
        case EventKind.FAULT:
            return f"{vcpu} fault: {_access(event, domain, names)}"
        case EventKind.ENTER:
            return f"{vcpu} enters the guest"
        case EventKind.EXIT:
            return f"{vcpu} leaves the guest"
        case EventKind.RESET:
            return "the domain is reset"
        case EventKind.CONSOLE:
            return f"console {bytes([event.value & 0xFF])!r}"


# --- accesses ---------------------------------------------------------------------------------------------------


def _access(event: Event, domain: Domain, names: Mapping[int, str]) -> str:
    size, write = event.intid & 0xFF, bool(event.intid >> 8)
    frame, offset = _place(event, domain, size)
    if frame is None:
        where, said = f"{event.address:#x}, where nothing is,", ""
    else:
        where, said = frame.register_name(offset), _meaning(frame, offset, size, event.value, names, write=write)
    row = frame.row_at(offset) if frame is not None else None
    if size != 4 and not (row is not None and row.bits == 8):
        where += f" ({size} byte{'s' if size > 1 else ''})"
    elif size == 1:
        where += f"+{offset & 3}"
    if not write:
        return f"read {where}{said}"
    return f"write {where} = {event.value:#0{2 + 2 * size}x}{said}"


def _place(event: Event, domain: Domain, size: int) -> tuple[Frame | None, int]:
    """The frame of an access and the offset in it; no frame for one that reached nothing.

    A fault at a physical address has that in place of space and offset; where a frame could not fault, it is one.
    """
    space, offset = event.address >> _SPACE_SHIFT, event.address & _OFFSET
    faulted = event.kind == EventKind.FAULT
    if space == Space.DEVICE:
        window = domain.devices.window(offset)
        if window is None or (faulted and window.frame.gate(offset - window.base, size) is not None):
            return None, 0
        return window.frame, offset - window.base
    frames: dict[int, Frame] = {Space.GICD: domain.vgic.frame, Space.GICC: GICC, Space.GICH: GICH}
    frame = frames.get(space)
    if frame is None or offset >= frame.size:
        return None, 0
    if faulted and frame.gate(offset, size, domain.vgic.nr_irqs) is not None:
        return None, 0
    return frame, offset


def _meaning(frame: Frame, offset: int, size: int, value: int, names: Mapping[int, str], *, write: bool) -> str:
    """The value in words, if the register has any."""
    row = frame.row_at(offset)
    if row is None:
        return ""
    if row.bits:
        return _interrupts(row, offset, size, value if write else None, names)
    if not write or row.fields is None:
        return ""
    if row.fields is INTERRUPT:
        return f" ({text.identity(value, names)})"
    return f" ({text.flags(row.fields, value)})" if len(row.fields.fields) > 1 or value == 1 else ""


def _interrupts(row: Register, offset: int, size: int, value: int | None, names: Mapping[int, str]) -> str:
    """The interrupts that an access touches: those whose bits a write has set, or all of a byte."""
    first, count = row.first(offset), size * 8 // row.bits
    if value is None:
        return f" ({text.irq_name(first, names)})" if count == 1 else ""
    if row.effect in ("set", "clear"):
        chosen = [first + n for n in range(count) if value >> n * row.bits & (1 << row.bits) - 1]
    else:
        chosen = [first + n for n in range(count)]
    shown = " ".join(text.irq_name(intid, names) for intid in chosen[:_FEW])
    if len(chosen) > _FEW:
        shown = f"irq{chosen[0]}-irq{chosen[-1]}" if len(chosen) == count else f"{shown} and {len(chosen) - _FEW} more"
    return f" ({shown})" if shown else ""
