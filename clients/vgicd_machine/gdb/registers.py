"""The registers of a CPU, in gdb's order: what each is called, and how it is read and written.

The general ones, in the order of gdb's features `org.gnu.gdb.aarch64.core` and `.fpu` (gdb manual, "AArch64 Features"),
and system registers that tell of interrupts, exceptions and translation, in a feature of ours.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

from vgicd_machine.board.timers import FREQUENCY
from vgicd_machine.core import arm64, engine
from vgicd_machine.core.arm64 import PHYSICAL_TIMER_CRM, VIRTUAL_TIMER_CRM, SystemRegister
from vgicd_machine.core.cpu import Cpu
from vgicd_machine.core.engine import Engine
from vgicd_machine.gdb.fields import TYPES
from vgicd_machine.gdb.refusal import Refused
from vgicd_machine.machine import Machine

CORE: Final = "org.gnu.gdb.aarch64.core"
FPU: Final = "org.gnu.gdb.aarch64.fpu"
SYSTEM: Final = "org.vgicd.machine.system"

_DAIF: Final = 0x3C0
_CURRENT_EL: Final = 0xC
_AARCH32: Final = 1 << 4


class Subject(NamedTuple):
    """A CPU that is on, with its core and its machine."""

    machine: Machine
    cpu: Cpu
    core: Engine


@dataclass(frozen=True, slots=True)
class Register:
    """`bits` wide, of gdb's `type`, in `feature`. One without `write` is read-only."""

    name: str
    bits: int
    type: str
    feature: str
    read: Callable[[Subject], int]
    write: Callable[[Subject, int], None] | None = None


def get(subject: Subject, register: Register) -> bytes:
    """Its bytes, as gdb wants them."""
    size = register.bits // 8
    return (register.read(subject) & (1 << register.bits) - 1).to_bytes(size, "little")


def put(subject: Subject, register: Register, data: bytes) -> None:
    """Raises `Refused` for what cannot be written."""
    if register.write is None:
        raise Refused(f"{register.name} is read-only.")
    if len(data) != register.bits // 8:
        raise Refused(f"{register.name} has {register.bits // 8} bytes, not {len(data)}.")
    register.write(subject, int.from_bytes(data, "little"))


# -- the kinds


def _bits(kind: str) -> int:
    return 32 if kind in TYPES else 64


def _plain(name: str, number: int, kind: str = "int", bits: int = 64, feature: str = CORE) -> Register:
    return Register(
        name, bits, kind, feature, lambda s: s.core.read(number), lambda s, value: s.core.write(number, value)
    )


def _vector(number: int) -> Register:
    return Register(
        f"v{number}", 128, "aarch64v", FPU,
        lambda s: s.core.vector(number), lambda s, value: s.core.set_vector(number, value),
    )  # fmt: skip


def _stored(name: str, place: SystemRegister, kind: str = "uint64", *, translation: bool = False) -> Register:
    """A system register that the core keeps; with `translation` it has a say in that. What is not shown stays."""
    bits = _bits(kind)

    def write(s: Subject, value: int) -> None:
        s.core.set_system(place, s.core.system(place) >> bits << bits | value)
        if translation:
            s.core.flush_tlb()

    return Register(name, bits, kind, SYSTEM, lambda s: s.core.system(place), write)


def _stack(level: int) -> Register:
    return Register(
        f"SP_EL{level}", 64, "data_ptr", SYSTEM,
        lambda s: s.core.stack(level), lambda s, value: s.core.set_stack(level, value),
    )  # fmt: skip


def _timer(name: str, crm: int, *, control: bool) -> Register:
    """CTL or CVAL; to write it is what the guest's MSR would be, the interrupt line included."""

    def read(s: Subject) -> int:
        timer = s.machine.timers.timer(s.cpu.index, crm)
        return timer.control if control else timer.compare

    def write(s: Subject, value: int) -> None:
        s.machine.timers.write(s.cpu.index, crm, 1 if control else 2, value, s.machine.now)

    kind = "timer_flags" if control else "uint64"
    return Register(name, _bits(kind), kind, SYSTEM, read, write)


