"""What is done to both systems, and what both are asked to answer."""

from __future__ import annotations

from enum import Enum
from typing import Final, NamedTuple

from vgicd.hw.gich import GICH
from vgicd.hw.gicv import GICC
from vgicd.vgic.distributor import GICD

FRAMES: Final = {frame.name: frame for frame in (GICD, GICC, GICH)}


class Kind(Enum):
    READ = "read"
    WRITE = "write"
    LINE = "line"


class Step(NamedTuple):
    """One access by `cpu`, or one change of an interrupt line.

    A line's `offset` is its INTID, its `value` the new level; `cpu` owns a PPI's.
    """

    kind: Kind
    frame: str = ""
    offset: int = 0
    value: int = 0
    size: int = 4
    cpu: int = 0

    @property
    def register(self) -> str:
        """`GICD_ISENABLER1`, `GICC_IAR`, and `GICD_IPRIORITYR[40]` for one byte; the empty string for a line."""
        if not self.frame:
            return ""
        frame = FRAMES[self.frame]
        row = frame.row_at(self.offset)
        if row is not None and row.bits == 8 * self.size:
            return f"{row.name}[{row.first(self.offset)}]"
        return frame.register_name(self.offset)

    def is_at(self, frame: str, first: int, last: int | None = None) -> bool:
        """Does the access touch a word of `frame` from offset `first` to (and with) `last`?"""
        return self.frame == frame and first <= self.offset & ~3 <= (first if last is None else last)

    def __str__(self) -> str:
        if self.kind is Kind.LINE:
            return f"cpu{self.cpu} line {self.offset} {'up' if self.value else 'down'}"
        width = "" if self.size == 4 or self.register.endswith("]") else f".{self.size}+{self.offset & 3}"
        value = f" {self.value:#x}" if self.kind is Kind.WRITE else ""
        return f"cpu{self.cpu} {self.kind.value} {self.register}{width}{value}"


def read(frame: str, offset: int, size: int = 4, cpu: int = 0) -> Step:
    return Step(Kind.READ, frame, offset, 0, size, cpu)


def write(frame: str, offset: int, value: int, size: int = 4, cpu: int = 0) -> Step:
    return Step(Kind.WRITE, frame, offset, value & (1 << 8 * size) - 1, size, cpu)


def line(intid: int, level: int, cpu: int = 0) -> Step:
    return Step(Kind.LINE, "", intid, level, 0, cpu)


class Answer(NamedTuple):
    """`value` of a read (else 0); `outputs`: bit 2c is the IRQ and bit 2c+1 the FIQ level of CPU c after the step.

    `maintenance`: level of the maintenance interrupt.  `deactivated`: physical INTIDs deactivated by the step, as a
    bit mask.  Both stay 0 where the case does not have them.
    """

    value: int
    outputs: int
    maintenance: int = 0
    deactivated: int = 0

    def __str__(self) -> str:
        text = f"value {self.value:#x} outputs {self.outputs:#x}"
        if self.maintenance:
            text += " maintenance"
        return text + (f" deactivated {self.deactivated:#x}" if self.deactivated else "")
