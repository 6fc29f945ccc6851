"""Images made byte by byte, as files have them."""

from __future__ import annotations

import struct

from vgicd_machine.board.memory import BASE


def elf(
    segments: list[tuple[int, bytes, int]],
    *,
    machine: int = 183,
    kind: int = 2,
    table: int = 64,
    claimed: int | None = None,
    virtual: int = 0,
) -> bytes:
    """An ELF with (physical address, contents, size in memory) segments, entered at BASE + 4.

    `virtual` is how far the virtual addresses, the entry's among them, are above the physical ones.
    """
    head = struct.pack("<16sHHIQQQIHHHHHH", b"\x7fELF\x02\x01\x01", kind, machine, 1, BASE + 4 + virtual, table, 0, 0,
                       64, 56, len(segments), 0, 0, 0)  # fmt: skip
    offset = 64 + 56 * len(segments)
    headers, data = b"", b""
    for address, content, size in segments:
        length = len(content) if claimed is None else claimed
        headers += struct.pack("<IIQQQQQQ", 1, 7, offset + len(data), address + virtual, address, length, size, 4)
        data += content
    return head + headers + data


def linux(code: bytes = b"", *, text_offset: int = 0, size: int = 0x1000, flags: int = 0xA) -> bytes:
    """An arm64 Image: a branch over its header, and `code`."""
    branch = 0x1400_0010  # b . + 64
    return struct.pack("<IIQQQ24s4sI", branch, 0, text_offset, size, flags, b"", b"ARM\x64", 0) + code
