"""The symbol file, read back by pyelftools and compared with the domain that it is to describe."""

from __future__ import annotations

import io
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

import pytest
from elftools.dwarf.callframe import FDE
from elftools.dwarf.die import DIE
from elftools.elf.elffile import ELFFile
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.export.domains import SHAPES, Shown, shown
from vgicd.domain.operations import Plane, Read, Space
from vgicd.export.places import FRAMES, enumerator
from vgicd.export.typed_elf import SOFTWARE_LRS, symbol_file
from vgicd.gdbstub.arch import ARCHES
from vgicd.gdbstub.layout import Window
from vgicd.gdbstub.lifecycle import EDGES, INTO_FRAME, OTHER_END, STEP
from vgicd.hw.list_register import HARDWARE, SOFTWARE
from vgicd.registers import Layout

WORD = "unsigned int"


class Variable(NamedTuple):
    address: int
    type: DIE


class File:
    """A symbol file as a debugger finds it."""

    def __init__(self, data: bytes) -> None:
        self.elf = ELFFile(io.BytesIO(data))
        (self.unit,) = self.elf.get_dwarf_info().iter_CUs()
        self.variables: dict[str, Variable] = {}
        self.types: dict[str, DIE] = {}
        for entry in self.unit.get_top_DIE().iter_children():
            if entry.tag == "DW_TAG_variable":
                operation, *place = entry.attributes["DW_AT_location"].value
                assert operation == 3  # DW_OP_addr
                assert name(entry) not in self.variables
                kind = entry.get_DIE_from_attribute("DW_AT_type")
                self.variables[name(entry)] = Variable(int.from_bytes(bytes(place), "little"), kind)
            elif "DW_AT_name" in entry.attributes:
                assert name(entry) not in self.types
                self.types[name(entry)] = entry

    def symbols(self) -> Iterator[tuple[str, int, int, str, str]]:
        """Name, address, size, type and section of every symbol."""
        for symbol in list(self.elf.get_section_by_name(".symtab").iter_symbols())[1:]:
            section = self.elf.get_section(symbol["st_shndx"])
            assert section["sh_addr"] <= symbol["st_value"]
            assert symbol["st_value"] + symbol["st_size"] <= section["sh_addr"] + section["sh_size"]
            yield symbol.name, symbol["st_value"], symbol["st_size"], symbol["st_info"]["type"], section.name


@cache
def made(shape: str, arch: str = "x86-64") -> tuple[Shown, File]:
    it = shown(arch, **SHAPES[shape])
    return it, File(symbol_file(ARCHES[arch], it.layout, it.lrs, it.names))


def name(entry: DIE) -> str:
    return str(entry.attributes["DW_AT_name"].value.decode())


def test_the_unit_is_called_what_no_file_or_folder_is() -> None:
    """`list` looks for its source; it said "vgicd: Is a directory" beside the daemon's own."""
    _, file = made("one")
    called = name(file.unit.get_top_DIE())
    assert called.startswith("<")
    assert called.endswith("no source>")


def members(structure: DIE) -> dict[str, DIE]:
    return {name(member): member for member in structure.iter_children()}


def number(entry: DIE, attribute: str) -> int:
    return int(entry.attributes[f"DW_AT_{attribute}"].value)


def is_own(window: Window) -> bool:
    return window.vcpu is None and not window.live and window.space in FRAMES


def words_by_gate(it: Shown) -> dict[str, int]:
    """Name and address of every register word in a frame that the guest, or the hypervisor, could access.

    Found without the exporter: by the gate, the address map and how many list registers there are.
    """
    found = {}
    for window in filter(is_own, it.layout.windows):
        frame = FRAMES[window.space]
        for distance in range(0, window.size, 0x4):
            decoded = it.domain.address_map.decode(window.base + distance, guest=False)
            space, offset = decoded if decoded is not None else (Space.GICH, distance)
            if offset >= frame.size or distance % 0x10000 >= frame.size:
                continue
            row = frame.gate(offset, 4, it.layout.nr_irqs)
            missing = space == Space.GICH and 0x100 + 4 * it.lrs <= offset < 0x200
            if row is not None and not missing:
                found.setdefault(frame.register_name(offset), window.base + distance)
    return found


@pytest.mark.parametrize("arch", ARCHES)
@pytest.mark.parametrize("shape", SHAPES)
def test_every_register_word_is_a_variable_where_the_domain_has_it(shape: str, arch: str) -> None:
    it, file = made(shape, arch)
    blocks = {window.name for window in it.layout.windows} | {SOFTWARE_LRS}
    variables = {name: at for name, (at, kind) in file.variables.items() if name not in blocks}
    assert variables == words_by_gate(it)
    symbols = {name: (at, size) for name, at, size, kind, section in file.symbols() if name in variables}
    assert symbols == {name: (at, 4) for name, at in variables.items()}
    for name_, (_, kind) in file.variables.items():
        if name_ in variables:
            assert (name(kind), number(kind, "byte_size"), number(kind, "encoding")) == (WORD, 4, 7)


