"""A small DWARF 4 builder: one compilation unit of types and variables, and the frame rules of fake code.

Entries refer only to those written before them, so that everything is written in one pass (DWARF Debugging Information
Format, version 4; section numbers below are its).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from enum import IntEnum
from typing import Final, NamedTuple

_VERSION: Final = 4
_C99: Final = 0x0C  # DW_LANG_C99


class _Tag(IntEnum):
    ARRAY = 0x01
    ENUMERATION = 0x04
    MEMBER = 0x0D
    COMPILE_UNIT = 0x11
    STRUCTURE = 0x13
    SUBRANGE = 0x21
    BASE = 0x24
    ENUMERATOR = 0x28
    VARIABLE = 0x34


class _At(IntEnum):
    LOCATION = 0x02
    NAME = 0x03
    BYTE_SIZE = 0x0B
    BIT_SIZE = 0x0D
    LANGUAGE = 0x13
    CONST_VALUE = 0x1C
    PRODUCER = 0x25
    COUNT = 0x37
    MEMBER_LOCATION = 0x38
    ENCODING = 0x3E
    EXTERNAL = 0x3F
    TYPE = 0x49
    BIT_OFFSET = 0x6B  # DW_AT_data_bit_offset, which counts from the container's least significant bit


class _Form(IntEnum):
    DATA2 = 0x05
    STRING = 0x08
    DATA1 = 0x0B
    UDATA = 0x0F
    REF4 = 0x13
    EXPRLOC = 0x18
    FLAG_PRESENT = 0x19


class Encoding(IntEnum):
    """DW_ATE: how a base type's bits are read."""

    UNSIGNED = 0x07
    UNSIGNED_CHAR = 0x08


class Member(NamedTuple):
    """A member of a structure at byte `offset`; with `width`, bits [lsb + width - 1 : lsb] of the structure's word."""

    name: str
    type: int
    offset: int = 0
    lsb: int = 0
    width: int = 0


Shape = tuple[_Tag, bool, tuple[tuple[_At, _Form], ...]]

_SHAPES: Final[Mapping[str, Shape]] = {
    "unit": (_Tag.COMPILE_UNIT, True,
             ((_At.PRODUCER, _Form.STRING), (_At.LANGUAGE, _Form.DATA2), (_At.NAME, _Form.STRING))),
    "base": (_Tag.BASE, False, ((_At.NAME, _Form.STRING), (_At.BYTE_SIZE, _Form.DATA1), (_At.ENCODING, _Form.DATA1))),
    "enumeration": (_Tag.ENUMERATION, True,
                    ((_At.NAME, _Form.STRING), (_At.BYTE_SIZE, _Form.DATA1), (_At.TYPE, _Form.REF4))),
    "enumerator": (_Tag.ENUMERATOR, False, ((_At.NAME, _Form.STRING), (_At.CONST_VALUE, _Form.UDATA))),
    "structure": (_Tag.STRUCTURE, True, ((_At.NAME, _Form.STRING), (_At.BYTE_SIZE, _Form.UDATA))),
    "member": (_Tag.MEMBER, False,
               ((_At.NAME, _Form.STRING), (_At.TYPE, _Form.REF4), (_At.MEMBER_LOCATION, _Form.UDATA))),
    "bits": (_Tag.MEMBER, False,
             ((_At.NAME, _Form.STRING), (_At.TYPE, _Form.REF4), (_At.BIT_SIZE, _Form.DATA1),
              (_At.BIT_OFFSET, _Form.DATA1))),
    "array": (_Tag.ARRAY, True, ((_At.TYPE, _Form.REF4),)),
    "subrange": (_Tag.SUBRANGE, False, ((_At.TYPE, _Form.REF4), (_At.COUNT, _Form.UDATA))),
    "variable": (_Tag.VARIABLE, False,
                 ((_At.NAME, _Form.STRING), (_At.TYPE, _Form.REF4), (_At.EXTERNAL, _Form.FLAG_PRESENT),
                  (_At.LOCATION, _Form.EXPRLOC))),
}  # fmt: skip
_CODES: Final = {name: code for code, name in enumerate(_SHAPES, 1)}
_ADDRESS: Final = 0x03  # DW_OP_addr


