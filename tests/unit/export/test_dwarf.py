"""The DWARF builder, read back by pyelftools."""

from __future__ import annotations

import io

import pytest
from elftools.common.utils import bytes2str
from elftools.dwarf.callframe import FDE
from elftools.dwarf.die import DIE
from elftools.dwarf.dwarfinfo import DWARFInfo
from elftools.elf.elffile import ELFFile
from hypothesis import given
from hypothesis import strategies as st

from vgicd.export.dwarf import Code, Encoding, FrameRules, Member, Unit, abbreviations, uleb
from vgicd.export.elf import Section, write
from vgicd.gdbstub.arch import ARCHES, Arch


def read(info: bytes = b"", frames: bytes = b"", bits: int = 64) -> DWARFInfo:
    sections = [Section(".debug_info", content=info), Section(".debug_abbrev", content=abbreviations())]
    if frames:
        sections.append(Section(".debug_frame", content=frames))
    return ELFFile(io.BytesIO(write(62 if bits == 64 else 40, bits, sections))).get_dwarf_info()


def name(entry: DIE) -> str:
    return bytes2str(entry.attributes["DW_AT_name"].value)


@given(st.integers(0, 1 << 70))
def test_uleb_is_base_128_least_significant_first(value: int) -> None:
    encoded = uleb(value)
    assert sum((byte & 0x7F) << 7 * place for place, byte in enumerate(encoded)) == value
    assert [byte >> 7 for byte in encoded] == [1] * (len(encoded) - 1) + [0]
    assert len(encoded) == 1 or encoded[-1]  # the shortest form


@pytest.mark.parametrize("word", [4, 8])
def test_types_and_variables_come_back_as_they_were_declared(word: int) -> None:
    unit = Unit("name", "producer", word)
    number = unit.base("unsigned int", 4, Encoding.UNSIGNED)
    state = unit.enumeration("State", 4, number, {0: "INVALID", 200: "OTHER"})
    bits = unit.structure("bits", 4, [Member("Low", number, lsb=0, width=10), Member("State", state, lsb=28, width=2)])
    row = unit.array(bits, 300, number)
    frame = unit.structure("frame", 0x2000, [Member("ROW", row, 0x100), Member("DIR", number, 0x1000)])
    unit.variable("thing", frame, 0x0802_0000)
    dwarf = read(unit.finish(), bits=8 * word)

    (found,) = dwarf.iter_CUs()
    assert (found["version"], found["address_size"]) == (4, word)
    entries = {name(entry): entry for entry in found.iter_DIEs() if "DW_AT_name" in entry.attributes}
    thing = entries["thing"]
    assert list(thing.attributes["DW_AT_location"].value) == [3, *(0x0802_0000).to_bytes(word, "little")]
    structure = thing.get_DIE_from_attribute("DW_AT_type")
    assert (structure.tag, structure.attributes["DW_AT_byte_size"].value) == ("DW_TAG_structure_type", 0x2000)
    first, last = structure.iter_children()
    assert (name(last), last.attributes["DW_AT_data_member_location"].value) == ("DIR", 0x1000)
    array = first.get_DIE_from_attribute("DW_AT_type")
    (subrange,) = array.iter_children()
    assert subrange.attributes["DW_AT_count"].value == 300
    low, field = array.get_DIE_from_attribute("DW_AT_type").iter_children()
    for entry, width, lsb in ((low, 10, 0), (field, 2, 28)):
        assert entry.attributes["DW_AT_bit_size"].value == width
        assert entry.attributes["DW_AT_data_bit_offset"].value == lsb
    values = field.get_DIE_from_attribute("DW_AT_type").iter_children()
    assert [(name(v), v.attributes["DW_AT_const_value"].value) for v in values] == [("INVALID", 0), ("OTHER", 200)]


def rules_of(arch: Arch, codes: list[Code]) -> list[FDE]:
    rules = FrameRules(arch.word, arch.slot, arch.stack_column, arch.return_column)
    found = read(frames=rules.section(codes), bits=arch.elf_class).CFI_entries()
    return [entry for entry in found if isinstance(entry, FDE)]


@pytest.mark.parametrize("arch", ARCHES.values(), ids=lambda arch: arch.name)
def test_a_frame_is_a_slot_with_the_return_address_in_its_last_word(arch: Arch) -> None:
    ranges = [(0x10_0000, 0x1000), (0x11_0000, 0x3100)]
    rules = rules_of(arch, [Code(address, size) for address, size in ranges])
    assert [(rule["initial_location"], rule["address_range"]) for rule in rules] == ranges
    for rule in rules:
        assert rule.cie["return_address_register"] == arch.return_column
        (line,) = rule.get_decoded().table
        assert (line["cfa"].reg, line["cfa"].offset) == (arch.stack_column, arch.slot)
        assert (line[arch.return_column].type, line[arch.return_column].arg) == ("OFFSET", -arch.word)
        kept = {column for column, rule in line.items() if getattr(rule, "type", "") == "SAME_VALUE"}
        assert kept == set(range(max(arch.stack_column, arch.return_column))) - {arch.stack_column, arch.return_column}


@pytest.mark.parametrize("arch", ARCHES.values(), ids=lambda arch: arch.name)
def test_an_outermost_frame_has_no_return_address(arch: Arch) -> None:
    """However far apart the parts are: the three forms of advancing are all here."""
    parts = [(0x1000, 0x1010), (0x1090, 0x1100), (0x9000, 0x9001)]
    (rule,) = rules_of(arch, [Code(0x1000, 0x10000, parts)])
    found = [(line["pc"], line[arch.return_column].type) for line in rule.get_decoded().table]
    bounds = [bound for part in parts for bound in part]
    kinds = ["UNDEFINED", "OFFSET"] * 3
    assert found[-6:] == list(zip(bounds, kinds, strict=True))
    assert {line["cfa"].offset for line in rule.get_decoded().table} == {arch.slot}