@pytest.mark.parametrize("arch", ARCHES)
@pytest.mark.parametrize("shape", SHAPES)
def test_every_window_is_a_structure_in_a_section_of_its_own(shape: str, arch: str) -> None:
    it, file = made(shape, arch)
    for window in it.layout.windows:
        if window.space not in FRAMES:
            continue
        at, kind = file.variables[window.name]
        assert (at, name(kind)) == (window.base, FRAMES[window.space].name.lower())
        section = file.elf.get_section_by_name(f".{window.name}")
        assert (section["sh_type"], section["sh_addr"], section["sh_size"]) == ("SHT_NOBITS", window.base, window.size)
        assert number(kind, "byte_size") <= window.size


@pytest.mark.parametrize("shape", SHAPES)
def test_a_member_lies_where_the_variable_of_its_first_word_does(shape: str) -> None:
    it, file = made(shape)
    for window in filter(is_own, it.layout.windows):
        frame = FRAMES[window.space]
        found = members(file.variables[window.name].type)
        assert list(found) == [row.name.removeprefix(f"{frame.name}_") for row in frame.rows]
        for row in frame.rows:
            at = file.variables[frame.register_name(row.offset)].address
            assert window.base + number(found[row.name.removeprefix(f"{frame.name}_")], "data_member_location") == at


