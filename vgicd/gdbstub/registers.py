"""Registers: what gdb shows of a vCPU besides memory.

The architecture's own registers are zero but for the program counter and the stack pointer.  After them come ours: the
readable words of the CPU interface and of the virtual interface, named after their rows ($gicc_pmr, $gich_lr0), the
level of the vCPU's outputs ($irq_line) and the number of the last operation ($order).  Reading one is a peek; writing
one is the guest's write to GICC, or the hypervisor's to GICH.

A list register has one type, though its bits [19:10] mean two things (IHI 0048B 5.3.9).  It is shown as for HW = 1:
`virq`, `pirq`, `prio` (bits [7:3] of the priority), `state`, `GRP1`, `HW`.  Where HW is not shown, `pirq` is no
physical INTID: 512 in it is EOI, the request for a maintenance interrupt at EOI, and its bits [2:0] are the CPU that
sent an SGI.  `EOI` is also shown by name, which means nothing beside HW.  `p gich_lr_software[0]` reads the word so.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple

from vgicd.domain.operations import Space
from vgicd.gdbstub import memory
from vgicd.gdbstub.memory import Access
from vgicd.gdbstub.target import Refused, Target
from vgicd.hw.gich import GICH
from vgicd.hw.gicv import GICC
from vgicd.hw.list_register import HARDWARE
from vgicd.registers import Layout, Register

FIRST: Final = 200
"""Number of our first register: above those of every architecture, so that gdb asks for each with `p`."""

GICC_FEATURE: Final = "org.vgicd.gicc"
GICH_FEATURE: Final = "org.vgicd.gich"
DOMAIN_FEATURE: Final = "org.vgicd.domain"
LINE_LEVELS: Final = {0: "low", 1: "irq", 2: "fiq", 3: "both"}
"""What $irq_line says of a vCPU's vIRQ and vFIQ."""

LINE: Final = "irq_line"
ORDER: Final = "order"
_LRS: Final = GICH["GICH_LR"]


class VendorRegister(NamedTuple):
    """A register of ours: gdb's number for it, its name and width, and the feature it belongs to.

    `offset` in `space` is where its word is, and `row` what the word is; None for those that are no register of a
    frame.
    """

    number: int
    name: str
    bits: int
    feature: str
    space: int = 0
    offset: int = 0
    row: Register | None = None

    @property
    def layout(self) -> Layout | None:
        """The fields to show; None for a number, such as GICC_PMR, whose only field it is."""
        if self.row is None or self.row.fields is None:
            return None
        fields = self.row.fields.fields
        if len(fields) == 1 and fields[0].lsb == 0 and fields[0].width > 1:
            return None
        return HARDWARE if self.row is _LRS else self.row.fields


@lru_cache(maxsize=64)
def vendor_registers(nr_lrs: int) -> tuple[VendorRegister, ...]:
    """Our registers, for vCPUs of `nr_lrs` list registers, in order of their numbers.

    A register has the same number whatever `nr_lrs` is: a gdb that was told of other ones is not answered by another.
    """
    words = [
        (frame.register_name(offset).lower(), 32, feature, space, offset, row)
        for frame, feature, space in ((GICC, GICC_FEATURE, Space.GICC), (GICH, GICH_FEATURE, Space.GICH))
        for row in frame.rows
        if row.access != "WO"
        for offset in range(row.offset, row.offset + (4 * nr_lrs if row is _LRS else row.length), 4)
    ]
    found = [VendorRegister(number, *word) for number, word in enumerate(words, FIRST)]
    behind = FIRST + len(found) - nr_lrs + _LRS.length // 4  # the list registers, of which there may be more
    found.append(VendorRegister(behind, LINE, 32, DOMAIN_FEATURE))
    found.append(VendorRegister(behind + 1, ORDER, 64, DOMAIN_FEATURE))
    return tuple(found)


def registers_of(target: Target) -> tuple[VendorRegister, ...]:
    """Our registers for the domain as it is."""
    return vendor_registers(target.domain.vgic.options.nr_lrs)


def core_registers(target: Target, vcpu: int, pc: int) -> bytes:
    """The g packet: the architecture's registers of `vcpu`, which is at `pc`, in order of their numbers.

    Ours follow on request only, by `p`.
    """
    return b"".join(_core(target, vcpu, core.number, core.bits, pc) for core in target.arch.registers)


def read(target: Target, vcpu: int, number: int, pc: int) -> bytes:
    """Register `number` of `vcpu`, which is at `pc`, little-endian and as long as it is wide.

    Raises Refused for a number that no register has.
    """
    for core in target.arch.registers:
        if core.number == number:
            return _core(target, vcpu, number, core.bits, pc)
    register = _find(target, number)
    if register.row is not None:
        value = target.peek(vcpu, register.space, register.offset, 4)
    elif register.name == LINE:
        value = target.outputs_of(vcpu)
    else:
        value = target.domain.order
    return value.to_bytes(register.bits // 8, "little")


def write(target: Target, vcpu: int, number: int, data: bytes) -> None:
    """Write `data`, little-endian, to register `number` of `vcpu`: the guest's write, or the hypervisor's.

    Raises Refused for a register that cannot be written, for data of another length, and when the domain refuses.
    """
    for core in target.arch.registers:
        if core.number == number:
            raise Refused(f"${core.name} cannot be set: a vCPU executes no code here, it is shown where it stopped.")
    register = _find(target, number)
    if len(data) * 8 != register.bits:
        raise Refused(f"${register.name} has {register.bits} bits, not {len(data) * 8}.")
    if register.name == LINE:
        raise Refused("$irq_line follows from the interrupts: raise or lower one with `monitor irq INTID up|down`.")
    if register.row is None:
        raise Refused(f"${register.name} counts the operations: it cannot be set.")
    memory.check_write(target.domain, register.space, register.offset, 4)
    memory.apply_write(target, vcpu, Access(register.space, register.offset, 4, int.from_bytes(data, "little")))


def _core(target: Target, vcpu: int, number: int, bits: int, pc: int) -> bytes:
    if number == target.arch.pc:
        value = pc
    elif number == target.arch.sp:
        value = memory.stack_pointer(target, vcpu, pc)
    else:
        value = 0
    return value.to_bytes(bits // 8, "little")


def name_of(target: Target, number: int) -> str:
    """The name of register `number`. Refused if there is none."""
    core = next((core.name for core in target.arch.registers if core.number == number), None)
    return _find(target, number).name if core is None else core


def _find(target: Target, number: int) -> VendorRegister:
    for register in registers_of(target):
        if register.number == number:
            return register
    raise Refused(
        f"There is no register {number}: connect again if the domain has been reset with another configuration."
    )
