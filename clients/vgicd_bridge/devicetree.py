"""The one property of QEMU's device tree that the bridge changes: how much memory there is.

QEMU has put the blob into RAM by the time its machine stands still before the first instruction; the property keeps
its size, so that it is changed in place (Devicetree Specification 0.4, 5).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

MAGIC: Final = b"\xd0\x0d\xfe\xed"
_HEADER: Final = struct.Struct(">10I")
_BEGIN, _END, _PROPERTY, _NOP = 1, 2, 3, 4
_WORD: Final = struct.Struct(">I")
_PAIR: Final = struct.Struct(">II")
_REG: Final = struct.Struct(">QQ")
_DEEPEST: Final = 64


class Property(NamedTuple):
    """A property of the node at `path`; `at` is its value's offset in the blob."""

    path: tuple[str, ...]
    name: str
    at: int
    size: int


def blobs(data: bytes) -> Iterator[int]:
    """The offsets in `data` at which a device tree may begin."""
    at = data.find(MAGIC)
    while at >= 0:
        yield at
        at = data.find(MAGIC, at + 1)


def properties(blob: bytes) -> Iterator[Property]:
    """All of them, in order. Ends where the blob is not well formed: what looks like one may be anything."""
    if len(blob) < _HEADER.size:
        return
    _, total, structure, strings, _, _, _, _, _, structure_size = _HEADER.unpack_from(blob)
    end = structure + structure_size
    if not _HEADER.size <= structure <= end <= min(total, len(blob)) or not strings <= total <= len(blob):
        return
    path: list[str] = []
    at = structure
    while at + 4 <= end:
        (token,) = _WORD.unpack_from(blob, at)
        at += 4
        if token == _BEGIN and len(path) < _DEEPEST:
            name = _text(blob, at)
            path.append(name)
            at += len(name) // 4 * 4 + 4
        elif token == _END and path:
            path.pop()
        elif token == _PROPERTY and at + 8 <= end:
            size, name_at = _PAIR.unpack_from(blob, at)
            if at + 8 + size > end:
                return
            yield Property(tuple(path[1:]), _text(blob, strings + name_at), at + 8, size)
            at += 8 + -(-size // 4) * 4
        elif token != _NOP:
            return


def memory_size_at(blob: bytes, base: int, size: int) -> int | None:
    """The offset of the 64-bit size in the `reg` of the memory node that says `size` bytes from `base`."""
    for found in properties(blob):
        of_memory = len(found.path) == 1 and found.path[0].partition("@")[0] == "memory"
        if not of_memory or found.name != "reg" or found.size != _REG.size:
            continue
        if _REG.unpack_from(blob, found.at) == (base, size):
            return found.at + 8
    return None


def _text(blob: bytes, at: int) -> str:
    end = blob.find(b"\0", at)
    return blob[at : end if end >= 0 else len(blob)].decode("ascii", "replace")
