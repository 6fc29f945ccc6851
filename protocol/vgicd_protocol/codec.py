"""Struct codecs derived from construct declarations, for frames too hot to be interpreted.

A declaration stays the only source of its layout: `Codec` walks it at import and refuses whatever is not flat, so that
it cannot drift.  What a codec leaves out are the declaration's checks; `frames` states those again in plain ints,
and tests hold both to the same decisions.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

from construct import Const, Construct, FormatField, Renamed, Struct, Validator

Data = bytes | bytearray | memoryview

_UNSIGNED = {1: "B", 2: "H", 4: "I", 8: "Q"}


class NotFlatError(TypeError):
    """The declaration has a field without one fixed little-endian integer; no codec can be derived from it."""


class Packer:
    """`struct.Struct` of `format`, with its methods as attributes of one look-up."""

    __slots__ = ("format", "iter_unpack", "pack", "pack_into", "size", "unpack", "unpack_from")

    def __init__(self, format_: str) -> None:
        packer = struct.Struct(format_)
        self.format = format_
        self.size: int = packer.size
        self.unpack = packer.unpack
        self.unpack_from = packer.unpack_from
        self.pack_into = packer.pack_into
        self.pack = packer.pack
        self.iter_unpack = packer.iter_unpack


class Codec(Packer):
    """The `struct.Struct` that a flat construct `Struct` describes.

    `names` are the fields in order, `size` the bytes.  `unpack`, `unpack_from`, `iter_unpack`, `pack` and `pack_into`
    are those of `struct`: plain tuples of ints in the order of `names`, no checks beyond the width of each field.
    """

    __slots__ = ("names",)

    def __init__(self, declaration: Construct) -> None:
        """Derive from `declaration`; raises `NotFlatError` naming the field that is not a plain integer."""
        fields = [_field(subcon) for subcon in _subcons(declaration)]
        self.names: tuple[str, ...] = tuple(name for name, _ in fields)
        if len(set(self.names)) != len(self.names):
            raise NotFlatError(f"field names are not unique: {self.names}")
        super().__init__("<" + "".join(code for _, code in fields))
        if self.size != declaration.sizeof():
            raise NotFlatError(f"derived {self.size} bytes, declared {declaration.sizeof()}")

    def merged(self, *groups: tuple[str, ...]) -> Packer:
        """A packer of the same bytes that reads each group of neighbouring fields as one little-endian integer.

        The groups must name all fields in order and be 1, 2, 4 or 8 bytes wide; raises `NotFlatError` otherwise.
        """
        if tuple(name for group in groups for name in group) != self.names:
            raise NotFlatError(f"{groups} are not the fields {self.names} in order")
        widths = dict(zip(self.names, self.format[1:], strict=True))
        sizes = [struct.calcsize("<" + "".join(widths[name] for name in group)) for group in groups]
        if not set(sizes) <= set(_UNSIGNED):
            raise NotFlatError(f"groups of {sizes} bytes are not all integers")
        packer = Packer("<" + "".join(_UNSIGNED[size] for size in sizes))
        if packer.size != self.size:
            raise NotFlatError(f"merged {packer.size} bytes, declared {self.size}")
        return packer

    def fields(self, data: Data, offset: int = 0) -> dict[str, int]:
        """The frame at `offset` as a dict by name, for tests and tools."""
        return dict(zip(self.names, self.unpack_from(data, offset), strict=True))


def _subcons(declaration: Any) -> Iterator[Any]:
    while isinstance(declaration, Renamed):
        declaration = declaration.subcon
    if type(declaration) is not Struct:
        raise NotFlatError(f"{declaration!r} is not a Struct")
    yield from declaration.subcons


def _field(subcon: Any) -> tuple[str, str]:
    name = subcon.name
    if not name:
        raise NotFlatError(f"{subcon!r} has no name")
    inner = subcon
    # Const and validators hand the integer on unchanged; any other wrapper would make codec and declaration differ
    while isinstance(inner, Renamed | Const | Validator):
        inner = inner.subcon
    if type(inner) is not FormatField or inner.fmtstr[0] != "<" or inner.fmtstr[1] not in "BHLQbhlq":
        raise NotFlatError(f"field {name!r} is not a fixed little-endian integer: {inner!r}")
    # struct's L is 4 bytes under "<", as is I; I is how C programmers write it
    return name, {"L": "I", "l": "i"}.get(inner.fmtstr[1], inner.fmtstr[1])
