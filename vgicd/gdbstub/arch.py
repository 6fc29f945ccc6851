"""Architectures: what gdb must be told so that it accepts the target.

No instruction is ever executed, so any architecture would do; but a gdb accepts only those it was built for (Debian's
plain gdb: the host's own), and one that has loaded a guest's image only that image's.  The features are those that gdb
requires to be complete (gdb manual, "Standard Target Features").
"""

from __future__ import annotations

import platform
from collections.abc import Iterator
from typing import Final, NamedTuple


class ArchError(Exception):
    """An architecture that gdb cannot be shown; its text is one sentence that says what to do."""


class CoreRegister(NamedTuple):
    """A register of the architecture itself: its width in bits, its target description type and gdb's number."""

    name: str
    bits: int
    type: str
    number: int


class Arch(NamedTuple):
    """One architecture. `pc` and `sp` are register numbers; `slot` is the size of a frame on the fake stack, bytes."""

    name: str  # as in --gdb-arch
    gdb_name: str  # as in <architecture>
    features: tuple[tuple[str, tuple[CoreRegister, ...]], ...]
    word: int  # bytes of an address
    pc: int
    sp: int
    nop: bytes  # an instruction that no prologue begins with
    watch_after: bool  # gdb expects watchpoints to be reported after the access (x86), else before it
    elf_machine: int
    elf_class: int  # 32 | 64
    return_column: int  # DWARF number of the return address
    stack_column: int  # and of the stack pointer
    slot: int

    @property
    def registers(self) -> Iterator[CoreRegister]:
        """The core registers in the order of their numbers, which is that of the g packet."""
        for _, registers in self.features:
            yield from registers


def _run(names: str, bits: int, kind: str, first: int, **special: str) -> tuple[CoreRegister, ...]:
    return tuple(
        CoreRegister(name, bits, special.get(name, kind), number) for number, name in enumerate(names.split(), first)
    )


_X86_64: Final = (
    *_run("rax rbx rcx rdx rsi rdi rbp rsp", 64, "int64", 0, rbp="data_ptr", rsp="data_ptr"),
    *_run("r8 r9 r10 r11 r12 r13 r14 r15 rip", 64, "int64", 8, rip="code_ptr"),
    *_run("eflags cs ss ds es fs gs", 32, "int32", 17),
    *_run("st0 st1 st2 st3 st4 st5 st6 st7", 80, "i387_ext", 24),
    *_run("fctrl fstat ftag fiseg fioff foseg fooff fop", 32, "int", 32),
)
_AARCH64: Final = (
    *_run(" ".join(f"x{n}" for n in range(31)), 64, "int", 0),
    *_run("sp pc", 64, "data_ptr", 31, pc="code_ptr"),
    *_run("cpsr", 32, "int", 33),
)
_ARM: Final = (
    *_run(" ".join(f"r{n}" for n in range(13)), 32, "uint32", 0),
    *_run("sp lr pc", 32, "uint32", 13, sp="data_ptr", pc="code_ptr"),
    *_run("cpsr", 32, "int", 25),
)

ARCHES: Final = {
    arch.name: arch
    for arch in (
        Arch(
            name="x86-64",
            gdb_name="i386:x86-64",
            features=(("org.gnu.gdb.i386.core", _X86_64),),
            word=8,
            pc=16,
            sp=7,
            nop=b"\x90",
            watch_after=True,
            elf_machine=62,
            elf_class=64,
            return_column=16,
            stack_column=7,
            slot=8,
        ),
        Arch(
            name="aarch64",
            gdb_name="aarch64",
            features=(("org.gnu.gdb.aarch64.core", _AARCH64),),
            word=8,
            pc=32,
            sp=31,
            nop=b"\x1f\x20\x03\xd5",
            watch_after=False,
            elf_machine=183,
            elf_class=64,
            return_column=30,
            stack_column=31,
            slot=16,
        ),
        Arch(
            name="arm",
            gdb_name="arm",
            features=(("org.gnu.gdb.arm.core", _ARM),),
            word=4,
            pc=15,
            sp=13,
            nop=b"\xfe\xff\xff\xea",  # b .: gdb looks for the end of a prologue past anything that moves data
            watch_after=False,
            elf_machine=40,
            elf_class=32,
            return_column=14,
            stack_column=13,
            slot=8,
        ),
    )
}

_OF_MACHINE: Final = {"x86_64": "x86-64", "amd64": "x86-64", "aarch64": "aarch64", "arm64": "aarch64"}


def choose(name: str = "auto") -> Arch:
    """The architecture called `name`; "auto" is that of this machine, whose plain gdb knows no other.

    Raises ArchError for an unknown name, and for "auto" on a machine whose gdb nothing is known of.
    """
    known = ", ".join(ARCHES)
    if name == "auto":
        machine = platform.machine().lower()
        found = _OF_MACHINE.get(machine, "arm" if machine.startswith("arm") else "")
        if not found:
            raise ArchError(f"This machine is a {machine}: choose --gdb-arch {known}, and use gdb-multiarch.")
        return ARCHES[found]
    try:
        return ARCHES[name]
    except KeyError:
        raise ArchError(f"There is no gdb architecture {name!r}: choose auto, {known}.") from None
