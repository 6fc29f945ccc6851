"""What an exception was, in words: ESR_EL1 and the registers beside it as the CPU has left them (DDI 0487 D17.2.37)."""

from __future__ import annotations

from typing import Final, Protocol

from vgicd_machine.core.arm64 import (
    EC_DATA_ABORT,
    EC_INSTRUCTION_ABORT,
    ELR_EL1,
    ESR_EL1,
    FAR_EL1,
    ISS_FNV,
    ISS_WNR,
    SPSR_EL1,
    VBAR_EL1,
    SystemRegister,
    exception_level,
)

VECTORS: Final = 0x800
"""Bytes of a vector table."""

_GROUP: Final = 0x200  # bytes of the vectors for one kind of origin
_SLOT: Final = 0x80
_CURRENT_SP0, _CURRENT_SPX, _LOWER, _LOWER_32 = range(4)
_EL1_ON_SP0: Final = 4  # SPSR_EL1.M of EL1t
_AARCH32: Final = 1 << 4
_INTERRUPTS: Final = {1: "IRQ", 2: "FIQ", 3: "SError"}

_DATA_ABORTS: Final = frozenset({EC_DATA_ABORT, EC_DATA_ABORT + 1})
_INSTRUCTION_ABORTS: Final = frozenset({EC_INSTRUCTION_ABORT, EC_INSTRUCTION_ABORT + 1})
_PC_ALIGNMENT: Final = 0x22
_WATCHPOINTS: Final = frozenset({0x34, 0x35})
_WITH_ADDRESS: Final = _DATA_ABORTS | _INSTRUCTION_ABORTS | _WATCHPOINTS | {_PC_ALIGNMENT}
_CLASSES: Final = {
    0x00: "undefined instruction",
    0x01: "trapped WFI or WFE",
    0x07: "SIMD or floating-point instruction, which CPACR_EL1 traps,",
    0x0E: "illegal execution state",
    0x15: "SVC",
    0x18: "trapped MSR, MRS or system instruction",
    0x20: "instruction abort",
    0x21: "instruction abort",
    _PC_ALIGNMENT: "misaligned PC",
    0x24: "data abort",
    0x25: "data abort",
    0x26: "misaligned SP",
    0x2C: "floating-point exception",
    0x30: "breakpoint",
    0x31: "breakpoint",
    0x32: "software step",
    0x33: "software step",
    0x34: "watchpoint",
    0x35: "watchpoint",
    0x3C: "BRK",
}


class Registers(Protocol):
    """Whoever has a CPU's system registers."""

    def system(self, register: SystemRegister) -> int:
        """Its value."""


def taken(cpu: Registers, vector: int) -> str | None:
    """The exception that has brought the PC to `vector`, as "data abort (read) at 0x40080000 (ESR ..., FAR ...)".

    None if no exception can have: `vector` is none, or not that for where the last one came from.  The address is
    ELR_EL1: of the instruction, or behind it for an SVC.  To be asked before the vector's first instruction.
    """
    offset = vector - cpu.system(VBAR_EL1)
    origin = cpu.system(SPSR_EL1)
    if offset not in range(0, VECTORS, _SLOT) or offset // _GROUP != _group(origin):
        return None
    where = f"at {cpu.system(ELR_EL1):#x}"
    if (interrupt := _INTERRUPTS.get(offset % _GROUP // _SLOT)) is not None:
        return f"{interrupt} {where}"
    syndrome = cpu.system(ESR_EL1)
    number = syndrome >> 26 & 0x3F
    facts = [f"ESR {syndrome:#010x}"]
    if number in _WITH_ADDRESS and not (syndrome & ISS_FNV and number != _PC_ALIGNMENT):
        facts.append(f"FAR {cpu.system(FAR_EL1):#x}")
    what = _CLASSES.get(number, f"exception of class {number:#x}")
    if number in _DATA_ABORTS:
        what += " (write)" if syndrome & ISS_WNR else " (read)"
    return f"{what} {where} ({', '.join(facts)})"


def _group(origin: int) -> int:
    """Which quarter of the table serves an exception from where SPSR_EL1 says."""
    if exception_level(origin):
        return _CURRENT_SP0 if origin & 0xF == _EL1_ON_SP0 else _CURRENT_SPX
    return _LOWER_32 if origin & _AARCH32 else _LOWER
