"""The inside of a loaded ELF library: where its symbols are, and another function in the place of one of its own.

A shared library calls its own exported functions through its global offset table, as if they were anybody's.  To write
another address there is how such a call is answered by somebody else; the library on disk stays as it is.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import struct
from pathlib import Path
from typing import Any, Final

from vgicd_machine.errors import EngineMissing

_IDENTITY: Final = b"\x7fELF\x02\x01"  # 64 bits, little-endian
_FILE_HEADER: Final = struct.Struct("<40xQ10xHH")  # table of sections, size of an entry, number of entries
_SECTION: Final = struct.Struct("<4xI8xQQQI20x")  # type, address, offset, size, linked section
_SYMBOL: Final = struct.Struct("<I4xQ8x")  # name, value
_RELOCATION: Final = struct.Struct("<QQ8x")  # place, symbol and type
_RELA, _DYNSYM = 4, 11
_READ_WRITE: Final = 3  # PROT_READ | PROT_WRITE


class Library:
    """The library that `function`, whose name in it is `name`, was loaded from.

    Raises `EngineMissing` when it is not an ELF file of this process' kind.
    """

    def __init__(self, path: str, function: Any, name: str) -> None:
        try:
            self._file = Path(path).read_bytes()
        except OSError as error:
            raise EngineMissing(f"cannot read the engine's library {path}: {error.strerror}") from error
        if not self._file.startswith(_IDENTITY):
            raise EngineMissing(f"{path} is no 64-bit little-endian ELF library, and the engine is known as one only")
        self.path = path
        table, size, count = _FILE_HEADER.unpack_from(self._file)
        self._sections = [_SECTION.unpack_from(self._file, table + size * n) for n in range(count)]
        self._values: dict[str, int] = {}
        self._numbers: dict[int, str] = {}
        self._read_symbols()
        self._base = (ctypes.cast(function, ctypes.c_void_p).value or 0) - self._values[name]
        self._slots: dict[str, list[int]] = {}
        self._read_relocations()

    def _read_symbols(self) -> None:
        for kind, _, offset, size, link in self._sections:
            if kind != _DYNSYM:
                continue
            strings = self._sections[link][2]
            for number, (name, value) in enumerate(_SYMBOL.iter_unpack(self._file[offset : offset + size])):
                start = strings + name
                text = self._file[start : self._file.index(b"\0", start)].decode()
                self._values[text] = value
                self._numbers[number] = text

    def _read_relocations(self) -> None:
        for kind, _, offset, size, _ in self._sections:
            if kind != _RELA:
                continue
            for place, info in _RELOCATION.iter_unpack(self._file[offset : offset + size]):
                if info >> 32:
                    self._slots.setdefault(self._numbers[info >> 32], []).append(place)

    def address(self, name: str) -> int:
        """Where the exported `name` is; raises `EngineMissing` when there is no such name."""
        if not self._values.get(name):
            raise EngineMissing(f"{self.path} has no {name}: install the version of Unicorn that vgicd[emulator] names")
        return self._base + self._values[name]

    def interpose(self, name: str, function: Any) -> None:
        """Let the library's uses of `name`, its own or another library's, go to `function`, a callback of ctypes.

        The caller keeps `function` alive as long as the process.  Raises `EngineMissing` when nothing uses it.
        """
        places = self._slots.get(name)
        if not places:
            raise EngineMissing(f"{self.path} does not use {name}: install the Unicorn that vgicd[emulator] names")
        protect = ctypes.CDLL(None, use_errno=True).mprotect
        for place in places:
            at = self._base + place
            page = at & -mmap.PAGESIZE
            if protect(ctypes.c_void_p(page), ctypes.c_size_t(mmap.PAGESIZE), _READ_WRITE):
                raise EngineMissing(f"cannot write into {self.path} in memory: {os.strerror(ctypes.get_errno())}")
            ctypes.c_void_p.from_address(at).value = ctypes.cast(function, ctypes.c_void_p).value
