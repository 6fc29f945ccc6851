"""The guest's console: passed on as it is, and read for what the guest says of itself.

A line `EXIT: STATUS=n` is the guest's exit status; lines `PASS name` and `FAIL name: why` are its verdicts.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, NamedTuple

_STATUS: Final = re.compile(r"EXIT: STATUS=(\d{1,3})")
_VERDICT: Final = re.compile(r"(PASS|FAIL) ([\w-]+)(?:: (.*))?")
_LONGEST: Final = 4096
"""Bytes; what a guest writes beyond that without a newline is passed on but not read."""


class Verdict(NamedTuple):
    """What the guest says of one of its scenarios; `why` is empty when it passed."""

    name: str
    passed: bool
    why: str


class Console:
    """`write(text)` gets whole lines as they are completed, and at `flush` the rest."""

    def __init__(self, write: Callable[[str], object]) -> None:
        self._write = write
        self._line = bytearray()
        self.status: int | None = None
        self.verdicts: list[Verdict] = []

    def transmit(self, byte: int) -> None:
        """One character of the guest's."""
        if byte != 0x0D:
            self._line.append(byte)
        if byte == 0x0A or len(self._line) >= _LONGEST:
            self.flush()

    def flush(self) -> None:
        """Pass on an unfinished line."""
        text = self._line.decode("utf-8", "replace")
        self._line.clear()
        if text:
            self._read(text.rstrip("\n"))
            self._write(text)

    def _read(self, line: str) -> None:
        if match := _STATUS.fullmatch(line):
            self.status = int(match[1])
        elif match := _VERDICT.fullmatch(line):
            self.verdicts.append(Verdict(match[2], match[1] == "PASS", match[3] or ""))
