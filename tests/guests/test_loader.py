"""Images: where they go, and which are refused."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from vgicd_machine.board.loader import FLAT_OFFSET, load
from vgicd_machine.board.memory import BASE, Ram
from vgicd_machine.errors import ImageError

SIZE = 1 << 20


def elf(
    segments: list[tuple[int, bytes, int]],
    *,
    machine: int = 183,
    kind: int = 2,
    table: int = 64,
    claimed: int | None = None,
) -> bytes:
    """An ELF with (physical address, contents, size in memory) segments, entered at BASE + 4."""
    head = struct.pack("<16sHHIQQQIHHHHHH", b"\x7fELF\x02\x01\x01", kind, machine, 1, BASE + 4, table, 0, 0, 64, 56,
                       len(segments), 0, 0, 0)  # fmt: skip
    offset = 64 + 56 * len(segments)
    headers, data = b"", b""
    for address, content, size in segments:
        length = len(content) if claimed is None else claimed
        headers += struct.pack("<IIQQQQQQ", 1, 7, offset + len(data), address, address, length, size, 4)
        data += content
    return head + headers + data


def write(folder: Path, image: bytes) -> Path:
    path = folder / "image"
    path.write_bytes(image)
    return path


def test_elf_goes_to_its_physical_addresses_with_zeroed_rest(tmp_path: Path) -> None:
    ram = Ram(SIZE)
    ram.write(BASE, b"\xff" * 32)
    image = elf([(BASE, b"abcd", 16), (BASE + 0x100, b"xy", 2)])
    assert load(write(tmp_path, image), ram) == BASE + 4
    assert ram.read(BASE, 20) == b"abcd" + bytes(12) + b"\xff" * 4
    assert ram.read(BASE + 0x100, 2) == b"xy"


def test_flat_binary_is_entered_at_its_first_byte(tmp_path: Path) -> None:
    ram = Ram(SIZE)
    path = write(tmp_path, b"flat")
    assert load(path, ram) == BASE + FLAT_OFFSET
    assert load(path, ram, BASE + 0x40) == BASE + 0x40
    assert ram.read(BASE + FLAT_OFFSET, 4) == ram.read(BASE + 0x40, 4) == b"flat"


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (b"", "is empty"),
        (b"\x7fELF", "ends within its ELF header"),
        (elf([(BASE, b"a", 1)], machine=62), "not a 64-bit little-endian AArch64 executable"),
        (elf([(BASE, b"a", 1)], kind=3), "not a 64-bit little-endian AArch64 executable"),
        (elf([(BASE, b"a", 1)], table=1 << 20), "broken program header table"),
        (elf([(BASE, b"a", 100)], claimed=50), "longer than the file"),
        (elf([(BASE, b"ab", 1)]), "longer than the file"),
        (elf([]), "nothing to load"),
        (elf([(0, b"a", 1)]), "wants 0x1 bytes at 0x0, but RAM is 0x40000000 to 0x40100000"),
        (elf([(BASE + SIZE - 1, b"ab", 2)]), "but RAM is"),
        (b"x" * SIZE, "but RAM is"),
    ],
)
def test_bad_image_is_refused_and_ram_stays(tmp_path: Path, image: bytes, reason: str) -> None:
    ram = Ram(SIZE)
    with pytest.raises(ImageError, match=reason):
        load(write(tmp_path, image), ram)
    assert not any(ram.read(BASE, SIZE))


def test_elf_decides_its_own_address(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="leave the address out"):
        load(write(tmp_path, elf([(BASE, b"a", 1)])), Ram(SIZE), BASE)


def test_missing_image(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="No such file"):
        load(tmp_path / "absent", Ram(SIZE))
