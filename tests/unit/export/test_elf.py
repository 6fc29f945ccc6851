"""The ELF writer, read back by pyelftools and by binutils."""

from __future__ import annotations

import io
import struct
import subprocess
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile

from tests.tools import require_tool
from vgicd.export.elf import ALLOC, EXECUTE, WRITE, Kind, Section, Symbol, write

SECTIONS = (
    Section(".regs", 0x0800_0000, 0x1000, ALLOC | WRITE, symbols=[Symbol("CTLR", 0x0800_0000, 4, Kind.OBJECT)]),
    Section(
        ".code",
        0x0010_0000,
        0x80,
        ALLOC | EXECUTE,
        symbols=[Symbol("later", 0x0010_0010, 16, Kind.FUNCTION), Symbol("early", 0x0010_0000, 16, Kind.FUNCTION)],
    ),
    Section(".notes", content=b"twelve bytes"),
)
MACHINES = {32: 40, 64: 62}


def parsed(data: bytes) -> ELFFile:
    return ELFFile(io.BytesIO(data))


@pytest.mark.parametrize("bits", MACHINES)
def test_sections_keep_address_size_flags_and_content(bits: int) -> None:
    elf = parsed(write(MACHINES[bits], bits, SECTIONS))
    assert (elf.elfclass, elf.little_endian, elf["e_machine"]) == (bits, True, "EM_ARM" if bits == 32 else "EM_X86_64")
    regs, code, notes = (elf.get_section_by_name(section.name) for section in SECTIONS)
    assert (regs["sh_type"], regs["sh_addr"], regs["sh_size"], regs["sh_flags"]) == (
        "SHT_NOBITS", 0x0800_0000, 0x1000, 3,
    )  # fmt: skip
    assert (code["sh_type"], code["sh_addr"], code["sh_size"], code["sh_flags"]) == ("SHT_NOBITS", 0x0010_0000, 0x80, 6)
    assert (notes["sh_type"], notes.data()) == ("SHT_PROGBITS", b"twelve bytes")


@pytest.mark.parametrize("bits", MACHINES)
def test_symbols_are_global_in_their_section_and_keep_their_order(bits: int) -> None:
    elf = parsed(write(MACHINES[bits], bits, SECTIONS))
    found = [
        (
            symbol.name,
            symbol["st_value"],
            symbol["st_size"],
            symbol["st_info"]["bind"],
            symbol["st_info"]["type"],
            elf.get_section(symbol["st_shndx"]).name,
        )
        for symbol in list(elf.get_section_by_name(".symtab").iter_symbols())[1:]
    ]
    assert found == [
        ("CTLR", 0x0800_0000, 4, "STB_GLOBAL", "STT_OBJECT", ".regs"),
        ("later", 0x0010_0010, 16, "STB_GLOBAL", "STT_FUNC", ".code"),
        ("early", 0x0010_0000, 16, "STB_GLOBAL", "STT_FUNC", ".code"),
    ]
    names = elf.get_section_by_name(".strtab").data()
    assert names.index(b"\0later\0") < names.index(b"\0early\0")  # gdb prefers the later of two at one address


@pytest.mark.parametrize("bits", MACHINES)
def test_a_file_without_symbols_is_one_too(bits: int) -> None:
    elf = parsed(write(MACHINES[bits], bits, (), flags=0x0500_0000))
    assert elf.get_section_by_name(".symtab").num_symbols() == 1
    assert elf["e_flags"] == 0x0500_0000


@pytest.mark.parametrize("bits", MACHINES)
def test_readelf_has_nothing_to_say(bits: int, tmp_path: Path) -> None:
    require_tool("readelf", "binutils")
    (tmp_path / "f").write_bytes(write(MACHINES[bits], bits, SECTIONS))
    done = subprocess.run(["readelf", "-W", "--all", tmp_path / "f"], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert "warning" not in done.stdout.lower()


def test_what_does_not_fit_the_class_is_refused() -> None:
    with pytest.raises(ValueError, match="32 or 64"):
        write(62, 16, SECTIONS)
    with pytest.raises(struct.error):
        write(40, 32, (Section(".far", 1 << 32, 4, ALLOC),))
