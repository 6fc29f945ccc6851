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
