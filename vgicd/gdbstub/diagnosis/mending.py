"""Operations as the gdb commands that carry them out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from vgicd.domain import operations as op
from vgicd.domain.domain import Domain
from vgicd.hw.gich import GICH
from vgicd.hw.gicv import GICC
from vgicd.vgic.irq import NR_PRIVATE


def commands(domain: Domain, operations: Iterable[Any], selected: int) -> Iterator[str]:
    """What to type for `operations` while the thread of vCPU `selected` is; the one of the last access stays selected.

    What only the guest or its emulator can do is a sentence in parentheses.
    """
    for operation in operations:
        if isinstance(operation, op.Read | op.Write) and operation.space != op.Space.DEVICE:
            if operation.vcpu != selected and _concerns_vcpu(domain, operation):
                selected = operation.vcpu
                yield f"thread {selected + 1}"
            yield _access(domain, operation)
        else:
            yield _command(domain, operation)


def selected_after(domain: Domain, operations: Iterable[Any], selected: int) -> int:
    """The vCPU whose thread is selected when the commands for `operations` have been typed."""
    for line in commands(domain, operations, selected):
        if line.startswith("thread "):
            selected = int(line.removeprefix("thread ")) - 1
    return selected


def _concerns_vcpu(domain: Domain, access: op.Read | op.Write) -> bool:
    """Does it matter which vCPU makes the access?"""
    if access.space != op.Space.GICD or domain.explicit or domain.config.variant != "correct":
        return True
    row = domain.vgic.frame.row_at(access.address)
    return row is None or (bool(row.bits) and row.first(access.address) < NR_PRIVATE)


def _access(domain: Domain, access: op.Read | op.Write) -> str:
    frame = domain.vgic.frame if access.space == op.Space.GICD else GICC
    name = frame.register_name(access.address)
    if isinstance(access, op.Read):
        return f"p live_{frame.name.lower()}.{name.removeprefix(frame.name + '_')}"
    row = frame.row_at(access.address)
    if row is not None and row.bits == 8:
        member = row.name.removeprefix(f"{frame.name}_")
        return f"set var {frame.name.lower()}.{member}[{row.first(access.address)}] = {access.value:#04x}"
    return f"set var {name} = {access.value:#x}"


def _command(domain: Domain, operation: Any) -> str:
    match operation:
        case op.Line():
            action = "pulse" if operation.pulse else "up" if operation.level else "down"
            vcpu = "" if operation.vcpu == op.NO_VCPU else f" {operation.vcpu}"
            return f"monitor irq {operation.intid} {action}{vcpu}"
        case op.Enter():
            return f"monitor enter {operation.vcpu}"
        case op.Exit():
            return f"monitor exit {operation.vcpu}"
        case op.VcpuPower():
            return f"monitor power {operation.vcpu} {'on' if operation.on else 'off'}"
        case op.Time():
            return f"monitor time {operation.now}"
        case op.Gich():
            name = GICH.register_name(operation.offset).removeprefix("GICH_")
            return f"set var *(unsigned int *)&gich{operation.vcpu}.{name} = {operation.value:#x}"
        case op.Write():
            window = domain.devices.window(operation.address)
            name = window.frame.register_name(operation.address - window.base) if window is not None else "its device"
            return f"(vCPU {operation.vcpu} writes {operation.value:#x} to {name})"
        case op.PhysLine():
            return f"(raise the wire of physical interrupt {operation.pirq}: operation PHYS_LINE)"
        case op.HwIrq():
            return f"(let physical interrupt {operation.pirq} fire for {operation.virq}: operation HW_IRQ)"
        case op.EventChannel():
            return f"(send vCPU {operation.vcpu} an event: operation EVENT_CHANNEL)"
        case op.Console():
            return "(type something on the guest's console: operation CONSOLE)"
    raise TypeError(f"{operation!r} mends nothing")