def _told(name: str, kind: str, read: Callable[[Subject], int]) -> Register:
    return Register(name, _bits(kind), kind, SYSTEM, read)


def _pstate(s: Subject) -> int:
    return s.core.read(engine.PSTATE)


def _set_pstate(s: Subject, value: int) -> None:
    level, selected = value >> 2 & 3, value & 1
    if value & _AARCH32 or level > 1 or (selected and not level):
        raise Refused(f"PSTATE {value:#x} is none of this machine's: it has EL1h, EL1t and EL0t, in AArch64.")
    s.core.set_pstate(value)


def _set_daif(s: Subject, value: int) -> None:
    s.core.set_pstate(_pstate(s) & ~_DAIF | value & _DAIF)


def _isr(s: Subject) -> int:
    lines = s.cpu.lines
    return (lines & 1) << 7 | (lines >> 1 & 1) << 6


GENERAL: Final = (
    *(_plain(f"x{n}", number) for n, number in enumerate(engine.GENERAL)),
    _plain("sp", engine.SP, "data_ptr"),
    _plain("pc", engine.PC, "code_ptr"),
    Register("cpsr", 32, "cpsr_flags", CORE, _pstate, _set_pstate),
)
"""What a `g` packet has: the rest is asked for one by one."""

_SYSTEM: Final = (
    _stored("ELR_EL1", arm64.ELR_EL1, "code_ptr"),
    _stored("SPSR_EL1", arm64.SPSR_EL1, "cpsr_flags"),
    _stored("ESR_EL1", arm64.ESR_EL1, "esr_flags"),
    _stored("FAR_EL1", arm64.FAR_EL1, "data_ptr"),
    _stored("VBAR_EL1", arm64.VBAR_EL1, "code_ptr"),
    Register("DAIF", 32, "daif_flags", SYSTEM, lambda s: _pstate(s) & _DAIF, _set_daif),
    _told("CurrentEL", "uint64", lambda s: _pstate(s) & _CURRENT_EL),
    _told("ISR_EL1", "isr_flags", _isr),
    _stack(0),
    _stack(1),
    _stored("SCTLR_EL1", arm64.SCTLR_EL1, "sctlr_flags", translation=True),
    _stored("TCR_EL1", arm64.TCR_EL1, translation=True),
    _stored("TTBR0_EL1", arm64.TTBR0_EL1, translation=True),
    _stored("TTBR1_EL1", arm64.TTBR1_EL1, translation=True),
    _stored("MAIR_EL1", arm64.MAIR_EL1, translation=True),
    _stored("CPACR_EL1", arm64.CPACR_EL1),
    _stored("CONTEXTIDR_EL1", arm64.CONTEXTIDR_EL1),
    _stored("TPIDR_EL0", arm64.TPIDR_EL0, "data_ptr"),
    _stored("TPIDRRO_EL0", arm64.TPIDRRO_EL0, "data_ptr"),
    _stored("TPIDR_EL1", arm64.TPIDR_EL1, "data_ptr"),
    _stored("PAR_EL1", arm64.PAR_EL1),
    _stored("CNTKCTL_EL1", arm64.CNTKCTL_EL1),
    _told("CNTFRQ_EL0", "uint64", lambda _: FREQUENCY),
    _told("CNTVCT_EL0", "uint64", lambda s: s.machine.now),
    _timer("CNTV_CTL_EL0", VIRTUAL_TIMER_CRM, control=True),
    _timer("CNTV_CVAL_EL0", VIRTUAL_TIMER_CRM, control=False),
    _timer("CNTP_CTL_EL0", PHYSICAL_TIMER_CRM, control=True),
    _timer("CNTP_CVAL_EL0", PHYSICAL_TIMER_CRM, control=False),
    _told("MPIDR_EL1", "uint64", lambda s: 0x8000_0000 | s.cpu.index),
)

REGISTERS: Final = (
    *GENERAL,
    *(_vector(n) for n in range(32)),
    _plain("fpsr", engine.FPSR, "int", 32, FPU),
    _plain("fpcr", engine.FPCR, "int", 32, FPU),
    *_SYSTEM,
)
"""All; a register's number is its place."""

SYSTEM_REGISTERS: Final = _SYSTEM
