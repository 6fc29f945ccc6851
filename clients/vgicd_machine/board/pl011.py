"""The PL011 UART: transmits at once, receives what `receive` is given, and drives one level line.

Register behaviour is that of DDI 0183, chapter 3; as in QEMU the enables in UARTCR are not needed, for programs that
never set them.  A transmission takes no time, and a receive timeout (32 bit periods without a character) none either:
what is left in the FIFO below its trigger level has timed out.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

from vgicd_machine.gic.port import Window

BASE: Final = 0x0900_0000
SIZE: Final = 0x1000
WINDOW: Final = Window("UART", BASE, SIZE)
INTID: Final = 33

FIFO_DEPTH: Final = 16
RX, TX, RT, OE = 1 << 4, 1 << 5, 1 << 6, 1 << 10  # interrupt bits of IMSC, RIS, MIS and ICR
_ALL_INTERRUPTS: Final = 0x7FF

_DR, _RSR, _ICR, _ID = 0x00, 0x04, 0x44, 0xFE0
_LCRH, _CR, _IFLS, _IMSC = 0x2C, 0x30, 0x34, 0x38
_FEN: Final = 1 << 4  # of LCRH: FIFOs on
_LBE: Final = 1 << 7  # of CR: loop back
_RXFE, _RXFF, _TXFE = 1 << 4, 1 << 6, 1 << 7
_OVERRUN: Final = 1 << 3  # of RSR
_LOOPED: Final = ((11, 0), (10, 1), (12, 2), (13, 8))  # CR's RTS, DTR, Out1, Out2 are FR's CTS, DSR, DCD, RI
_TRIGGERS: Final = (2, 4, 8, 12, 14)  # characters, by IFLS[5:3]; 0b101 and up are reserved
_IDS: Final = (0x11, 0x10, 0x14, 0x00, 0x0D, 0xF0, 0x05, 0xB1)
_STORED: Final = {  # offset: the bits that keep what is written
    0x20: 0xFF,  # ILPR
    0x24: 0xFFFF,  # IBRD
    0x28: 0x3F,  # FBRD
    _LCRH: 0xFF,
    _CR: 0xFF87,
    _IFLS: 0x3F,
    _IMSC: _ALL_INTERRUPTS,
    0x48: 0x7,  # DMACR
}


class Pl011:
    """`transmit(byte)` gets every character; `drive(level)` every change of the interrupt line."""

    def __init__(self, transmit: Callable[[int], None], drive: Callable[[int], None]) -> None:
        self._transmit = transmit
        self._drive = drive
        self._registers = dict.fromkeys(_STORED, 0) | {_CR: 0x300, _IFLS: 0x12}
        self._received: deque[int] = deque()
        self._status = 0  # RIS
        self._overrun = 0  # RSR
        self._line = 0

    @property
    def room(self) -> int:
        """How many characters `receive` can take now."""
        depth = FIFO_DEPTH if self._registers[_LCRH] & _FEN else 1
        return max(0, depth - len(self._received))

    def receive(self, data: bytes) -> None:
        """Characters from outside; those beyond `room` are lost, as on the wire, and so are all while it loops back."""
        if data and not self._registers[_CR] & _LBE:
            self._take(data)
            self._update()

    def read(self, offset: int, size: int) -> int:
        """The register at `offset`, or what lies in it there; unknown ones read as zero."""
        value = 0 if 0 < offset < 4 else self._register(offset & ~3)  # of DR only its first byte takes a character out
        return value >> 8 * (offset & 3) & (1 << 8 * size) - 1

    def _register(self, offset: int) -> int:
        match offset:
            case 0x00:  # DR
                return self._pop()
            case 0x04:  # RSR
                return self._overrun
            case 0x18:  # FR
                return self._flags()
            case 0x3C:  # RIS
                return self._status
            case 0x40:  # MIS
                return self._status & self._registers[_IMSC]
        if offset >= _ID:
            return _IDS[offset - _ID >> 2]
        return self._registers.get(offset, 0)

    def write(self, offset: int, _size: int, value: int) -> None:
        """Write the register at `offset`, whatever the size: a bus has no lanes for it.

        Read-only and unknown registers ignore it.
        """
        if offset == _DR:
            if self._registers[_CR] & _LBE:
                self._take(bytes((value & 0xFF,)))
            else:
                self._transmit(value & 0xFF)
            self._status |= TX  # the FIFO has drained through its trigger level
        elif offset == _RSR:
            self._overrun = 0
        elif offset == _ICR:
            self._status &= ~value
        elif offset in _STORED:
            self._registers[offset] = value & _STORED[offset]
        self._update()

    def _take(self, data: bytes) -> None:
        accepted = data[: self.room]
        self._received.extend(accepted)
        if len(accepted) < len(data):
            self._overrun = _OVERRUN
            self._status |= OE
        self._status |= RX if len(self._received) >= self._trigger() else RT

    def _flags(self) -> int:
        flags = _TXFE | (0 if self._received else _RXFE) | (0 if self.room else _RXFF)
        if (control := self._registers[_CR]) & _LBE:
            for output, flag in _LOOPED:
                flags |= (control >> output & 1) << flag
        return flags

    def _trigger(self) -> int:
        if not self._registers[_LCRH] & _FEN:
            return 1
        return _TRIGGERS[min(self._registers[_IFLS] >> 3 & 7, len(_TRIGGERS) - 1)]

    def _pop(self) -> int:
        if not self._received:
            return 0
        value = self._received.popleft()
        if len(self._received) < self._trigger():
            self._status = self._status & ~RX | RT
        if not self._received:
            self._status &= ~RT
        self._update()
        return value

    def _update(self) -> None:
        line = int(bool(self._status & self._registers[_IMSC]))
        if line != self._line:
            self._line = line
            self._drive(line)
