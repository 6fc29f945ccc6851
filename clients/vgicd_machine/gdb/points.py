"""Breakpoints and watchpoints, as gdb inserts and removes them."""

from __future__ import annotations

from typing import Final

from vgicd_machine.core.cpu import Cpu
from vgicd_machine.core.traps import Trap, Watch
from vgicd_machine.gdb.memory import View
from vgicd_machine.gdb.refusal import Refused

SOFTWARE, HARDWARE, WRITES, READS, ACCESSES = range(5)
_REASONS: Final = {WRITES: "watch", READS: "rwatch", ACCESSES: "awatch"}

_LARGEST: Final = 4096  # bytes of a watchpoint

Key = tuple[int, int, int]
"""What Z and z name: the kind, the address and the length."""


class Points:
    """What is set. Breakpoints are at virtual addresses, watchpoints where `view` says that those are when set."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._breaks: dict[int, set[int]] = {}  # address -> the kinds that are set there
        self._watches: dict[Key, list[Watch]] = {}

    def insert(self, cpu: Cpu, key: Key) -> None:
        """Raises `Refused`, with nothing set."""
        kind, address, size = key
        if kind in _REASONS:
            if not 0 < size <= _LARGEST:
                raise Refused(f"A watchpoint has 1 to {_LARGEST} bytes, not {size}.")
            reads, writes = kind != WRITES, kind != READS
            self._watches[key] = self._view.watches(cpu, address, size, reads=reads, writes=writes)
        elif kind in (SOFTWARE, HARDWARE):
            if address % 4:
                raise Refused(f"No instruction of AArch64 is at {address:#x}.")
            self._breaks.setdefault(address, set()).add(kind)
        else:
            raise Refused(f"There are no breakpoints of kind {kind}.")

    def remove(self, key: Key) -> None:
        """What is not set need not be."""
        kind, address, _ = key
        self._watches.pop(key, None)
        kinds = self._breaks.get(address, set())
        kinds.discard(kind)
        if not kinds:
            self._breaks.pop(address, None)

    @property
    def breakpoints(self) -> frozenset[int]:
        return frozenset(self._breaks)

    @property
    def watches(self) -> frozenset[Watch]:
        return frozenset(watch for watches in self._watches.values() for watch in watches)

    def reason(self, trap: Trap, address: int | None = None) -> str:
        """The stop reply's part for `trap`; a breakpoint's is at `address`."""
        if trap.watch is None:
            return "hwbreak:;" if HARDWARE in self._breaks.get(address or 0, ()) else "swbreak:;"
        for (kind, start, _), watches in self._watches.items():
            if trap.watch in watches:
                return f"{_REASONS[kind]}:{start:x};"
        return ""
