"""Images, initrds and device trees: where they go, and which are refused."""

from __future__ import annotations

import gzip
import hashlib
import struct
from pathlib import Path

import pytest

from tests.guests.fakes import FakeGic
from tests.guests.images import elf, linux
from vgicd_machine.board.board import Board
from vgicd_machine.board.layout import Layout
from vgicd_machine.board.loader import FLAT_OFFSET
from vgicd_machine.board.memory import BASE, FLASH_SIZE
from vgicd_machine.errors import ImageError, MachineError
from vgicd_machine.gic.port import Window

MIB = 1 << 20


def board(mib: int = 1) -> Board:
    return Board(FakeGic(), lambda _byte: None, ram_size=mib * MIB)


def write(folder: Path, image: bytes, name: str = "image") -> Path:
    path = folder / name
    path.write_bytes(image)
    return path


def test_elf_goes_to_its_physical_addresses_with_zeroed_rest(tmp_path: Path) -> None:
    made = board()
    made.ram.write(BASE, b"\xff" * 32)
    path = write(tmp_path, elf([(BASE, b"abcd", 16), (BASE + 0x100, b"xy", 2)]))
    boot = made.load(path)
    assert (boot.entry, boot.kind, boot.sha256) == (BASE + 4, "elf", hashlib.sha256(path.read_bytes()).hexdigest())
    assert made.ram.read(BASE, 20) == b"abcd" + bytes(12) + b"\xff" * 4
    assert made.ram.read(BASE + 0x100, 2) == b"xy"


@pytest.mark.parametrize("kind", [2, 3], ids=["executable", "position independent"])
def test_elf_is_entered_at_the_physical_address_of_its_entry(tmp_path: Path, kind: int) -> None:
    image = elf([(BASE, b"abcdefgh", 8)], kind=kind, virtual=0xFFFF_0000_0000_0000)
    assert board().load(write(tmp_path, image)).entry == BASE + 4


def test_flat_binary_is_entered_at_its_first_byte(tmp_path: Path) -> None:
    path = write(tmp_path, b"flat")
    for address in (None, BASE + 0x40):
        made = board()
        boot = made.load(path, address=address)
        assert (boot.entry, boot.kind) == (BASE + FLAT_OFFSET if address is None else address, "flat")
        assert made.ram.read(boot.entry, 4) == b"flat"


@pytest.mark.parametrize(
    ("image", "entry"),
    [
        (linux(b"code"), BASE + 2 * MIB),
        (linux(b"code", text_offset=0x8_0000), BASE + 0x8_0000),
        (linux(b"code", text_offset=0x1000, size=0), BASE + 0x8_0000),
    ],
    ids=["new", "old", "without a size"],
)
@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
def test_linux_image_goes_to_its_offset_above_a_block(tmp_path: Path, image: bytes, entry: int, packed: bool) -> None:
    made = board(8)
    boot = made.load(write(tmp_path, gzip.compress(image, mtime=0) if packed else image))
    assert (boot.entry, boot.kind) == (entry, "linux")
    assert made.ram.read(entry, len(image)) == image


def test_kernel_that_unpacks_itself_under_efi_is_unpacked(tmp_path: Path) -> None:
    packed = gzip.compress(linux(b"code"), mtime=0)
    head = struct.pack("<4s4sII8s32s", b"MZ", b"zimg", 64, len(packed), b"", b"gzip")
    made = board(8)
    boot = made.load(write(tmp_path, head.ljust(64, b"\0") + packed + b"more"))
    assert made.ram.read(boot.entry + 64, 4) == b"code"
    with pytest.raises(ImageError, match="by zstd: unpack it to an Image first"):
        board(8).load(write(tmp_path, head.replace(b"gzip", b"zstd").ljust(64, b"\0") + packed))


def test_memory_that_a_kernel_uses_beyond_its_file_stays_free(tmp_path: Path) -> None:
    image = write(tmp_path, linux(b"code", size=6 * MIB))
    with pytest.raises(ImageError, match="wants 0x600000 bytes at 0x40200000, but RAM is 0x40000000 to 0x40700000"):
        board(7).load(image)
    made = board(16)
    boot = made.load(image, write(tmp_path, b"initrd", "initrd"))
    start = BASE + 8 * MIB
    assert made.ram.read(start, 6) == b"initrd"
    assert boot.context == BASE + 10 * MIB


def test_firmware_is_at_zero_in_memory_that_the_guest_may_not_write(tmp_path: Path) -> None:
    made = board()
    boot = made.load(write(tmp_path, b"firmware"), firmware=True)
    assert (boot.entry, boot.context, boot.kind) == (0, BASE, "firmware")
    ram, second, flash = made.memories
    assert (ram, second.base, second.writable) == (made.ram, FLASH_SIZE, False)
    assert (flash.base, flash.size, flash.writable) == (0, FLASH_SIZE, False)
    assert flash.read(0, 9) == b"firmware\0"
    with pytest.raises(ImageError, match="leave --load-address out"):
        board().load(write(tmp_path, b"firmware"), firmware=True, address=0)


