"""The SVD file against Arm's schema, a parser that is not ours, and a domain."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from importlib.resources import files

import pytest
from cmsis_svd.model import SVDDevice, SVDRegister
from cmsis_svd.parser import SVDParser
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from tests.unit.export.domains import SHAPES, Shown, shown
from vgicd.domain.errors import Code, RequestError
from vgicd.domain.operations import Enter, Gich, Mode, Plane, Read, Space, Write
from vgicd.export.places import FRAMES
from vgicd.export.svd import svd
from vgicd.hw.gich import GICH
from vgicd.hw.gich import Gich as Interface
from vgicd.hw.list_register import HARDWARE, SOFTWARE
from vgicd.registers import Layout

SPACES = {"GICD": Space.GICD, "GICC": Space.GICC, "GICH": Space.GICH}
ALTERNATE = "_SOFTWARE"
ALL = 0xFFFFFFFF


@cache
def made(shape: str) -> tuple[Shown, bytes]:
    it = shown(**SHAPES[shape])
    return it, svd(it.layout, it.lrs)


@pytest.fixture(params=SHAPES)
def shape(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@cache
def parsed(shape: str) -> SVDDevice:
    root = etree.fromstring(made(shape)[1])
    return SVDParser(etree.ElementTree(root)).get_device()


def registers(shape: str) -> Iterator[tuple[str, SVDRegister]]:
    """(frame, register) of every register."""
    for peripheral in parsed(shape).peripherals:
        for register in peripheral.registers:
            yield peripheral.name, register


@pytest.mark.parametrize("version", ["1_3_1", "1_3_10"])
def test_arms_schema_admits_it(shape: str, version: str) -> None:
    schema = files("cmsis_svd") / "schemas" / f"CMSIS-SVD_{version}.xsd"
    etree.XMLSchema(etree.parse(str(schema))).assertValid(etree.fromstring(made(shape)[1]))


def test_it_says_every_thing_once(shape: str) -> None:
    text = made(shape)[1].decode()
    assert "<dim>" not in text
    assert "<cluster>" not in text
    for peripheral in parsed(shape).peripherals:
        names = [register.name for register in peripheral.registers]
        assert len(names) == len(set(names))
        for register in peripheral.registers:
            fields = [field.name for field in register.fields]
            assert len(fields) == len(set(fields))


def test_registers_lie_where_the_domain_has_them(shape: str) -> None:
    it, _ = made(shape)
    for peripheral in parsed(shape).peripherals:
        for register in peripheral.registers:
            address = peripheral.base_address + register.address_offset
            decoded = it.domain.address_map.decode(address, guest=False)
            space, offset = decoded or (Space.GICH, register.address_offset)
            assert space == SPACES[peripheral.name]
            name = f"{peripheral.name}_{register.name.removesuffix(ALTERNATE)}"
            assert FRAMES[space].register_name(offset) == name
            (block,) = peripheral.address_blocks
            assert register.address_offset + 4 <= block.size


def test_nothing_is_missing(shape: str) -> None:
    it, _ = made(shape)
    found = {(frame, register.name) for frame, register in registers(shape)}
    expected = set()
    for frame in FRAMES.values():
        for offset in range(0, frame.size, 4):
            if frame.gate(offset, 4, it.layout.nr_irqs) is not None:
                expected.add((frame.name, frame.register_name(offset).removeprefix(f"{frame.name}_")))
    missing_lrs = {("GICH", f"LR{n}") for n in range(it.lrs, 64)}
    alternates = {("GICH", f"LR{n}{ALTERNATE}") for n in range(it.lrs)}
    assert found == expected - missing_lrs | alternates


def test_only_a_read_that_acknowledges_has_an_action(shape: str) -> None:
    found = {f"{frame}_{r.name}" for frame, r in registers(shape) if r.read_action is not None}
    assert found == {"GICC_IAR", "GICC_AIAR"}
    assert {r.read_action.value for _, r in registers(shape) if r.read_action is not None} == {"modify"}


def test_set_and_clear_registers_say_what_a_written_one_does(shape: str) -> None:
    found = {
        f"{frame}_{r.name.rstrip('0123456789')}": r.modified_write_values.value
        for frame, r in registers(shape)
        if r.modified_write_values is not None
    }
    sets, clears = "oneToSet", "oneToClear"
    assert found == {
        "GICD_ISENABLER": sets, "GICD_ICENABLER": clears, "GICD_ISPENDR": sets, "GICD_ICPENDR": clears,
        "GICD_ISACTIVER": sets, "GICD_ICACTIVER": clears, "GICD_SPENDSGIR": sets, "GICD_CPENDSGIR": clears,
    }  # fmt: skip


def test_write_only_are_the_commands() -> None:
    found = {f"{frame}_{r.name}" for frame, r in registers("one") if r.access.value == "write-only"}
    assert found == {"GICD_SGIR", "GICC_EOIR", "GICC_AEOIR", "GICC_DIR"}


def look(it: Shown, space: int, offset: int) -> int:
    return int(it.domain.apply(Read(0, space, offset, 4, Plane.DEBUG)).value)


def test_reset_values_are_those_of_a_new_domain(shape: str) -> None:
    """Of GICH they are the silicon's, which the hypervisor has changed as soon as there is a domain."""
    it, silicon = shown(**SHAPES[shape]), Interface(SHAPES[shape].get("lrs", 4))
    masks = {(frame, r.name): r.reset_mask for frame, r in registers(shape)}
    for frame, register in registers(shape):
        offset = offset_of(shape, frame, register)
        if frame == "GICH":
            row = GICH.row_at(offset)
            assert row is not None
            value = row.read(silicon, offset)
        else:
            value = look(it, SPACES[frame], offset)
        if masks[frame, register.name]:
            assert value == register.reset_value, f"{frame}_{register.name}"
    unknown = {f"{frame}_{name.rstrip('0123456789')}" for (frame, name), mask in masks.items() if not mask}
    assert unknown <= {"GICD_TYPER", "GICD_IIDR", "GICD_ITARGETSR", "GICH_VTR", "GICH_ELRSR"}


