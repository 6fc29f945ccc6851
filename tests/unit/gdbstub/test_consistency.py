"""One declaration, many uses: every register is the same wherever a debugger meets it.

The rows are compared with what was made of them, each read back from its own format: the symbols and types of the ELF
file, the SVD file, the register description of the client, target.xml, and memory.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree as ET

import pytest
from elftools.elf.elffile import ELFFile

from tests.unit.gdbstub.local import LocalTarget, bring_up, take
from vgicd.domain import operations as op
from vgicd.domain.config import DomainConfig
from vgicd.domain.domain import Domain
from vgicd.export import places, svd
from vgicd.export.typed_elf import symbol_file
from vgicd.gdbstub import memory, registers, target_xml
from vgicd.gdbstub.arch import ARCHES
from vgicd.gdbstub.target import Refused
from vgicd.hw.gich import GICH
from vgicd.hw.gicv import GICC
from vgicd.hw.list_register import HARDWARE, SOFTWARE
from vgicd.registers import Register
from vgicd.vgic.distributor import GICD

DESCRIPTION = Path(__file__).resolve().parents[3] / "clients" / "vgicd_client" / "registers.json"
SHAPES: dict[str, dict[str, Any]] = {
    "virt": {"vcpus": 2},
    "xen-guest": {"vcpus": 2, "profile": "xen-guest"},
    "largest": {"vcpus": 8, "spis": 960, "lrs": 64},
    "smallest": {"spis": 0, "lrs": 1},
}
Fields = dict[str, tuple[int, int]]  # name -> lowest bit and width


class Known(NamedTuple):
    """A register word as the rows have it."""

    window: str
    row: Register
    offset: int
    address: int


@cache
def target_of(shape: str, arch: str = "x86-64") -> LocalTarget:
    target = LocalTarget(Domain(DomainConfig(**SHAPES[shape])), arch=arch)
    bring_up(target.domain)
    take(target.domain, 20, 0x50)
    target.domain.apply(op.Line(21, 1, 0))
    return target


@cache
def words(shape: str) -> dict[str, Known]:
    """Every register word that the domain has, by name: found by asking the gates for every offset."""
    target = target_of(shape)
    found = {}
    for window, frame in (("gicd", GICD), ("gicc", GICC), ("gich", GICH)):
        for offset in range(0, frame.size, 4):
            row = frame.gate(offset, 4, target.domain.vgic.nr_irqs)
            if row is None or (row.name == "GICH_LR" and offset >= 0x100 + 4 * target.domain.config.lrs):
                continue
            found[frame.register_name(offset)] = Known(window, row, offset, target.at(window, offset))
    return found


def fields_of(row: Register) -> Fields:
    layout = HARDWARE if row.name == "GICH_LR" else row.fields
    return {} if layout is None else {field.name: (field.lsb, field.width) for field in layout.fields}


@pytest.fixture(params=SHAPES)
def shape(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_there_is_something_to_compare() -> None:
    assert {shape: len(words(shape)) for shape in SHAPES} == {
        "virt": 126, "xen-guest": 126, "largest": 886, "smallest": 73,
    }  # fmt: skip


@pytest.mark.parametrize("arch", ARCHES)
def test_the_symbols_of_the_elf_file(shape: str, arch: str) -> None:
    target = target_of(shape, arch)
    data = symbol_file(target.arch, target.layout, target.domain.config.lrs, target.names)
    symbols = {
        symbol.name: (symbol["st_value"], symbol["st_size"])
        for symbol in ELFFile(io.BytesIO(data)).get_section_by_name(".symtab").iter_symbols()
        if symbol.name.startswith(("GICD_", "GICC_", "GICH_"))
    }
    assert symbols == {name: (target.at(word.window, word.offset), 4) for name, word in words(shape).items()}


def test_the_types_of_the_elf_file(shape: str) -> None:
    """A member of the frame's structure is the row: there, that long, with those bit fields."""
    target = target_of(shape)
    data = symbol_file(target.arch, target.layout, target.domain.config.lrs, target.names)
    (unit,) = ELFFile(io.BytesIO(data)).get_dwarf_info().iter_CUs()
    structures = {
        entry.attributes["DW_AT_name"].value.decode(): entry
        for entry in unit.get_top_DIE().iter_children()
        if entry.tag == "DW_TAG_structure_type"
    }
    for frame in (GICD, GICC, GICH):
        members = {
            member.attributes["DW_AT_name"].value.decode(): member
            for member in structures[frame.name.lower()].iter_children()
        }
        assert list(members) == [row.name.removeprefix(f"{frame.name}_") for row in frame.rows]
        for row, member in zip(frame.rows, members.values(), strict=True):
            assert member.attributes["DW_AT_data_member_location"].value == row.offset
            kind = member.get_DIE_from_attribute("DW_AT_type")
            if kind.tag == "DW_TAG_array_type":
                kind = kind.get_DIE_from_attribute("DW_AT_type")
            bit_fields = {
                field.attributes["DW_AT_name"].value.decode(): (
                    field.attributes["DW_AT_data_bit_offset"].value,
                    field.attributes["DW_AT_bit_size"].value,
                )
                for field in (kind.iter_children() if kind.tag == "DW_TAG_structure_type" else ())
            }
            assert bit_fields == ({} if is_number(row) else fields_of(row))


