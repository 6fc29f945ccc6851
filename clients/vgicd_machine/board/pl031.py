"""The PL031 real time clock (DDI 0224), in the machine's virtual time.

It counts seconds from `START`, so that every run sees the same.  The alarm is kept and its status can be read, but it
has no interrupt line here, and the device tree says so.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

BASE: Final = 0x0901_0000
SIZE: Final = 0x1000
START: Final = 1_767_225_600
"""2026-01-01 00:00:00 UTC: what the clock shows when the machine starts."""

_DR, _MR, _LR, _CR, _IMSC, _RIS, _MIS, _ICR, _ID = 0x00, 0x04, 0x08, 0x0C, 0x10, 0x14, 0x18, 0x1C, 0xFE0
_IDS: Final = (0x31, 0x10, 0x14, 0x00, 0x0D, 0xF0, 0x05, 0xB1)
_WORD: Final = 0xFFFF_FFFF


class Pl031:
    """`seconds()` is the virtual time since the machine started; whoever runs the machine sets it."""

    def __init__(self) -> None:
        self.seconds: Callable[[], int] = lambda: 0
        self._offset = START
        self._loaded = START
        self._match = 0
        self._mask = 0
        self._raw = 0
        self._armed = False

    def read(self, offset: int, _size: int) -> int:
        """The register at `offset`; unknown ones read as zero."""
        match offset:
            case 0x00:  # DR
                return self._now()
            case 0x04:  # MR
                return self._match
            case 0x08:  # LR
                return self._loaded
            case 0x0C:  # CR: always on
                return 1
            case 0x10:  # IMSC
                return self._mask
            case 0x14:  # RIS
                return self._status()
            case 0x18:  # MIS
                return self._status() & self._mask
        if offset >= _ID and offset % 4 == 0:
            return _IDS[offset - _ID >> 2]
        return 0

    def write(self, offset: int, _size: int, value: int) -> None:
        """Write the register at `offset`; read-only and unknown ones ignore it."""
        if offset == _LR:
            self._loaded = value
            self._offset = value - self.seconds() & _WORD
        elif offset == _MR:
            self._match, self._armed = value, True
        elif offset == _IMSC:
            self._mask = value & 1
        elif offset == _ICR and value & 1:
            self._status()
            self._raw = 0

    def _now(self) -> int:
        return self._offset + self.seconds() & _WORD

    def _status(self) -> int:
        """RIS: whether the clock has come to the match register since that was written."""
        if self._armed and not (self._now() - self._match & _WORD) >> 31:
            self._armed, self._raw = False, 1
        return self._raw