def offset_of(shape: str, frame: str, register: SVDRegister) -> int:
    """The register's offset in the frame, whose pages a window may show elsewhere."""
    name = f"{frame}_{register.name.removesuffix(ALTERNATE)}"
    return next(o for o in range(0, 0x2000, 4) if FRAMES[SPACES[frame]].register_name(o) == name)


def write(it: Shown, space: int, offset: int, value: int) -> None:
    """As whoever may: the guest, or the hypervisor, who is told what cannot be written."""
    if space == Space.GICH:
        try:
            it.domain.apply(Gich(0, offset, value))
        except RequestError as error:
            if error.code is not Code.READ_ONLY:
                raise
    else:
        it.domain.apply(Write(0, space, offset, 4, value))


def twin_of(name: str) -> str:
    """The register that sets what register `name` clears."""
    return name.replace("IC", "IS", 1) if name.startswith("IC") else name.replace("C", "S", 1)


def test_what_is_read_only_ignores_writes_and_what_is_not_takes_some() -> None:
    for frame, register in registers("pair"):
        if register.access.value == "write-only" or register.name.endswith(ALTERNATE):
            continue
        if register.name in {"LR1", "LR2", "LR3"}:
            continue  # they are filled in order, LR0 first
        it = shown(**SHAPES["pair"])
        space, offset = SPACES[frame], register.address_offset
        if space == Space.GICH:
            it.domain.apply(Mode(explicit=True))
            it.domain.apply(Enter(0))
        if register.modified_write_values is not None and register.modified_write_values.value == "oneToClear":
            twin = next(r for f, r in registers("pair") if (f, r.name) == (frame, twin_of(register.name)))
            write(it, space, twin.address_offset, ALL)
        before = look(it, space, offset)
        attempts = [ALL] if register.modified_write_values is not None else [ALL, ~before & ALL]
        if register.name.startswith("LR"):
            attempts = [SOFTWARE.encode(State=1, VirtualID=40)]  # what a list register may hold
        seen = set()
        for value in attempts:
            write(it, space, offset, value)
            seen.add(look(it, space, offset))
        changed = seen != {before}
        assert changed == (register.access.value == "read-write"), f"{frame}_{register.name}"


@pytest.mark.parametrize(("suffix", "layout"), [("", HARDWARE), (ALTERNATE, SOFTWARE)])
def test_a_list_register_is_described_in_both_its_meanings(suffix: str, layout: Layout) -> None:
    found = {r.name: r for frame, r in registers("one") if frame == "GICH"}
    register = found[f"LR3{suffix}"]
    assert register.alternate_register == ("LR3" if suffix else None)
    fields = {field.name: (field.bit_offset, field.bit_width) for field in register.fields}
    assert fields == {field.name: (field.lsb, field.width) for field in layout.fields}
    (values,) = next(field for field in register.fields if field.name == "State").enumerated_values
    assert [(v.name, v.value) for v in values.enumerated_values] == [
        ("INVALID", 0), ("PENDING", 1), ("ACTIVE", 2), ("PENDING_AND_ACTIVE", 3),
    ]  # fmt: skip


@given(intid=st.integers(0, 95))
def test_an_interrupts_field_is_where_the_domain_keeps_it(intid: int) -> None:
    """Interrupt 40's priority, for instance, is bits 7:0 of IPRIORITYR10."""
    bits = {"ISENABLER": 1, "ICFGR": 2, "IPRIORITYR": 8, "ITARGETSR": 8}
    found = {r.name: r for frame, r in registers("one") if frame == "GICD"}
    for name, width in bits.items():
        register = found[f"{name}{intid * width // 32}"]
        (field,) = (field for field in register.fields if field.name == f"IRQ{intid}")
        assert (field.bit_offset, field.bit_width) == (intid * width % 32, width)


def test_equal_domains_have_equal_files(shape: str) -> None:
    """Byte by byte: the file can be kept under version control."""
    it = shown(**SHAPES[shape])
    assert svd(it.layout, it.lrs) == made(shape)[1]
