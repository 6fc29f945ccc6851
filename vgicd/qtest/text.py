"""Words and numbers as QEMU reads them: one space between two words, numbers as strtoull(3) has them with base 0."""

from __future__ import annotations

import re
from typing import Final

_NUMBER: Final = re.compile(rb"[ \t\n\v\f\r]*([+-]?)(?:0[xX]([0-9a-fA-F]+)|(0[0-7]*)|([1-9][0-9]*))")
_DIGITS: Final = 20  # of the largest number with 64 bits, in decimal
_SHOWN: Final = 40  # characters of a word that is wrong

U64: Final = (1 << 64) - 1


class Refused(Exception):
    """A command that cannot be carried out; nothing has changed. Its text is the sentence behind FAIL."""


def shown(word: bytes) -> str:
    """`word` for a sentence, on one line and not too long."""
    text = word.decode("ascii", "backslashreplace")
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}...").replace("\\\\", "\\")


def _whole(word: bytes, name: str) -> int:
    """The number that `word` is; as in C, what begins with 0 is octal."""
    found = _NUMBER.fullmatch(word)
    if found is None:
        raise Refused(f"{name} is a number, decimal or with 0x before it, not {shown(word)}.")
    sign, hexadecimal, octal, decimal = found.groups()
    if decimal and len(decimal) > _DIGITS:
        raise Refused(f"{name} has at most 64 bits.")
    value = int(hexadecimal, 16) if hexadecimal else int(octal, 8) if octal else int(decimal)
    return -value if sign == b"-" else value


def unsigned(word: bytes, name: str) -> int:
    """`word` as 64 bits; a negative number wraps, as in C. Refused, with the parameter's `name`, if it is none."""
    value = _whole(word, name)
    if not -U64 <= value <= U64:
        raise Refused(f"{name} has at most 64 bits.")
    return value & U64


def signed(word: bytes, name: str, bits: int) -> int:
    """`word` as a number of `bits` bits, the highest of which is the sign. Refused if it is none."""
    value = _whole(word, name)
    if not -(1 << bits - 1) <= value < 1 << bits - 1:
        raise Refused(f"{name} is {-(1 << bits - 1)} to {(1 << bits - 1) - 1}.")
    return value
