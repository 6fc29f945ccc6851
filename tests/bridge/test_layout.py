"""What the bridge puts into the machine's memory: the stub, its tables, and a smaller size in the device tree."""

from __future__ import annotations

import subprocess
from importlib.resources import files
from pathlib import Path

import fdt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tools import require_tool
from vgicd_bridge import devicetree, mailbox, stage2
from vgicd_bridge.stage2 import Span

STUB = files("vgicd_bridge")
NOP = 0xD503201F
BASE = 0x60004000
HOLES = (Span(0x08000000, 0x08001000), Span(0x08010000, 0x08012000), Span(0x60000000, 256 << 30))


def test_the_stub_that_is_shipped_is_what_its_source_says(tmp_path: Path) -> None:
    require_tool("aarch64-linux-gnu-gcc", "gcc-aarch64-linux-gnu")
    made, flat = tmp_path / "stub.o", tmp_path / "stub.bin"
    subprocess.run(["aarch64-linux-gnu-gcc", "-c", str(STUB / "stub.S"), "-o", str(made)], check=True)
    relocations = subprocess.run(["aarch64-linux-gnu-objdump", "-r", str(made)], check=True, capture_output=True)
    assert b"R_AARCH64" not in relocations.stdout, "the stub is copied, never linked"
    subprocess.run(["aarch64-linux-gnu-objcopy", "-O", "binary", "-j", ".text", str(made), str(flat)], check=True)
    assert flat.read_bytes() == (STUB / "stub.bin").read_bytes(), "assemble stub.S anew: see this test"


def test_the_breakpoint_is_on_the_stubs_nop() -> None:
    code = (STUB / "stub.bin").read_bytes()
    assert int.from_bytes(code[mailbox.TRAP_POINT :][:4], "little") == NOP
    assert len(code) <= mailbox.PAGE


def walk(tables: bytes, address: int) -> int | None:
    """DDI 0487 D5.2.6: what stage 2 makes of `address`, None for a fault."""
    index, at = address >> 30, 0
    for shift in (30, 21, 12):
        entry = int.from_bytes(tables[at + 8 * index :][:8], "little")
        if not entry & 1:
            return None
        assert entry & 1 << 10 or entry & 3 == 3, "a block or page whose access flag is clear would fault"
        if shift == 12 or not entry & 2:
            low = (1 << shift) - 1
            return entry & ((1 << 48) - 1) & ~low | address & low
        at = (entry & ~0xFFF) - BASE
        index = address >> shift - 9 & 511
    raise AssertionError("unreachable")


TABLES = stage2.tables(BASE, HOLES, 0x40000000)


@given(
    st.one_of(
        st.integers(0, (1 << stage2.ADDRESS_BITS) - 1),
        st.sampled_from([edge + offset for hole in HOLES for edge in hole for offset in (-1, 0, 1, 0xFFF, 0x1000)]),
        st.integers(0x07FF0000, 0x08100000),
    )
)
def test_every_address_is_itself_but_for_the_holes(address: int) -> None:
    hidden = any(hole.start <= address < hole.end for hole in HOLES)
    assert walk(TABLES, address) == (None if hidden else address)


def tree(base: int, size: int) -> bytes:
    made = fdt.FDT()
    made.header.version = 17
    made.header.last_comp_version = 16
    made.add_item(fdt.PropWords("#address-cells", 2))
    chosen = fdt.Node("chosen")
    chosen.append(fdt.PropStrings("bootargs", "console=ttyAMA0"))
    chosen.append(fdt.Node("memory"))
    memory = fdt.Node("memory@40000000")
    memory.append(fdt.PropStrings("device_type", "memory"))
    memory.append(fdt.PropWords("reg", base >> 32, base & 0xFFFFFFFF, size >> 32, size & 0xFFFFFFFF))
    made.add_item(chosen)
    made.add_item(memory)
    return bytes(made.to_dtb())


@pytest.mark.parametrize("size", [0x20200000, 0x1_0020_0000])
def test_the_memory_node_is_found_and_changed_in_place(size: int) -> None:
    blob = bytearray(b"\0" * 64 + tree(0x40000000, size))
    (at,) = devicetree.blobs(bytes(blob))
    found = devicetree.memory_size_at(bytes(blob[at:]), 0x40000000, size)
    assert found is not None
    blob[at + found : at + found + 8] = (size - 0x200000).to_bytes(8, "big")
    reg = fdt.parse_dtb(bytes(blob[at:])).get_property("reg", "/memory@40000000")
    assert list(reg.data) == [0, 0x40000000, (size - 0x200000) >> 32, (size - 0x200000) & 0xFFFFFFFF]


def test_another_machines_tree_is_left_alone() -> None:
    assert devicetree.memory_size_at(tree(0x80000000, 0x20200000), 0x40000000, 0x20200000) is None


@given(st.binary(max_size=200), st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=6))
def test_what_only_looks_like_a_tree_does_no_harm(tail: bytes, changes: list[tuple[int, int]]) -> None:
    blob = bytearray(tree(0x40000000, 0x20200000))
    for at, value in changes:
        blob[at % len(blob)] = value
    for data in (devicetree.MAGIC + tail, bytes(blob), bytes(blob[: len(tail)])):
        assert all(0 <= found.at <= len(data) for found in devicetree.properties(data))
        devicetree.memory_size_at(data, 0x40000000, 0x20200000)
