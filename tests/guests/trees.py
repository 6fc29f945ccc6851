"""Reading a flattened device tree without the library that makes it (Devicetree Specification 0.4, chapter 5)."""

from __future__ import annotations

import struct


def flatten(blob: bytes) -> dict[str, bytes]:
    """Every property by its path, `/cpus/cpu@0/reg`, and every node by its own with a slash behind, `/cpus/`."""
    magic, total, structure, strings, reservations, version = struct.unpack_from(">6I", blob)
    assert (magic, version) == (0xD00DFEED, 17)
    assert total <= len(blob)
    assert structure % 4 == reservations % 8 == 0
    found: dict[str, bytes] = {}
    path: list[str] = []
    at = structure
    while True:
        (token,) = struct.unpack_from(">I", blob, at)
        at += 4
        if token == 1:  # FDT_BEGIN_NODE
            end = blob.index(b"\0", at)
            path.append(blob[at:end].decode())
            at = end + 4 & ~3
            found["/".join(path) + "/"] = b""
        elif token == 2:  # FDT_END_NODE
            path.pop()
        elif token == 3:  # FDT_PROP
            size, name = struct.unpack_from(">II", blob, at)
            key = blob[strings + name : blob.index(b"\0", strings + name)].decode()
            found["/".join([*path, key])] = blob[at + 8 : at + 8 + size]
            at += 8 + size + 3 & ~3
        elif token == 9:  # FDT_END
            assert not path
            return found


def reservations(blob: bytes) -> list[tuple[int, int]]:
    """The memory that the tree reserves, as (address, size)."""
    (at,) = struct.unpack_from(">I", blob, 16)
    pairs = []
    while (pair := struct.unpack_from(">QQ", blob, at)) != (0, 0):
        pairs.append(pair)
        at += 16
    return pairs
