"""Small pieces of packets: numbers, errors and parts of documents (gdb manual, "Packets")."""

from __future__ import annotations

from typing import Final

OK: Final = b"OK"
ERROR: Final = b"E01"
UNSUPPORTED: Final = b""


class Malformed(ValueError):
    """A packet that says nothing; its text is a sentence."""


def number(text: bytes) -> int:
    """A hexadecimal number of the protocol: no sign, no prefix. Raises Malformed."""
    if not text.isalnum() or len(text) > 32:
        raise Malformed(f"{text[:40]!r} is no hexadecimal number.")
    try:
        return int(text, 16)
    except ValueError:
        raise Malformed(f"{text!r} is no hexadecimal number.") from None


def from_hex(text: bytes) -> bytes:
    """The bytes that `text` spells, two digits each. Raises Malformed."""
    try:
        return bytes.fromhex(text.decode("ascii"))
    except ValueError:  # UnicodeDecodeError is one
        raise Malformed("The data is not pairs of hexadecimal digits.") from None


def pair(text: bytes) -> tuple[int, int]:
    """`ADDRESS,LENGTH`. Raises Malformed."""
    left, _, right = text.partition(b",")
    return number(left), number(right)


def part(document: bytes, offset: int, length: int) -> bytes:
    """The reply to a qXfer read: `m` when more follows, `l` with the last part."""
    found = document[offset : offset + length]
    return (b"m" if offset + length < len(document) else b"l") + found
