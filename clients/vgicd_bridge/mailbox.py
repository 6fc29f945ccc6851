"""The page that the stub at EL2 and the bridge share: one request at a time, and the CPU's registers with it.

The stub writes the registers, then the request's number, then rings; the bridge changes what the instruction changes,
then writes the number back.  Between the two the CPU waits, and everything here belongs to the bridge.
"""

from __future__ import annotations

import mmap
import struct
from typing import Final

PAGE: Final = 0x1000
"""Offset of the page from the stub's start."""
TRAP_POINT: Final = 0x7F8
"""Offset of the instruction on which a debugger's breakpoint is the bell, from the stub's start."""

NO_INTID: Final = 0xFFFF
XZR: Final = 31

_ELR: Final = 0x0F8
_SPSR: Final = 0x100
_ESR: Final = 0x108
_FAR: Final = 0x110
_HPFAR: Final = 0x118
_VBAR_EL1: Final = 0x120
_SP_EL0: Final = 0x128
_SP_EL1: Final = 0x130
_INSTRUCTION: Final = 0x138
_REQUEST: Final = 0x140
_REPLY: Final = 0x148
_STOPS: Final = 0x158
_INTID: Final = 0x160
_INJECT: Final = 0x168
_CONTROL: Final = 0x190

_WORD: Final = struct.Struct("<Q")
_MASK: Final = (1 << 64) - 1

EL1H: Final = 0x3C5
"""PSTATE at EL1 with its own stack pointer, everything masked (DDI 0487 D1.10.1: as an exception enters it)."""
_SP_EL0_USED: Final = 4  # PSTATE.M[3:0] of EL1t
_VECTOR: Final = {0x0: 0x400, 0x4: 0x000, 0x5: 0x200}  # by M[3:0]: from EL0, EL1t, EL1h
_VECTOR_32: Final = 0x600
_AARCH32: Final = 1 << 4


class Mailbox:
    """The page at `base` of `memory`. Register values are unsigned, 64 bits."""

    def __init__(self, memory: mmap.mmap, base: int) -> None:
        self._memory = memory
        self._base = base

    def _get(self, offset: int) -> int:
        value: int = _WORD.unpack_from(self._memory, self._base + offset)[0]
        return value

    def _put(self, offset: int, *values: int) -> None:
        for index, value in enumerate(values):
            _WORD.pack_into(self._memory, self._base + offset + 8 * index, value & _MASK)

    def prepare(self, *, entry: int, stops: bool, control: tuple[int, int, int], iar: int) -> None:
        """Before the stub starts: the guest begins at `entry`, EL1, with its registers 0.

        `control` are HCR_EL2, VTCR_EL2 and VTTBR_EL2; `iar` is where QEMU has the GICC_IAR of its own GIC; with
        `stops` the bell is a debugger's breakpoint on `TRAP_POINT`, else CNTHP's output.
        """
        self._put(_ELR, entry, EL1H)
        self._put(_STOPS, stops, NO_INTID)
        self._put(_CONTROL, *control, iar)

    @property
    def pending(self) -> bool:
        """Whether a request waits for its answer."""
        return self._get(_REQUEST) != self._get(_REPLY)

    def answer(self) -> None:
        """Let the CPU go on with the registers as they are now, once it is woken."""
        self._put(_REPLY, self._get(_REQUEST))

    @property
    def intid(self) -> int | None:
        """What QEMU's own GIC signals, if that is the request; None where the guest's instruction is."""
        intid = self._get(_INTID)
        return None if intid == NO_INTID else intid & 0x3FF

    @property
    def pc(self) -> int:
        """Of the instruction that has come to the stub."""
        return self._get(_ELR)

    @property
    def syndrome(self) -> int:
        """ESR_EL2."""
        return self._get(_ESR)

    @property
    def instruction(self) -> int:
        """The instruction's word, where the syndrome does not tell what it does; 0 if it could not be read."""
        return self._get(_INSTRUCTION) & 0xFFFF_FFFF

    @property
    def virtual(self) -> int:
        """The address as the guest has it (FAR_EL2)."""
        return self._get(_FAR)

    @property
    def physical(self) -> int:
        """The address as the guest's translation has it: HPFAR_EL2 has the page, FAR_EL2 the place in it."""
        return self._get(_HPFAR) >> 4 << 12 | self._get(_FAR) & 0xFFF

    @property
    def el0(self) -> bool:
        """Whether the guest was at EL0."""
        return not self._get(_SPSR) & 0xF

    def register(self, number: int) -> int:
        """X0..X30; 31 is XZR."""
        return 0 if number == XZR else self._get(8 * number)

    def set_register(self, number: int, value: int) -> None:
        if number != XZR:
            self._put(8 * number, value)

    def base_register(self, number: int) -> int:
        """As `register`, but 31 is the stack pointer in use."""
        return self._get(self._sp) if number == XZR else self._get(8 * number)

    def set_base_register(self, number: int, value: int) -> None:
        self._put(self._sp if number == XZR else 8 * number, value)

    @property
    def _sp(self) -> int:
        return _SP_EL1 if self._get(_SPSR) & 0xF > _SP_EL0_USED else _SP_EL0

    def step_over(self) -> None:
        """The instruction has been carried out: go on behind it."""
        self._put(_ELR, self._get(_ELR) + 4)

    def abort(self, syndrome: int) -> None:
        """Have the guest take a synchronous exception at EL1 with ESR_EL1 = `syndrome`, at the instruction.

        FAR_EL1 is the faulting address (DDI 0487 D1.10.2).
        """
        state = self._get(_SPSR)
        vector = _VECTOR_32 if state & _AARCH32 else _VECTOR[state & 0xF]
        self._put(_INJECT, 1, syndrome, self._get(_FAR), self._get(_ELR), state)
        self._put(_ELR, self._get(_VBAR_EL1) + vector, EL1H)
