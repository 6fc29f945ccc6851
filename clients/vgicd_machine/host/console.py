"""The guest's console: passed on as it is, byte by byte, and read for what the guest says of itself.

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
_CR, _LF = 0x0D, 0x0A


class Verdict(NamedTuple):
    """What the guest says of one of its scenarios; `why` is empty when it passed."""

    name: str
    passed: bool
    why: str


class Console:
    """`write(byte)` gets every byte at once; `lines(text)` whole lines when complete, and at `flush` the rest.

    In lines there is no carriage return, and bytes that are no text are replaced.
    """

    def __init__(
        self, lines: Callable[[str], object] | None = None, write: Callable[[bytes], object] | None = None
    ) -> None:
        self._lines = lines
        self._write = write
        self._line = bytearray()
        self.status: int | None = None
        self.verdicts: list[Verdict] = []

    def transmit(self, byte: int) -> None:
        """One character of the guest's."""
        if self._write is not None:
            self._write(bytes((byte,)))
        if byte != _CR:
            self._line.append(byte)
        if byte == _LF or len(self._line) >= _LONGEST:
            self.flush()

    def flush(self) -> None:
        """The line that the guest has begun is all there is of it."""
        text = self._line.decode("utf-8", "replace")
        self._line.clear()
        if text:
            self._read(text.rstrip("\n"))
            if self._lines is not None:
                self._lines(text)

    def _read(self, line: str) -> None:
        if match := _STATUS.fullmatch(line):
            self.status = int(match[1])
        elif match := _VERDICT.fullmatch(line):
            self.verdicts.append(Verdict(match[2], match[1] == "PASS", match[3] or ""))
