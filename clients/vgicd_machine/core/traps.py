"""Where a debugger wants a core to stop: before instructions, and at accesses to memory.

Nothing is written into the guest's memory, and a core that nobody watches is not hooked.  A stop before an instruction
is one: it has not begun.  One at an access is before it, too, because the registers are put back and it can be done
again with the same effect; only for an exclusive store, whose second attempt would fail, and for an access that then
faults, it is after it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

SPAN: Final = 16
"""Bytes of the widest access; a hook hears of those that begin within its bounds."""


class Watch(NamedTuple):
    """`size` bytes of memory from guest-physical `address`, of which reads, writes or both are to be noticed."""

    address: int
    size: int
    reads: bool
    writes: bool

    def meets(self, address: int, size: int, *, write: bool) -> bool:
        """Whether an access is one that is to be noticed."""
        wanted = self.writes if write else self.reads
        return wanted and address < self.address + self.size and self.address < address + size


class Trap(NamedTuple):
    """Why a core has stopped: at an access to `watch`; else before an instruction, or after a single one (`step`)."""

    watch: Watch | None = None
    step: bool = False


BREAK: Final = Trap()
STEP: Final = Trap(step=True)


class Traps:
    """What is wanted of one core. `hooked` is what it is hooked for: perhaps more, but then it does not stop there."""

    def __init__(self) -> None:
        self.breakpoints: frozenset[int] = frozenset()
        self.watches: frozenset[Watch] = frozenset()
        self.hooked: frozenset[int | Watch] = frozenset()

    def want(self, breakpoints: Iterable[int], watches: Iterable[Watch]) -> None:
        """Stop there, and nowhere else."""
        self.breakpoints, self.watches = frozenset(breakpoints), frozenset(watches)

    @property
    def wanted(self) -> frozenset[int | Watch]:
        return self.breakpoints | self.watches

    def is_to_be_hooked(self, *, tidy: bool) -> bool:
        """Whether the core must be hooked anew; only to be rid of hooks is a reason if `tidy`."""
        return self.hooked != self.wanted if tidy else not self.wanted <= self.hooked

    def watched(self, address: int, size: int, *, write: bool) -> Watch | None:
        """The watch that an access meets."""
        return next((watch for watch in self.watches if watch.meets(address, size, write=write)), None)


def is_exclusive(word: int) -> bool:
    """LDXR, STXR and their kin: "load/store exclusive" of DDI 0487 C4.1, with o2 = 0."""
    return word >> 24 & 0x3F == 0b001000 and not word >> 23 & 1
