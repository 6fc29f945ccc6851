"""A small ELF writer: sections at fixed addresses and a symbol table, little-endian, 32 or 64 bits.

Nothing is ever loaded, so that there are no program headers: a section without content is memory that is there anyway.
Layouts follow the System V ABI, chapter "Object Files".
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from enum import IntEnum
from typing import Final, NamedTuple

PROGBITS: Final = 1
SYMTAB: Final = 2
STRTAB: Final = 3
NOBITS: Final = 8

WRITE: Final = 1
ALLOC: Final = 2
EXECUTE: Final = 4

_EXECUTABLE: Final = 2
_GLOBAL: Final = 1 << 4


class Kind(IntEnum):
    """What a symbol names."""

    OBJECT = 1
    FUNCTION = 2


class Symbol(NamedTuple):
    """A global symbol of a section; `address` and `size` in bytes."""

    name: str
    address: int
    size: int
    kind: Kind


class Section(NamedTuple):
    """`size` bytes at `address` with `symbols` in them; without `content` the file has none (NOBITS).

    `flags` is an OR of WRITE, ALLOC and EXECUTE; 0 for what only tools read.
    """

    name: str
    address: int = 0
    size: int = 0
    flags: int = 0
    content: bytes | None = None
    symbols: Sequence[Symbol] = ()


class _Raw(NamedTuple):
    """A section header as it is written, and what it is about."""

    name: str
    kind: int
    flags: int
    address: int
    size: int
    content: bytes
    link: int = 0
    info: int = 0
    alignment: int = 1
    entry: int = 0


def write(machine: int, bits: int, sections: Sequence[Section], *, flags: int = 0) -> bytes:
    """An ET_EXEC file for `machine` (e_machine) of class `bits`, 32 or 64; its entry point is 0, which is nowhere.

    Symbols keep their order, names included: of several at one address gdb shows the last.
    Raises ValueError for another class, and struct.error when an address exceeds it.
    """
    if bits not in (32, 64):
        raise ValueError(f"an ELF file has 32 or 64 bits, not {bits}")
    table, strings = _symbol_table(bits, sections)
    raw = [_Raw("", 0, 0, 0, 0, b"")]
    for section in sections:
        content = section.content
        kind, size = (NOBITS, section.size) if content is None else (PROGBITS, len(content))
        raw.append(_Raw(section.name, kind, section.flags, section.address, size, content or b""))
    raw.append(
        _Raw(".symtab", SYMTAB, 0, 0, len(table), table, link=len(raw) + 1, info=1, alignment=bits // 8,
             entry=len(table) // (1 + sum(len(section.symbols) for section in sections)))
    )  # fmt: skip
    raw.append(_Raw(".strtab", STRTAB, 0, 0, len(strings), strings))
    names, places = _strings([section.name for section in raw] + [".shstrtab"])
    raw.append(_Raw(".shstrtab", STRTAB, 0, 0, len(names), names))
    return _assemble(machine, bits, flags, raw, places)


def _strings(names: Sequence[str]) -> tuple[bytes, list[int]]:
    """A string table of `names`, and where each is in it; the empty name is at 0."""
    parts, places, at = [b""], [], 1
    for name in names:
        if name:
            encoded = name.encode()
            parts.append(encoded)
            places.append(at)
            at += len(encoded) + 1
        else:
            places.append(0)
    return b"\0".join(parts) + b"\0", places


def _symbol_table(bits: int, sections: Sequence[Section]) -> tuple[bytes, bytes]:
    """.symtab and .strtab."""
    strings, places = _strings([symbol.name for section in sections for symbol in section.symbols])
    place = iter(places)
    entries = []
    if bits == 64:
        pack = struct.Struct("<IBBHQQ").pack
        entries.append(pack(0, 0, 0, 0, 0, 0))
        for index, section in enumerate(sections, 1):
            for symbol in section.symbols:
                entries.append(pack(next(place), _GLOBAL | symbol.kind, 0, index, symbol.address, symbol.size))
    else:
        pack = struct.Struct("<IIIBBH").pack
        entries.append(pack(0, 0, 0, 0, 0, 0))
        for index, section in enumerate(sections, 1):
            for symbol in section.symbols:
                entries.append(pack(next(place), symbol.address, symbol.size, _GLOBAL | symbol.kind, 0, index))
    return b"".join(entries), strings


def _assemble(machine: int, bits: int, flags: int, raw: Sequence[_Raw], names: Sequence[int]) -> bytes:
    """The file: header, contents, section headers."""
    wide = bits == 64
    header = struct.Struct("<16sHHIQQQIHHHHHH" if wide else "<16sHHIIIIIHHHHHH")
    entry = struct.Struct("<IIQQQQIIQQ" if wide else "<IIIIIIIIII")
    contents: list[bytes] = []
    headers: list[bytes] = []
    at = header.size
    for section, name in zip(raw, names, strict=True):
        padding = -at % section.alignment
        contents += (bytes(padding), section.content)
        at += padding
        headers.append(
            entry.pack(
                name, section.kind, section.flags, section.address, at if section.kind else 0, section.size,
                section.link, section.info, section.alignment if section.kind else 0, section.entry,
            )
        )  # fmt: skip
        at += len(section.content)
    padding = -at % (bits // 8)
    identity = b"\x7fELF" + bytes((2 if wide else 1, 1, 1))
    head = header.pack(
        identity, _EXECUTABLE, machine, 1, 0, 0, at + padding, flags, header.size, 0, 0, entry.size, len(raw),
        len(raw) - 1,
    )  # fmt: skip
    return b"".join((head, *contents, bytes(padding), *headers))
