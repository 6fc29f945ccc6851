"""Stand-ins for the interrupt controller, and programs of a few instructions for the machine."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

from vgicd_machine.board.board import Board
from vgicd_machine.board.memory import BASE
from vgicd_machine.errors import BusAbort
from vgicd_machine.gic.port import GicPort, Window
from vgicd_machine.machine import Machine

GICD = 0x0800_0000
VECTORS = BASE + 0x1000  # what a program finds in X0
RESULTS = BASE + 0x2000  # where it leaves what it has seen


EL1H_SYNC, EL1H_IRQ, EL1H_FIQ, EL0_SYNC = 0x200, 0x280, 0x300, 0x400
"""Offsets of vectors."""

START = """
    d518c000    msr     vbar_el1, x0
    91400414    add     x20, x0, #0x1000            // RESULTS
    d2a10015    mov     x21, #0x8000000             // GICD
"""
OFF = """
    52b08000    mov     w0, #0x84000000             // PSCI SYSTEM_OFF
    11002000    add     w0, w0, #8
    d4000002    hvc     #0
"""
# Leaves the counter x5, ELR and SPSR in RESULTS and switches off.
REPORT = """
    d5384021    mrs     x1, elr_el1
    d5384002    mrs     x2, spsr_el1
    a9000685    stp     x5, x1, [x20]
    f9000a82    str     x2, [x20, #16]
"""
ABORT_REPORT = """
    d5385206    mrs     x6, esr_el1
    d5386007    mrs     x7, far_el1
    a9019e86    stp     x6, x7, [x20, #24]
    f9001684    str     x4, [x20, #40]
"""

# One-gibibyte blocks: devices at 0, RAM at 0x40000000, nothing from 0x80000000 on.
MMU_ON = """
    91400681    add     x1, x20, #0x1000            // the table
    d28080a2    mov     x2, #0x405                  // block, attribute 1, accessed
    d2a80003    mov     x3, #0x40000000
    b2400063    orr     x3, x3, #0x1
    b2760063    orr     x3, x3, #0x400              // block, attribute 0, accessed
    a9000c22    stp     x2, x3, [x1]
    d5182001    msr     ttbr0_el1, x1
    d2801fe2    mov     x2, #0xff                   // 0 write-back memory, 1 device
    d518a202    msr     mair_el1, x2
    d2800402    mov     x2, #0x20                   // 32-bit addresses
    b2690042    orr     x2, x2, #0x800000           // none through TTBR1
    d5182042    msr     tcr_el1, x2
    d5033fdf    isb
    d5381002    mrs     x2, sctlr_el1
    b2400042    orr     x2, x2, #1
    d5181002    msr     sctlr_el1, x2
    d5033fdf    isb
"""


class FakeGic:
    """Remembers every access; a test gives registers values, lets them raise outputs, or lets them abort."""

    windows = (Window("GICD", GICD, 0x1000), Window("GICC", 0x0801_0000, 0x2000))

    def __init__(self) -> None:
        self.outputs = 0
        self.log: list[tuple[Any, ...]] = []
        self.values: dict[int, int] = {}
        self.sets_outputs: dict[int, int] = {}  # offset from GICD -> the outputs after an access there
        self.aborts: set[int] = set()
        self.line_outputs: Callable[[int, int, int | None], int | None] = lambda *_: None

    def _access(self, entry: tuple[Any, ...], offset: int) -> None:
        self.log.append(entry)
        if offset in self.aborts:
            raise BusAbort
        self.outputs = self.sets_outputs.get(offset, self.outputs)

    def read(self, cpu: int, address: int, size: int) -> int:
        offset = address - GICD
        self._access(("read", cpu, offset, size), offset)
        return self.values.get(offset, 0)

    def write(self, cpu: int, address: int, size: int, value: int) -> None:
        offset = address - GICD
        self._access(("write", cpu, offset, size, value), offset)

    def line(self, intid: int, level: int, cpu: int | None = None) -> None:
        self.log.append(("line", intid, level, cpu))
        outputs = self.line_outputs(intid, level, cpu)
        self.outputs = self.outputs if outputs is None else outputs

    def check(self) -> None:
        """Always there."""

    def wait(self, _seconds: float) -> bool:
        return False


def words(listing: str) -> bytes:
    """The code of a listing: one instruction a line, its word in hexadecimal first."""
    lines = (line.split() for line in listing.splitlines())
    return b"".join(struct.pack("<I", int(columns[0], 16)) for columns in lines if columns)


def machine_on(gic: GicPort, transmit: Callable[[int], None] = lambda _byte: None, **options: Any) -> Machine:
    """A machine with a MiB of RAM."""
    return Machine(Board(gic, transmit, ram_size=1 << 20), gic, **options)


def run(
    gic: FakeGic,
    main: str,
    *,
    vectors: dict[int, str] | None = None,
    cpus: int = 1,
    seconds: float = 10,
) -> tuple[Machine, tuple[int, ...]]:
    """Run a program (see `words`) with code at some vectors; yields the machine and 16 doublewords of `RESULTS`."""
    machine = machine_on(gic, cpus=cpus)
    machine.board.ram.write(BASE, words(main))
    for offset, code in (vectors or {}).items():
        machine.board.ram.write(VECTORS + offset, words(code))
    machine.run(BASE, VECTORS, seconds=seconds)
    return machine, struct.unpack("<16Q", machine.board.ram.read(RESULTS, 128))
