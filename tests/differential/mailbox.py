"""Case c: QEMU's GICv2 on four CPUs, through the guest of mailbox.S.

qtest cannot access the GIC of a machine with several CPUs, but it can write RAM: a script of accesses goes into RAM in
one piece, each executed by the CPU it names, and the values and every CPU's interrupt lines after each come back.
"""

from __future__ import annotations

import struct
import subprocess
import time
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

from tests.differential.qemu import Qemu
from tests.differential.qtest import QtestError
from tests.tools import require_tool

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

T = TypeVar("T")

ASSEMBLER: Final = "aarch64-linux-gnu-as"
OBJCOPY: Final = "aarch64-linux-gnu-objcopy"
PACKAGE: Final = "binutils-aarch64-linux-gnu"

LOAD: Final = 0x40200000
CONTROL: Final = 0x40300000
SAMPLED: Final = CONTROL + 0x40
SCRIPT: Final = 0x40310000
ENTRIES: Final = 256
ENTRY: Final = struct.Struct("<IIQQ8B")
TIMEOUT: Final = 20.0
ISR_IRQ: Final = 1 << 7
ISR_FIQ: Final = 1 << 6


class Access(NamedTuple):
    """One access by `cpu`: `size` 4 or 1; 0 for none (the lines are sampled all the same)."""

    cpu: int
    size: int = 0
    address: int = 0
    value: int | None = None  # None reads

    def entry(self) -> bytes:
        kind = {0: 0, 4: 1, 1: 3}[self.size] + (self.value is not None and self.size != 0)
        return ENTRY.pack(self.cpu, kind, self.address, self.value or 0, *(0,) * 8)


class Sample(NamedTuple):
    """What an access read, and the output levels after it: bit 2c the IRQ, bit 2c+1 the FIQ of CPU c."""

    value: int
    outputs: int


def assemble(directory: Path, source: Path) -> Path:
    """The guest as a flat image, to be loaded at `LOAD`. Skips the test, or under CI fails it, without binutils."""
    for tool in (ASSEMBLER, OBJCOPY):
        require_tool(tool, PACKAGE)
    linked, image = directory / "mailbox.o", directory / "mailbox.bin"
    subprocess.run([ASSEMBLER, "-o", linked, source], check=True, timeout=30)
    subprocess.run([OBJCOPY, "-O", "binary", "-j", ".text", linked, image], check=True, timeout=30)
    return image


class Mailbox:
    """A running machine with `cpus` CPUs that executes scripts."""

    def __init__(self, machine: Qemu, cpus: int) -> None:
        self._machine = machine
        self._cpus = cpus
        self._taken = 0
        machine.qtest.write_memory(CONTROL, struct.pack("<III", 0, 0, cpus))
        machine.command("cont")

    @staticmethod
    def machine(image: Path, cpus: int) -> Qemu:
        """A stopped machine with the guest in its RAM."""
        loaders = (f"loader,file={image},addr={LOAD:#x},force-raw=on", f"loader,addr={LOAD:#x},cpu-num=0")
        return Qemu(cpus=cpus, arguments=[part for loader in loaders for part in ("-device", loader)])

    def run(self, accesses: Sequence[Access]) -> list[Sample]:
        """Execute `accesses` (at most `ENTRIES`) in order.

        Raises QtestError when the guest does not finish in time.
        """
        if len(accesses) > ENTRIES:
            raise ValueError(f"a script has at most {ENTRIES} entries, not {len(accesses)}")
        if not accesses:
            return []
        qtest = self._machine.qtest
        first, self._taken = self._taken, self._taken + len(accesses)
        for start, part in _wrapped(first, [access.entry() for access in accesses]):
            qtest.write_memory(SCRIPT + start * ENTRY.size, b"".join(part))
        qtest.write_memory(CONTROL, struct.pack("<I", self._taken & 0xFFFFFFFF))
        self._wait()
        data = b"".join(
            qtest.read_memory(SCRIPT + start * ENTRY.size, len(part) * ENTRY.size)
            for start, part in _wrapped(first, accesses)
        )
        return [self._sample(fields) for fields in ENTRY.iter_unpack(data)]

    def _sample(self, fields: tuple[int, ...]) -> Sample:
        _, _, _, value, *levels = fields
        outputs = 0
        for cpu, isr in enumerate(levels[: self._cpus]):
            outputs |= (bool(isr & ISR_IRQ) | bool(isr & ISR_FIQ) << 1) << 2 * cpu
        return Sample(value & 0xFFFFFFFF, outputs)

    def _wait(self) -> None:
        deadline = time.monotonic() + TIMEOUT
        done = struct.pack("<I", self._taken & 0xFFFFFFFF) * self._cpus
        while self._machine.qtest.read_memory(SAMPLED, 4 * self._cpus) != done:
            if time.monotonic() > deadline:
                raise QtestError(f"the mailbox guest has not finished {self._taken} entries within {TIMEOUT} s")


def _wrapped(first: int, items: Sequence[T]) -> list[tuple[int, Sequence[T]]]:
    """Consecutive `items` from entry number `first` as (index, items) without a wrap."""
    index = first % ENTRIES
    room = ENTRIES - index
    parts = [(index, items[:room]), (0, items[room:])]
    return [(start, part) for start, part in parts if part]
