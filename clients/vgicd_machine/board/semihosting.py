"""Semihosting (Arm's "Semihosting for AArch32 and AArch64", release 2.0): HLT #0xF000, by which programs print and end.

What needs no files of the host's is there: the console, `:tt`, the clock, the command line and the two exits.  Time is
the machine's.  Every other operation fails as that document says operations fail.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Final, Protocol

_OPEN, _CLOSE, _WRITE, _READ, _ISERROR, _ISTTY, _SEEK, _FLEN = 0x01, 0x02, 0x05, 0x06, 0x08, 0x09, 0x0A, 0x0C
_SIZES: Final = {
    _OPEN: 3,
    _CLOSE: 1,
    _WRITE: 3,
    _READ: 3,
    _ISERROR: 1,
    _ISTTY: 1,
    _SEEK: 2,
    _FLEN: 1,
}  # of parameter blocks

_APPLICATION_EXIT: Final = 0x20026  # ADP_Stopped_ApplicationExit
_FAILED: Final = -1
_ENOENT, _EBADF, _EFAULT, _ENOSYS = 2, 9, 14, 38
_TERMINAL, _FEATURE_FILE = 1, 2  # handles; 0 is none of them
_FEATURE_BITS: Final = b"SHFB\x03"  # SH_EXT_EXIT_EXTENDED, SH_EXT_STDOUT_STDERR
_LONGEST: Final = 1 << 16  # bytes of one text
_CENTISECONDS: Final = 100
_STATUS: Final = 0xFF


class Memory(Protocol):
    """Memory as the calling CPU sees it."""

    def read_memory(self, address: int, size: int) -> bytes | None:
        """None where something of it cannot be read."""

    def write_memory(self, address: int, data: bytes) -> bool:
        """False where something of it cannot be written."""


class Semihosting:
    """`transmit(byte)` gets what is printed; `now()` is virtual time in ticks of `frequency`, `seconds()` the date.

    `end(status)` is told of the program's exit, 0..255: its own when it gives one by ADP_Stopped_ApplicationExit, else
    1, as any other reason is a failure.  `command` is what SYS_GET_CMDLINE answers.
    """

    def __init__(
        self,
        transmit: Callable[[int], None],
        now: Callable[[], int],
        frequency: int,
        seconds: Callable[[], int],
        end: Callable[[int], None],
        command: str = "",
    ) -> None:
        self._transmit = transmit
        self._now = now
        self._frequency = frequency
        self._seconds = seconds
        self._end = end
        self._command = command.encode() + b"\0"
        self._feature_position = 0
        self._error = 0

    def call(self, memory: Memory, operation: int, parameter: int) -> int:
        """Carry out what W0 and X1 ask for, and yield what X0 shall be, as a signed number."""
        match operation & 0xFFFF_FFFF:
            case 0x03:  # SYS_WRITEC
                return self._print(memory.read_memory(parameter, 1))
            case 0x04:  # SYS_WRITE0
                return self._print(_text(memory, parameter))
            case 0x10:  # SYS_CLOCK
                return self._now() * _CENTISECONDS // self._frequency
            case 0x11:  # SYS_TIME
                return self._seconds()
            case 0x13:  # SYS_ERRNO
                return self._error
            case 0x30:  # SYS_ELAPSED
                return 0 if memory.write_memory(parameter, struct.pack("<Q", self._now())) else self._fail(_EFAULT)
            case 0x31:  # SYS_TICKFREQ
                return self._frequency
            case 0x18 | 0x20:  # SYS_EXIT, SYS_EXIT_EXTENDED
                return self._exit(memory, parameter)
            case 0x16:  # SYS_HEAPINFO: nothing is known, and the program's own limits hold
                block = _words(memory, parameter, 1)
                done = block is not None and memory.write_memory(block[0], bytes(32))
                return 0 if done else self._fail(_EFAULT)
            case 0x15:  # SYS_GET_CMDLINE
                return self._tell_command(memory, parameter)
        return self._with_file(memory, operation & 0xFFFF_FFFF, parameter)

    def _with_file(self, memory: Memory, operation: int, parameter: int) -> int:
        if operation not in _SIZES:
            return self._fail(_ENOSYS)
        block = _words(memory, parameter, _SIZES[operation])
        if block is None:
            return self._fail(_EFAULT)
        if operation == _OPEN:
            return self._open(memory, *block)
        if operation == _ISERROR:
            return int(block[0] >> 63)
        if (handle := block[0]) not in {_TERMINAL, _FEATURE_FILE}:
            return self._fail(_EBADF)
        match operation:
            case 0x05:  # SYS_WRITE: yields how much it has not written
                data = memory.read_memory(block[1], block[2]) if handle == _TERMINAL and block[2] <= _LONGEST else None
                return block[2] if data is None else self._print(data)
            case 0x06:  # SYS_READ: yields how much it has not read; nobody types here but into the UART
                return block[2] if handle == _TERMINAL else self._read_features(memory, block[1], block[2])
            case 0x09:  # SYS_ISTTY
                return int(handle == _TERMINAL)
            case 0x0A if handle == _FEATURE_FILE:  # SYS_SEEK
                self._feature_position = min(block[1], len(_FEATURE_BITS))
                return 0
            case 0x0C if handle == _FEATURE_FILE:  # SYS_FLEN
                return len(_FEATURE_BITS)
            case 0x02:  # SYS_CLOSE
                return 0
        return self._fail(_ENOSYS)

    def _open(self, memory: Memory, name: int, _mode: int, length: int) -> int:
        data = memory.read_memory(name, length) if length <= _LONGEST else None
        if data is None:
            return self._fail(_EFAULT)
        match data.decode("utf-8", "replace"):
            case ":tt":
                return _TERMINAL
            case ":semihosting-features":
                self._feature_position = 0
                return _FEATURE_FILE
        return self._fail(_ENOENT)  # the host's own files are not the guest's business

    def _read_features(self, memory: Memory, address: int, size: int) -> int:
        data = _FEATURE_BITS[self._feature_position : self._feature_position + size]
        if data and not memory.write_memory(address, data):
            return self._fail(_EFAULT)
        self._feature_position += len(data)
        return size - len(data)

    def _tell_command(self, memory: Memory, parameter: int) -> int:
        block = _words(memory, parameter, 2)
        if block is None or block[1] < len(self._command) or not memory.write_memory(block[0], self._command):
            return self._fail(_EFAULT)
        told = memory.write_memory(parameter + 8, struct.pack("<Q", len(self._command) - 1))
        return 0 if told else self._fail(_EFAULT)

    def _exit(self, memory: Memory, parameter: int) -> int:
        block = _words(memory, parameter, 2)
        self._end(block[1] & _STATUS if block is not None and block[0] == _APPLICATION_EXIT else 1)
        return 0

    def _print(self, data: bytes | None) -> int:
        if data is None:
            return self._fail(_EFAULT)
        for byte in data:
            self._transmit(byte)
        return 0

    def _fail(self, error: int) -> int:
        self._error = error
        return _FAILED


def _words(memory: Memory, address: int, count: int) -> tuple[int, ...] | None:
    """The parameter block at `address`: 64-bit fields."""
    data = memory.read_memory(address, 8 * count)
    return None if data is None else struct.unpack(f"<{count}Q", data)


def _text(memory: Memory, address: int) -> bytes | None:
    """The bytes from `address` to the zero that ends them; None when there is none."""
    text = bytearray()
    while len(text) < _LONGEST:
        byte = memory.read_memory(address + len(text), 1)
        if byte is None:
            return None
        if byte == b"\0":
            return bytes(text)
        text += byte
    return None
