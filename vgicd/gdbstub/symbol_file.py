"""The symbol file that gdb fetches by itself: qXfer:exec-file and the vFile packets (gdb manual, "Host I/O Packets").

One file can be opened, read-only; there is no file system behind it.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Final

NAME: Final = b"/vgicd.elf"

_NO_ENTRY: Final = 2  # the protocol's own errno numbers
_BAD_DESCRIPTOR: Final = 9
_ACCESS: Final = 13
_INVALID: Final = 22
_DESCRIPTOR: Final = 5
_WRITE_FLAGS: Final = 0x1 | 0x2 | 0x8 | 0x200 | 0x400  # of the protocol's open flags, those that are not for reading
_STAT: Final = struct.Struct(">7I3Q3I")  # struct stat of the protocol: 64 bytes, big-endian
_REGULAR: Final = 0o100444
_MOST: Final = 0x8000  # bytes answered at a time: escaped they fit a packet


class SymbolFile:
    """What one debugger sees of the file; `build` makes its bytes when they are first asked for."""

    def __init__(self, build: Callable[[], bytes]) -> None:
        self._build = build
        self._data: bytes | None = None
        self._open = False

    @property
    def data(self) -> bytes:
        """The whole file."""
        if self._data is None:
            self._data = self._build()
        return self._data

    def serve(self, request: bytes) -> bytes:
        """The reply to `vFile:` `request`, empty for an operation that is not offered."""
        operation, _, rest = request.partition(b":")
        handler = self._HANDLERS.get(operation)
        if handler is None:
            return b""
        try:
            return handler(self, rest.split(b","))
        except (ValueError, IndexError):
            return _failed(_INVALID)

    def _setfs(self, _: list[bytes]) -> bytes:
        return b"F0"

    def _open_file(self, arguments: list[bytes]) -> bytes:
        name, flags = bytes.fromhex(arguments[0].decode("ascii")), int(arguments[1], 16)
        if name != NAME:
            return _failed(_NO_ENTRY)
        if flags & _WRITE_FLAGS:
            return _failed(_ACCESS)
        self._open = True
        self._data = None  # the domain may have been given another shape since
        return b"F%x" % _DESCRIPTOR

    def _fstat(self, arguments: list[bytes]) -> bytes:
        if not self._is_open(arguments):
            return _failed(_BAD_DESCRIPTOR)
        size = len(self.data)
        stat = _STAT.pack(0, 0, _REGULAR, 1, 0, 0, 0, size, 0x200, -(-size // 0x200), 0, 0, 0)
        return b"F%x;%s" % (len(stat), stat)

    def _pread(self, arguments: list[bytes]) -> bytes:
        if not self._is_open(arguments):
            return _failed(_BAD_DESCRIPTOR)
        count, offset = int(arguments[1], 16), int(arguments[2], 16)
        if count < 0 or offset < 0:
            return _failed(_INVALID)
        part = self.data[offset : offset + min(count, _MOST)]
        return b"F%x;%s" % (len(part), part)

    def _close(self, arguments: list[bytes]) -> bytes:
        if not self._is_open(arguments):
            return _failed(_BAD_DESCRIPTOR)
        self._open = False
        return b"F0"

    def _is_open(self, arguments: list[bytes]) -> bool:
        return self._open and int(arguments[0], 16) == _DESCRIPTOR

    _HANDLERS: Final = {
        b"setfs": _setfs,
        b"open": _open_file,
        b"fstat": _fstat,
        b"pread": _pread,
        b"close": _close,
    }


def _failed(number: int) -> bytes:
    return b"F-1,%x" % number
