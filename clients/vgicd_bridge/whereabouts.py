"""Where a stopped guest is, as QEMU's monitor tells it, and whether it will ever get away from there."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, NamedTuple

from vgicd_bridge.errors import EmulatorLost

_PC: Final = re.compile(r"\bPC=([0-9a-f]{16})\b")
_LEVEL: Final = re.compile(r"\bPSTATE=\S+ \S+ (EL[0-3])")
_WORD: Final = re.compile(r"^[0-9a-f]+: 0x([0-9a-f]{8})", re.MULTILINE)
_VECTORS: Final = 0x80  # bytes from one vector to the next (DDI 0487 D1.10.2)


class Place(NamedTuple):
    """The PC, the exception level such as "EL1", and the instruction's word there; None where no memory is."""

    pc: int
    level: str
    word: int | None

    @property
    def endless(self) -> bool:
        """Whether the PC is at a vector that faults itself: permanently undefined (DDI 0487 C4.1), or not there."""
        return not self.pc % _VECTORS and self.level != "EL0" and (self.word is None or not self.word >> 16)

    def __str__(self) -> str:
        text = f"at PC {self.pc:#x}, {self.level}"
        if self.endless:
            text += ", in an exception loop: the vector there is no instruction (was VBAR_EL1 set?)"
        return text


def place(monitor: Callable[[str], str]) -> Place:
    """Where the CPU is; `monitor` carries out a line of QEMU's monitor. Raises `EmulatorLost` for an odd answer."""
    registers = monitor("info registers")
    pc, level = _PC.search(registers), _LEVEL.search(registers)
    if pc is None or level is None:
        raise EmulatorLost(f"QEMU's monitor does not tell the PC, but {registers[:80]!r}")
    word = _WORD.search(monitor(f"x /1xw 0x{pc[1]}"))
    return Place(int(pc[1], 16), level[1], int(word[1], 16) if word else None)