def is_number(row: Register) -> bool:
    """Is the register its only field, which tools then show as a number?"""
    fields = fields_of(row)
    return len(fields) == 1 and next(iter(fields.values()))[1] > 1


def number(element: ET.Element, tag: str) -> int:
    return int(str(element.findtext(tag)), 0)


def svd_registers(shape: str) -> Iterator[tuple[str, ET.Element, int]]:
    target = target_of(shape)
    root = ET.fromstring(svd.svd(target.layout, target.domain.config.lrs))
    for peripheral in root.iter("peripheral"):
        base = number(peripheral, "baseAddress")
        for register in peripheral.iter("register"):
            if register.find("alternateRegister") is None:
                name = f"{peripheral.findtext('name')}_{register.findtext('name')}"
                yield name, register, base + number(register, "addressOffset")


def test_the_svd_file(shape: str) -> None:
    known = words(shape)
    found = {name: address for name, _, address in svd_registers(shape)}
    assert found == {name: word.address for name, word in known.items()}
    for name, register, _ in svd_registers(shape):
        row = known[name].row
        assert (register.findtext("readAction") is not None) == row.read_effect
        if not row.bits:
            fields = {
                str(field.findtext("name")): (
                    int(str(field.findtext("bitOffset"))),
                    int(str(field.findtext("bitWidth"))),
                )
                for field in register.iter("field")
            }
            assert fields == fields_of(row)


def test_the_description_of_the_client(shape: str) -> None:
    frames = json.loads(DESCRIPTION.read_text(encoding="utf-8"))["frames"]
    described = {row["name"]: row for frame in frames.values() for row in frame["registers"]}
    for word in words(shape).values():
        row = described[word.row.name]
        assert (row["offset"], row["length"], row["bits"]) == (word.row.offset, word.row.length, word.row.bits)
        assert (row["access"], row["read_effect"]) == (word.row.access, word.row.read_effect)
        assert sum(row["widths"]) == word.row.widths
        if word.row.name != "GICH_LR":
            assert {field["name"]: (field["lsb"], field["width"]) for field in row["fields"]} == fields_of(word.row)