def test_arrays_are_as_long_as_there_are_interrupts_and_list_registers() -> None:
    for shape, irqs, lrs in (("one", 96, 4), ("most", 992, 64), ("least", 32, 1)):
        _, file = made(shape)
        gicd, gich = members(file.types["gicd"]), members(file.types["gich"])
        lengths = {
            "ISENABLER": (irqs // 32, WORD), "ICFGR": (irqs // 16, WORD), "IPRIORITYR": (irqs, "unsigned char"),
            "ITARGETSR": (irqs, "unsigned char"), "CPENDSGIR": (16, "unsigned char"),
        }  # fmt: skip
        for member, (count, element) in lengths.items():
            array = gicd[member].get_DIE_from_attribute("DW_AT_type")
            (subrange,) = array.iter_children()
            assert (number(subrange, "count"), name(array.get_DIE_from_attribute("DW_AT_type"))) == (count, element)
        array = gich["LR"].get_DIE_from_attribute("DW_AT_type")
        (subrange,) = array.iter_children()
        assert (number(subrange, "count"), name(array.get_DIE_from_attribute("DW_AT_type"))) == (lrs, "gich_lr")


LAYOUTS: dict[str, Layout] = {
    "gich_lr": HARDWARE,
    "gich_lr_software": SOFTWARE,
    **{
        row.fields.name.lower(): row.fields
        for frame in FRAMES.values()
        for row in frame.rows
        if row.fields is not None and row.fields is not SOFTWARE and " " not in row.fields.name
        if [field.lsb for field in row.fields.fields] != [0] or row.fields.fields[0].width == 1
    },
}


@pytest.mark.parametrize("kind", LAYOUTS)
@given(word=st.integers(0, 0xFFFFFFFF))
def test_bit_fields_decode_a_word_as_the_rows_do(kind: str, word: int) -> None:
    structure = made("one")[1].types[kind]
    assert number(structure, "byte_size") == 4
    decoded = {
        name_: word >> number(member, "data_bit_offset") & (1 << number(member, "bit_size")) - 1
        for name_, member in members(structure).items()
    }
    assert decoded == LAYOUTS[kind].decode(word)


def test_a_list_register_prints_its_fields_from_the_lowest_bit_up() -> None:
    _, file = made("one")
    assert list(members(file.types["gich_lr"])) == ["VirtualID", "PhysicalID", "Priority", "State", "Grp1", "HW"]
    software = ["VirtualID", "CPUID", "EOI", "Priority", "State", "Grp1", "HW"]
    assert list(members(file.types["gich_lr_software"])) == software


def test_every_structure_of_fields_is_used() -> None:
    _, file = made("one")
    structures = {kind for kind, entry in file.types.items() if entry.tag == "DW_TAG_structure_type"}
    assert structures == {"gicd", "gicc", "gich", *LAYOUTS}


def test_enumerators_can_share_the_global_names() -> None:
    """As in C their names are the whole program's: each may come once, and not be a variable's."""
    named = {}
    for layout in LAYOUTS.values():
        for field in layout.fields:
            if field.values:
                assert named.setdefault(field.name, field.values) == field.values
    _, file = made("most")
    found = []
    for field, values in named.items():
        enumeration = file.types[field]
        assert number(enumeration, "byte_size") == 4  # so that gdb accesses the whole register
        assert {name(e): number(e, "const_value") for e in enumeration.iter_children()} == {
            enumerator(meaning): value for value, meaning in values.items()
        }
        found += [enumerator(meaning) for meaning in values.values()]
    assert len(found) == len(set(found))
    assert not set(found) & set(file.variables)
    assert {"PENDING", "ACTIVE", "PENDING_AND_ACTIVE"} <= set(found)


@pytest.mark.parametrize("arch", ARCHES)
@pytest.mark.parametrize("shape", SHAPES)
def test_every_edge_of_an_interrupts_life_is_a_function(shape: str, arch: str) -> None:
    it, file = made(shape, arch)
    functions = {name: (at, section) for name, at, size, kind, section in file.symbols() if kind == "STT_FUNC"}
    assert functions.pop("idle") == (it.layout.idle, ".text")
    assert {section for _, section in functions.values()} == {".irq"}
    for intid in range(it.layout.nr_irqs):
        for edge in EDGES:
            symbol = f"irq{intid}_{edge.suffix}".rstrip("_")
            assert it.layout.place_at(functions[symbol][0]) == (intid, edge)
        alias = it.names.get(intid)
        if alias is not None:
            assert functions[f"irq{intid}_{alias}"] == functions[f"irq{intid}"]
    assert {"vgic_raise", "vgic_deactivate", "vgic_maintenance", "vgic_kick", "irq27_vtimer"} <= set(functions)


@pytest.mark.parametrize("arch", ARCHES)
def test_the_entry_point_is_no_function(arch: str) -> None:
    """gdb takes the frame of the function that contains it for the outermost one."""
    it, file = made("one", arch)
    entry = file.elf["e_entry"]
    assert not any(at <= entry < at + size for _, at, size, _, _ in file.symbols())
    assert not it.layout.code[0] <= entry < it.layout.code[0] + it.layout.code[1]


@pytest.mark.parametrize("arch", ARCHES)
@pytest.mark.parametrize("shape", SHAPES)
def test_where_a_return_address_points_says_whether_there_is_a_caller(shape: str, arch: str) -> None:
    """An unwinder looks up a frame by its return address less one, the innermost by its very pc."""
    it, file = made(shape, arch)
    column = ARCHES[arch].return_column
    rules = [rule for rule in file.elf.get_dwarf_info().CFI_entries() if isinstance(rule, FDE)]
    covered = [(rule["initial_location"], rule["address_range"]) for rule in rules]
    assert covered == [it.layout.code, (it.layout.irq_base, it.layout.irq_size)]
    lines = sorted((line["pc"], line[column].type) for rule in rules for line in rule.get_decoded().table)

    def has_caller(at: int) -> bool:
        return [kind for start, kind in lines if start <= at][-1] == "OFFSET"

    for intid in (0, 27, it.layout.nr_irqs - 1):
        slot = it.layout.slot(intid)
        assert all(has_caller(slot + edge * STEP) for edge in range(len(EDGES)))
        assert has_caller(slot + INTO_FRAME - 1)
        assert not has_caller(slot + OTHER_END - 1)
    assert not has_caller(it.layout.idle)
    assert not has_caller(it.layout.idle + INTO_FRAME - 1)
    assert has_caller(it.layout.idle + OTHER_END)


def test_list_registers_can_be_seen_with_the_fields_of_software() -> None:
    it, file = made("most")
    at, array = file.variables[SOFTWARE_LRS]
    (subrange,) = array.iter_children()
    element = array.get_DIE_from_attribute("DW_AT_type")
    assert (at, number(subrange, "count"), name(element)) == (
        file.variables["GICH_LR0"].address, it.lrs, "gich_lr_software",
    )  # fmt: skip


def test_equal_domains_have_equal_files() -> None:
    first, second = shown(vcpus=2), shown(vcpus=2)
    arch = ARCHES["aarch64"]
    files = {symbol_file(arch, it.layout, it.lrs, it.names) for it in (first, second)}
    assert len(files) == 1


def test_a_variable_of_a_word_reads_what_the_domain_answers() -> None:
    """The address of GICD_TYPER is not only consistent: a debugger's read there reaches TYPER."""
    it, file = made("most")
    at = file.variables["GICD_TYPER"].address
    answer = it.domain.apply(Read(0, Space.PHYSICAL, at, 4, Plane.DEBUG)).value
    fields = members(file.types["gicd_typer"])
    lines, cpus = (
        answer >> number(fields[name_], "data_bit_offset") & (1 << number(fields[name_], "bit_size")) - 1
        for name_ in ("ITLinesNumber", "CPUNumber")
    )
    assert (lines, cpus) == (992 // 32 - 1, 8 - 1)
