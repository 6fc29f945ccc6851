"""Prepared accesses: what an operation that comes again and again can be spared.

`prepare` looks at a guest's register access or line change once and answers a function that does the rest: no
decoding, no checks that would give the same answer, no record of the result.  Equal to `Domain.apply` in every value,
output, order number and state, which a property test holds it to; effects and events are not its business.

A prepared access is valid until the domain's `prepared` table is cleared: by a change of mode, configuration, power
or watchers, and by whatever else sets state from outside.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from vgicd.domain.operations import Line, Plane, Read, Space, Write
from vgicd.hw.gicv import GICC

if TYPE_CHECKING:
    from vgicd.domain.domain import Domain
    from vgicd.registers import Register
    from vgicd.vgic.vcpu import Vcpu

Prepared = Callable[[int], "int | None"]
"""Takes the operation's value (0 for a read), answers its result; None, and nothing is done, where `apply` must."""

LIMIT: Final = 1 << 14  # entries of a domain's table: some 20 MiB, several times what a guest keeps using

_GICD: Final = int(Space.GICD)
_GICC: Final = int(Space.GICC)
_IAR: Final = GICC["GICC_IAR"].offset
_AIAR: Final = GICC["GICC_AIAR"].offset


def prepare(domain: Domain, operation: Read | Write | Line) -> Prepared | None:
    """The prepared form of `operation`, which `domain.apply` has just carried out; None if it has none."""
    if domain.explicit or domain.vgic.watched or domain.devices.present or not domain.vgic.options.lazy:
        return None
    if isinstance(operation, Line):
        return _line(domain, operation)
    vcpu_id, space, address, size = operation[:4]
    if operation.plane != Plane.GUEST:
        return None
    if space == Space.PHYSICAL:
        found = domain.address_map.decode(address)
        if found is None:
            return None
        space, address = found
    vcpu = domain.vgic.vcpus[vcpu_id]
    reads = isinstance(operation, Read)
    if space == _GICC and address < GICC.size:
        row = GICC.gate(address, size)
        if row is None:
            return None
        return _read_gicc(domain, vcpu, row, address) if reads else _write_gicc(domain, vcpu, address)
    if space != _GICD:
        return None
    row = domain.vgic.frame.gate(address, size, domain.vgic.nr_irqs)
    if row is None:
        return None
    return _read_gicd(domain, vcpu, row, address, size) if reads else _write_gicd(domain, vcpu, address, size)


def _read_gicd(domain: Domain, vcpu: Vcpu, row: Register, offset: int, size: int) -> Prepared:
    vgic, switch = domain.vgic, domain.switch
    tied = vgic.physical.irqs
    arguments: tuple[Any, ...] = (vgic, vcpu)
    if row.bits:
        arguments += (vgic.range_of(vcpu, row.first(offset), size * 8 // row.bits),)
    if not row.live:
        read = row.read

        def at_once(value: int) -> int | None:
            if value:
                return None
            if vcpu.dirty or switch.maintenance or tied:
                vgic.effects.clear()
                switch.exit_for_read(vcpu, live=False)
                answer: int = read(*arguments)
                switch.settle()
                vgic.kicked = 0
            else:
                answer = read(*arguments)
            domain.order += 1
            return answer

        return at_once

    peek, vcpus = row.peek, vgic.vcpus

    def live(value: int) -> int | None:
        if value:
            return None
        for other in vcpus:
            if other.dirty:
                break
        else:
            if not switch.maintenance and not tied:
                domain.order += 1
                return peek(*arguments)  # type: ignore[no-any-return]
        vgic.effects.clear()
        switch.exit_for_read(vcpu, live=True)
        answer: int = peek(*arguments)
        switch.settle()
        vgic.kicked = 0
        domain.order += 1
        return answer

    return live


def _write_gicd(domain: Domain, vcpu: Vcpu, offset: int, size: int) -> Prepared:
    vgic, write, settle = domain.vgic, domain.access.write_gicd, domain.switch.settle
    mask = (1 << 8 * size) - 1

    def run(value: int) -> int:
        vgic.effects.clear()
        write(vcpu, offset, size, value & mask)
        settle()
        vgic.kicked = 0
        domain.order += 1
        return 0

    return run


def _read_gicc(domain: Domain, vcpu: Vcpu, row: Register, offset: int) -> Prepared:
    vgic, switch = domain.vgic, domain.switch
    gich, read, tied = vcpu.gich, row.read, vgic.physical.irqs
    acknowledges = offset in (_IAR, _AIAR)

    def run(value: int) -> int | None:
        if value:
            return None
        apr = gich.apr
        answer: int = read(gich)
        if acknowledges and gich.apr != apr:
            vcpu.dirty = True
            switch.sense(vcpu)
        if switch.maintenance or tied:
            vgic.effects.clear()
            switch.settle()
            vgic.kicked = 0
        domain.order += 1
        return answer

    return run


def _write_gicc(domain: Domain, vcpu: Vcpu, offset: int) -> Prepared:
    vgic, switch, write = domain.vgic, domain.switch, domain.access.write_gicc
    tied = vgic.physical.irqs

    def run(value: int) -> int:
        if vgic.effects:
            vgic.effects.clear()
        write(vcpu, offset, 4, value & 0xFFFFFFFF)
        if switch.outside or switch.maintenance or tied:
            switch.settle()
            vgic.kicked = 0
        domain.order += 1
        return 0

    return run


def _line(domain: Domain, line: Line) -> Prepared:
    vgic, settle, inject = domain.vgic, domain.switch.settle, domain.vgic.inject
    intid, pulse = line.intid, line.pulse
    vcpu = vgic.vcpus[line.vcpu] if intid < 32 else None

    def run(value: int) -> int | None:
        if value > 1:
            return None
        vgic.effects.clear()
        inject(vcpu, intid, bool(value))
        if pulse:
            inject(vcpu, intid, False)
        settle()
        vgic.kicked = 0
        domain.order += 1
        return 0

    return run
