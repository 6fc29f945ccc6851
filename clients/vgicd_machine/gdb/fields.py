"""The fields of registers that gdb shows by name: (name, lowest bit, highest bit), lowest first (DDI 0487 D12)."""

from __future__ import annotations

from typing import Final

Field = tuple[str, int, int]

PSTATE: Final[tuple[Field, ...]] = (
    ("SP", 0, 0), ("EL", 2, 3), ("nRW", 4, 4), ("F", 6, 6), ("I", 7, 7), ("A", 8, 8), ("D", 9, 9), ("IL", 20, 20),
    ("SS", 21, 21), ("V", 28, 28), ("C", 29, 29), ("Z", 30, 30), ("N", 31, 31),
)  # fmt: skip

TYPES: Final[dict[str, tuple[Field, ...]]] = {
    "cpsr_flags": PSTATE,
    "esr_flags": (("ISS", 0, 24), ("IL", 25, 25), ("EC", 26, 31)),
    "sctlr_flags": (
        ("M", 0, 0), ("A", 1, 1), ("C", 2, 2), ("SA", 3, 3), ("UMA", 9, 9), ("I", 12, 12), ("nTWI", 16, 16),
        ("nTWE", 18, 18), ("WXN", 19, 19), ("EE", 25, 25),
    ),
    "daif_flags": (("F", 6, 6), ("I", 7, 7), ("A", 8, 8), ("D", 9, 9)),
    "isr_flags": (("F", 6, 6), ("I", 7, 7), ("A", 8, 8)),
    "timer_flags": (("ENABLE", 0, 0), ("IMASK", 1, 1), ("ISTATUS", 2, 2)),
}  # fmt: skip
"""By gdb's name of the type.

All have 32 bits, which no name is beyond: gdb 13 takes a plain number only for flags of its own size, an int's.
"""