def uleb(value: int) -> bytes:
    """`value` as unsigned LEB128 (7.6)."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _sleb(value: int) -> bytes:
    """`value` as signed LEB128 (7.6)."""
    out = bytearray()
    while not -0x40 <= value < 0x40:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value & 0x7F)
    return bytes(out)


def _string(text: str) -> bytes:
    return text.encode() + b"\0"


def _ref(entry: int) -> bytes:
    return entry.to_bytes(4, "little")


def abbreviations() -> bytes:
    """.debug_abbrev: the same for every file (7.5.3)."""
    out = bytearray()
    for name, (tag, children, attributes) in _SHAPES.items():
        out += uleb(_CODES[name]) + uleb(tag) + bytes((children,))
        for attribute, form in attributes:
            out += uleb(attribute) + uleb(form)
        out += b"\0\0"
    return bytes(out + b"\0")


class Unit:
    """.debug_info of one compilation unit. Every method that makes a type answers its reference."""

    def __init__(self, name: str, producer: str, address_size: int) -> None:
        self._address_size = address_size
        self._out = bytearray(11)  # the header, which `finish` fills in
        self._add("unit", _string(producer), _C99.to_bytes(2, "little"), _string(name))

    def _add(self, shape: str, *values: bytes) -> int:
        reference = len(self._out)
        self._out.append(_CODES[shape])
        for value in values:
            self._out += value
        return reference

    def _end(self) -> None:
        """No more children of the entry that is open."""
        self._out.append(0)

    def base(self, name: str, size: int, encoding: Encoding) -> int:
        """A number of `size` bytes."""
        return self._add("base", _string(name), bytes((size, encoding)))

    def enumeration(self, name: str, size: int, base: int, values: Mapping[int, str]) -> int:
        """Numbers of type `base` that have names; these are names of the whole unit, as in C."""
        reference = self._add("enumeration", _string(name), bytes((size,)), _ref(base))
        for value, enumerator in values.items():
            self._add("enumerator", _string(enumerator), uleb(value))
        self._end()
        return reference

    def structure(self, name: str, size: int, members: Iterable[Member]) -> int:
        """A structure of `size` bytes; what its members leave free is not mentioned."""
        reference = self._add("structure", _string(name), uleb(size))
        for member in members:
            if member.width:
                place = bytes((member.width, 8 * member.offset + member.lsb))
                self._add("bits", _string(member.name), _ref(member.type), place)
            else:
                self._add("member", _string(member.name), _ref(member.type), uleb(member.offset))
        self._end()
        return reference

    def array(self, element: int, count: int, index: int) -> int:
        """`count` elements, counted by numbers of type `index`."""
        reference = self._add("array", _ref(element))
        self._add("subrange", _ref(index), uleb(count))
        self._end()
        return reference

    def variable(self, name: str, kind: int, address: int) -> None:
        """A variable of type `kind` that is always at `address`."""
        place = bytes((self._address_size + 1, _ADDRESS)) + address.to_bytes(self._address_size, "little")
        self._add("variable", _string(name), _ref(kind), place)

    def finish(self) -> bytes:
        """The section; the unit takes nothing more."""
        self._end()
        struct.pack_into("<IHIB", self._out, 0, len(self._out) - 4, _VERSION, 0, self._address_size)
        return bytes(self._out)


_DEF_CFA: Final = 0x0C
_SAME_VALUE: Final = 0x08
_UNDEFINED: Final = 0x07
_ADVANCE: Final = 0x40
_ADVANCE_1: Final = 0x02
_ADVANCE_4: Final = 0x04
_OFFSET: Final = 0x80
_RESTORE: Final = 0xC0
_NOP: Final = b"\0"
_CIE: Final = 0xFFFFFFFF


class Code(NamedTuple):
    """`size` bytes at `address`, where frames have a caller; none in the `outermost` parts, (first, end), ascending."""

    address: int
    size: int
    outermost: Sequence[tuple[int, int]] = ()


class FrameRules(NamedTuple):
    """.debug_frame for code that never runs: a frame is one slot on the stack, whose last word is the return address.

    CFA = sp + `slot`, return address at CFA - `address_size`, other registers as they are.  Columns are DWARF's numbers
    of registers (6.4); all below the two are described.
    """

    address_size: int
    slot: int
    stack_column: int
    return_column: int

    def section(self, codes: Sequence[Code]) -> bytes:
        """The section's bytes, with rules for `codes`."""
        out = self._record(_CIE.to_bytes(4, "little") + self._common())
        for code in codes:
            out += self._record(bytes(4) + self._description(code))  # of the only CIE, at 0
        return out

    def _common(self) -> bytes:
        """What the CIE says: version, no augmentation, alignment factors, and the rules at the start of every code."""
        out = bytearray((_VERSION, 0, self.address_size, 0))
        out += uleb(1) + _sleb(-self.address_size) + uleb(self.return_column)
        out += bytes((_DEF_CFA,)) + uleb(self.stack_column) + uleb(self.slot)
        out += bytes((_OFFSET | self.return_column,)) + uleb(1)
        for column in range(max(self.stack_column, self.return_column)):
            if column not in (self.stack_column, self.return_column):
                out += bytes((_SAME_VALUE,)) + uleb(column)
        return bytes(out)

    def _description(self, code: Code) -> bytes:
        out = bytearray()
        for bound in code.address, code.size:
            out += bound.to_bytes(self.address_size, "little")
        at = code.address
        for first, end in code.outermost:
            out += _advance(first - at) + bytes((_UNDEFINED,)) + uleb(self.return_column)
            out += _advance(end - first) + bytes((_RESTORE | self.return_column,))
            at = end
        return bytes(out)

    def _record(self, body: bytes) -> bytes:
        body += _NOP * (-(len(body) + 4) % self.address_size)
        return len(body).to_bytes(4, "little") + body


def _advance(distance: int) -> bytes:
    if distance < _ADVANCE:
        return bytes((_ADVANCE | distance,))
    if distance < 0x100:
        return bytes((_ADVANCE_1, distance))
    return bytes((_ADVANCE_4,)) + distance.to_bytes(4, "little")