@pytest.mark.parametrize("arch", ARCHES)
def test_the_registers_of_target_xml(shape: str, arch: str) -> None:
    """All that can be read of the two interfaces, with the fields of the rows."""
    root = ET.fromstring(target_xml.target_description(target_of(shape, arch)))
    ours = [reg for reg in root.iter("reg") if reg.attrib["name"].startswith("gic")]
    known = {name: word for name, word in words(shape).items() if word.window != "gicd" and word.row.access != "WO"}
    assert [reg.attrib["name"] for reg in ours] == [name.lower() for name in known]
    flags = {kind.attrib["id"]: kind for kind in root.iter("flags")}
    for register, word in zip(ours, known.values(), strict=True):
        kind = register.attrib["type"]
        places_of = sorted(
            (int(field.attrib["start"]), int(field.attrib["end"]) - int(field.attrib["start"]) + 1)
            for field in (flags[kind].iter("field") if kind in flags else ())
        )
        expected = [] if is_number(word.row) else sorted(fields_of(word.row).values())
        if word.row.name == "GICH_LR":
            expected = sorted([*expected, (SOFTWARE["EOI"].lsb, 1)])
        assert places_of == expected


def test_memory_reads_what_the_row_answers(shape: str) -> None:
    target = target_of(shape)
    spaces = {"gicd": op.Space.GICD, "gicc": op.Space.GICC, "gich": op.Space.GICH}
    for vcpu in range(target.vcpus):
        numbers = {found.name: found.number for found in registers.registers_of(target)}
        for name, word in words(shape).items():
            answer = target.peek(vcpu, spaces[word.window], word.offset, 4).to_bytes(4, "little")
            assert memory.read(target, vcpu, word.address, 4) == answer
            assert memory.read(target, 1 - vcpu & 1, target.at(f"{word.window}{vcpu}", word.offset), 4) == answer
            if name.lower() in numbers:
                assert registers.read(target, vcpu, numbers[name.lower()], 0) == answer


def test_memory_takes_what_the_row_takes(shape: str) -> None:
    """In the widths of the row, unless it is read-only; SVD viewers are told the same."""
    target = target_of(shape)
    access = {name: register.findtext("access") for name, register, _ in svd_registers(shape)}
    spaces = {"gicd": op.Space.GICD, "gicc": op.Space.GICC, "gich": op.Space.GICH}
    for name, word in words(shape).items():
        for size in (1, 2, 4, 8):
            if word.offset % size:
                continue
            taken = bool(word.row.widths & size) and access[name] != "read-only"
            try:
                memory.check_write(target.domain, spaces[word.window], word.offset, size)
            except Refused as refused:
                if taken:
                    raise AssertionError(f"{name}, {size} bytes: {refused.text}") from None
            else:
                assert taken, (name, size)


def test_the_enumerators_are_the_same(shape: str) -> None:
    """PENDING means the same in $gich_lr0, in gich.LR[0].State and in an SVD viewer."""
    target = target_of(shape)
    expected = {places.enumerator(meaning): value for value, meaning in HARDWARE["State"].values.items()}
    root = ET.fromstring(target_xml.target_description(target))
    (enum,) = (kind for kind in root.iter("enum") if kind.attrib["id"].startswith("gich_lr"))
    assert {value.attrib["name"]: int(value.attrib["value"]) for value in enum} == expected
    data = symbol_file(target.arch, target.layout, target.domain.config.lrs, target.names)
    (unit,) = ELFFile(io.BytesIO(data)).get_dwarf_info().iter_CUs()
    (state,) = (
        entry
        for entry in unit.get_top_DIE().iter_children()
        if entry.tag == "DW_TAG_enumeration_type" and entry.attributes["DW_AT_name"].value == b"State"
    )
    assert {
        value.attributes["DW_AT_name"].value.decode(): value.attributes["DW_AT_const_value"].value
        for value in state.iter_children()
    } == expected
    register = next(register for name, register, _ in svd_registers(shape) if name == "GICH_LR0")
    (viewed,) = (field for field in register.iter("field") if field.findtext("name") == "State")
    assert {
        str(value.findtext("name")): int(str(value.findtext("value"))) for value in viewed.iter("enumeratedValue")
    } == expected