@pytest.mark.parametrize(
    ("mib", "image", "tree"),
    [
        (128, elf([(BASE + 0x8_0000, b"abcd", 4)]), BASE),
        (128, elf([(BASE, b"abcd", 4)]), BASE + 64 * MIB),
        (128, b"flat", BASE + 64 * MIB),
        (1024, b"flat", BASE + 128 * MIB),
        (128, linux(size=70 * MIB), BASE + 72 * MIB),
    ],
    ids=["ELF with room below", "ELF without", "flat", "more RAM", "large kernel"],
)
def test_device_tree_is_where_qemu_has_it(tmp_path: Path, mib: int, image: bytes, tree: int) -> None:
    made = board(mib)
    boot = made.load(write(tmp_path, image))
    assert boot.context == tree
    assert made.ram.read(tree, len(boot.tree)) == boot.tree
    assert boot.tree.startswith(b"\xd0\x0d\xfe\xed")


def test_in_little_ram_the_device_tree_is_at_its_end(tmp_path: Path) -> None:
    made = board()
    boot = made.load(write(tmp_path, b"flat"))
    assert boot.context % 8 == 0
    assert boot.context + len(boot.tree) <= made.ram.end < boot.context + len(boot.tree) + 8


def test_initrd_is_described_and_before_the_device_tree(tmp_path: Path) -> None:
    made = board(128)
    boot = made.load(write(tmp_path, linux()), write(tmp_path, b"initrd", "initrd"))
    start = BASE + 64 * MIB
    assert made.ram.read(start, 6) == b"initrd"
    assert struct.pack(">Q", start) in boot.tree
    assert struct.pack(">Q", start + 6) in boot.tree
    assert boot.context == start + 2 * MIB


BROKEN = gzip.compress(b"x" * 100, mtime=0)


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (b"", "is empty"),
        (b"\x7fELF", "ends within its ELF header"),
        (elf([(BASE, b"a", 1)], machine=62), "not a 64-bit little-endian AArch64 executable"),
        (elf([(BASE, b"a", 1)], kind=1), "not a 64-bit little-endian AArch64 executable"),
        (elf([(BASE, b"a", 1)], table=1 << 20), "broken program header table"),
        (elf([(BASE, b"a", 100)], claimed=50), "longer than the file"),
        (elf([(BASE, b"ab", 1)]), "longer than the file"),
        (elf([]), "nothing to load"),
        (elf([(0, b"a", 1)]), "wants 0x1 bytes at 0x0, but RAM is 0x40000000 to 0x40100000"),
        (elf([(BASE + MIB - 1, b"ab", 2)]), "but RAM is"),
        (elf([(BASE, b"ab", 2), (BASE + 1, b"c", 1)]), r"\(0x40000001 to 0x40000002\) and .* overlap"),
        (elf([(BASE, b"a", MIB)]), "no room for the device tree of 0x.* bytes in RAM .*: give the machine more RAM"),
        (b"x" * MIB, "but RAM is"),
        (linux(flags=1), "big-endian kernel"),
        (BROKEN[:-10], "gzip file that ends too early"),
        (BROKEN[:20] + b"\xff" * 20, "broken gzip file"),
        (gzip.compress(bytes(2 * MIB), mtime=0), "when unpacked, and RAM is not"),
    ],
)
def test_bad_image_is_refused_and_ram_stays(tmp_path: Path, image: bytes, reason: str) -> None:
    made = board()
    with pytest.raises(ImageError, match=reason):
        made.load(write(tmp_path, image))
    assert not any(made.ram.read(BASE, MIB))


def test_what_does_not_fit_is_named(tmp_path: Path) -> None:
    image = write(tmp_path, b"flat")
    with pytest.raises(ImageError, match=r"no room for the initrd .*initrd of 0xa0000 bytes"):
        board().load(image, write(tmp_path, bytes(0xA_0000), "initrd"))
    with pytest.raises(ImageError, match=r"cannot read the initrd .*none: No such file"):
        board().load(image, initrd=tmp_path / "none")
    with pytest.raises(ImageError, match=r"cannot read the device tree .*none: No such file"):
        board().load(image, dtb=tmp_path / "none")


def test_an_address_is_for_flat_binaries(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="leave --load-address out"):
        board().load(write(tmp_path, elf([(BASE, b"a", 1)])), address=BASE)
    with pytest.raises(ImageError, match="not a multiple of 4"):
        board().load(write(tmp_path, b"flat"), address=BASE + 2)
    with pytest.raises(ImageError, match="above a multiple of 2 MiB"):
        board(8).load(write(tmp_path, linux()), address=BASE + MIB)


def test_missing_image(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="No such file"):
        board().load(tmp_path / "absent")


def test_room_is_found_between_what_is_there() -> None:
    layout = Layout(0x1000, 0x2000)
    layout.take("low", 0x1000, 0x100)
    layout.take("high", 0x1F00, 0x100)
    assert layout.place("one", 0x200, 0x1000, 0x100) == 0x1D00
    assert layout.place("two", 0xC00, 0x1100, 0x100) == 0x1100
    with pytest.raises(ImageError, match=r"beside low \(0x1000 to 0x1100\), two .*, one .*, high"):
        layout.place("three", 1, 0x1000, 1)


def test_an_interrupt_controller_where_the_uart_is_cannot_be() -> None:
    gic = FakeGic()
    gic.windows = (Window("GICD", 0x0900_0000, 0x1000), Window("GICC", 0x0801_0000, 0x2000))
    with pytest.raises(MachineError, match="GICD at 0x9000000 and UART at 0x9000000 overlap"):
        Board(gic, lambda _byte: None, ram_size=MIB)
