"""What gdb reads and writes: memory by the addresses of a CPU, and the interrupt controller without touching it."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final, Protocol

from vgicd_machine.board.memory import Memory
from vgicd_machine.core import arm64
from vgicd_machine.core.cpu import Cpu
from vgicd_machine.core.traps import Watch
from vgicd_machine.errors import BusAbort, MachineError
from vgicd_machine.gdb.refusal import Refused
from vgicd_machine.gdb.translation import Leaf, Regime, translate
from vgicd_machine.gic.port import Window
from vgicd_machine.machine import Machine

_PAGE: Final = 0x1000  # the smallest that is mapped
_WORD: Final = 4


class Peeker(Protocol):
    """An interrupt controller that can be looked at."""

    def peek(self, cpu: int, address: int, size: int) -> int:
        """What the guest's read would answer now, without its side effects; raises as `GicPort.read`."""


class View:
    """`machine`'s memory, as `cpu` of it sees it; with `physical` set, by physical addresses instead."""

    def __init__(self, machine: Machine, peeker: Peeker | None) -> None:
        self._board = machine.board
        self._machine = machine
        self._peeker = peeker
        self._windows = tuple(machine.port.windows)
        self.physical = False

    def read(self, cpu: Cpu, address: int, size: int) -> bytes:
        """`size` bytes, or fewer when the rest cannot be read. Raises `Refused` when nothing of it can."""
        data = b""
        try:
            for place, length in self._pieces(cpu, address, size):
                data += self._read(cpu, place, length)
        except Refused:
            if not data:
                raise
        return data

    def write(self, cpu: Cpu, address: int, data: bytes) -> None:
        """All of `data`. Raises `Refused`, with nothing written."""
        places = [
            (self._memory(place, length, "write"), place, length)
            for place, length in self._pieces(cpu, address, len(data))
        ]
        at = 0
        for memory, place, length in places:
            memory.write(place, data[at : at + length])
            at += length
        if data:
            self._machine.forget_code()

    def watches(self, cpu: Cpu, address: int, size: int, *, reads: bool, writes: bool) -> list[Watch]:
        """What is to be watched for `size` bytes from `address`. Raises `Refused`."""
        found = []
        for place, length in self._pieces(cpu, address, size):
            self._memory(place, length, "watch")
            found.append(Watch(place, length, reads, writes))
        return found

    def where(self, cpu: Cpu, address: int) -> Leaf | None:
        """How `cpu` translates `address`; None if it does not. Raises `Refused` where nothing is mapped."""
        core = cpu.engine
        if core is None:
            return None
        regime = Regime(*(core.system(register) for register in _REGIME))
        return translate(regime, address, self._doubleword)

    def _pieces(self, cpu: Cpu, address: int, size: int) -> Iterator[tuple[int, int]]:
        """The physical places of virtual memory, a page at a time."""
        end = address + size
        while address < end:
            length = min(end - address, _PAGE - address % _PAGE)
            leaf = None if self.physical else self.where(cpu, address)
            yield (address if leaf is None else leaf.address), length
            address += length

    def _read(self, cpu: Cpu, address: int, size: int) -> bytes:
        window = self._window(address)
        if window is not None:
            return self._peek(cpu, address, size)
        return self._memory(address, size, "read").read(address, size)

    def _peek(self, cpu: Cpu, address: int, size: int) -> bytes:
        if self._peeker is None:
            raise Refused("This interrupt controller cannot be looked at without side effects.")
        first = address & -_WORD
        data = b""
        try:
            for at in range(first, address + size, _WORD):
                data += struct.pack("<I", self._peeker.peek(cpu.index, at, _WORD))
        except BusAbort:
            raise Refused(f"The interrupt controller has nothing at {address:#x}.") from None
        except MachineError as error:
            raise Refused(f"{error}.") from error
        return data[address - first :][:size]

    def _memory(self, address: int, size: int, what: str) -> Memory:
        for memory in self._board.memories:
            if memory.contains(address, size):
                return memory
        if self._window(address) is not None:
            raise Refused(
                f"{address:#x} is the interrupt controller's: only the guest writes there, and the daemon's own gdb "
                "(vgicd serve --gdb) does, and watches."
            )
        for window in self._board.bus.windows:
            if window.base <= address < window.base + window.size:
                raise Refused(f"{address:#x} is a register of the {window.name}: to {what} it has effects.")
        raise Refused(f"There is nothing at physical address {address:#x}.")

    def _window(self, address: int) -> Window | None:
        return next((w for w in self._windows if w.base <= address < w.base + w.size), None)

    def _doubleword(self, address: int) -> int | None:
        for memory in self._board.memories:
            if memory.contains(address, 8):
                return int.from_bytes(memory.read(address, 8), "little")
        return None


_REGIME: Final = (arm64.SCTLR_EL1, arm64.TCR_EL1, arm64.TTBR0_EL1, arm64.TTBR1_EL1)
