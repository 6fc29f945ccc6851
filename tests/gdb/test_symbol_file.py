"""The symbol file in real gdbs: loaded from disk, added to another program, and as the daemon serves it."""

from __future__ import annotations

import io
import re
import struct
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
from click.testing import CliRunner
from elftools.elf.elffile import ELFFile

from tests.gdb.conftest import SPIS, VCPUS, Board
from tests.gdb.gdbs import Gdb
from tests.gdb.transcript import PATIENCE, Session
from tests.tools import require_tool
from vgicd.export import files
from vgicd.hw.list_register import HARDWARE, SOFTWARE
from vgicd_client.ctl.main import main

LR_TYPE = """\
/* offset      |    size */  type = struct gich_lr {
/*      0: 0   |       4 */    unsigned int VirtualID : 10;
/*      1: 2   |       4 */    unsigned int PhysicalID : 10;
/* XXX  3-bit hole       */
/*      2: 7   |       4 */    unsigned int Priority : 5;
/*      3: 4   |       4 */    enum State State : 2;
/*      3: 6   |       4 */    unsigned int Grp1 : 1;
/*      3: 7   |       4 */    unsigned int HW : 1;

                               /* total size (bytes):    4 */
                             }"""


def symbols(arch: str) -> bytes:
    return files.gdb_symbols(files.described("virt", VCPUS, SPIS, 4), arch)


def batch(gdb: Gdb, *commands: str) -> list[str]:
    """What each of the commands prints; gdb itself must have nothing to add."""
    parts = ["-batch", "-ex", "set width 0", "-ex", "set complaints 1000"]
    for command in commands:
        parts += ["-ex", r"echo \036", "-ex", command]
    done = subprocess.run(
        [*gdb.command, *parts], capture_output=True, text=True, timeout=PATIENCE, env=dict(gdb.environment), check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "During symbol reading" not in done.stdout
    return [text.strip("\n") for text in done.stdout.split("\x1e")[1:]]


def with_memory(data: bytes, memory: Mapping[str, bytes]) -> bytes:
    """The ELF file with contents for some of its sections, which gdb then takes for the memory of a program."""
    elf = ELFFile(io.BytesIO(data))
    kind, place, form = (4, 24, "<Q") if elf.elfclass == 64 else (4, 16, "<I")
    out = bytearray(data)
    for index, section in enumerate(elf.iter_sections()):
        if section.name in memory:
            header = elf["e_shoff"] + index * elf["e_shentsize"]
            struct.pack_into("<I", out, header + kind, 1)  # SHT_PROGBITS
            struct.pack_into(form, out, header + place, len(out))
            out += memory[section.name].ljust(section["sh_size"], b"\0")
    return bytes(out)


@pytest.fixture
def elf(gdb: Gdb, tmp_path: Path) -> Path:
    path = tmp_path / "vgicd.elf"
    path.write_bytes(symbols(gdb.arch))
    return path


def test_gdb_has_no_complaint_about_any_part_of_it(gdb: Gdb, elf: Path) -> None:
    _, _, functions, variables, types = batch(
        gdb, f"file {elf}", "maint expand-symtabs", "info functions -q ^irq42_",
        "info variables -q ^GICD_ISE", "info types -q ^gich",
    )  # fmt: skip
    assert [line.split()[-1] for line in functions.splitlines() if "irq42" in line] == [
        f"irq42_{edge}" for edge in ("raise", "pend", "queue", "load", "ack", "eoi", "deactivate")
    ]
    assert re.findall(r"unsigned int (GICD_\w+);", variables) == [
        "GICD_ISENABLER0",
        "GICD_ISENABLER1",
        "GICD_ISENABLER2",
    ]
    assert {"struct gich;", "struct gich_lr;", "struct gich_lr_software;"} <= set(map(str.strip, types.splitlines()))


def test_types_are_those_of_the_manual(gdb: Gdb, elf: Path) -> None:
    _, lr, state, word, size = batch(
        gdb, f"file {elf}", "ptype /o struct gich_lr", "ptype enum State", "whatis GICD_ISENABLER1", "p sizeof(gicc)"
    )
    assert lr == LR_TYPE
    assert re.findall(r"[A-Z_]{5,}", state) == ["INVALID", "PENDING", "ACTIVE", "PENDING_AND_ACTIVE"]
    assert (word, size) == ("type = unsigned int", "$1 = 8192")


def test_addresses_have_names_and_names_addresses(gdb: Gdb, elf: Path) -> None:
    shown = batch(
        gdb, f"file {elf}", "info symbol 0x8000104", "p &gicd.ISENABLER[1]", "p &GICC_IAR", "info symbol irq27+8",
        "p &gicc2.PMR", "p &gich_lr_software[1]",
    )[1:]  # fmt: skip
    assert shown[:3] == [
        "GICD_ISENABLER1 in section .gicd",
        "$1 = (unsigned int *) 0x8000104 <GICD_ISENABLER1>",
        "$2 = (unsigned int *) 0x801000c <GICC_IAR>",
    ]
    assert shown[3] == "irq27_vtimer + 8 in section .irq"  # of two names for a place, the one that says more
    assert re.fullmatch(r"\$3 = \(unsigned int \*\) 0x[0-9a-f]+ <gicc2\+4>", shown[4])
    assert shown[5] == "$4 = (struct gich_lr_software *) 0x8030104 <GICH_LR1>"


def test_names_are_completed(gdb: Gdb, elf: Path) -> None:
    _, members, registers, edges = batch(
        gdb, f"file {elf}", "complete p gicd.IS", "complete watch GICC_A", "complete break irq42_p"
    )
    assert members.splitlines() == ["p gicd.ISACTIVER", "p gicd.ISENABLER", "p gicd.ISPENDR"]
    assert registers.split()[1::2] == ["GICC_ABPR", "GICC_AEOIR", "GICC_AHPPIR", "GICC_AIAR", "GICC_APR0"]
    assert edges.splitlines() == ["break irq42_pend"]


def test_values_print_as_fields(gdb: Gdb, tmp_path: Path) -> None:
    words = (
        HARDWARE.encode(HW=1, Grp1=1, State=1, Priority=16, VirtualID=27, PhysicalID=27),
        SOFTWARE.encode(State=3, Priority=8, VirtualID=3, CPUID=2, EOI=1),
        SOFTWARE.encode(State=2, Priority=31, VirtualID=1019),
    )
    gicd = bytearray(0x1000)
    gicd[4:8] = (0x62).to_bytes(4, "little")
    gicd[0x400:0x460] = b"\xa0" * 96
    gicd[0x42A] = 0x10
    memory = {".gich": bytes(0x100) + b"".join(word.to_bytes(4, "little") for word in words), ".gicd": bytes(gicd)}
    (tmp_path / "f.elf").write_bytes(with_memory(symbols(gdb.arch), memory))
    commands = (
        "p gich.LR[0]",
        "p gich_lr_software[1]",
        "p {struct gich_lr_software} &GICH_LR1",
        "p gich.LR[2].State == ACTIVE",
        "p gich.LR[2].VirtualID",
        "p gicd.TYPER",
        "p/x gicd.IPRIORITYR[42]",
        "p/x gicd.IPRIORITYR",
        "p/x GICH_LR2",
        "p $_as_string(gich.LR[1].State)",
    )
    shown = batch(gdb, f"file {tmp_path / 'f.elf'}", *commands)[1:]
    software = "{VirtualID = 3, CPUID = 2, EOI = 1, Priority = 8, State = PENDING_AND_ACTIVE, Grp1 = 0, HW = 0}"
    assert shown == [
        "$1 = {VirtualID = 27, PhysicalID = 27, Priority = 16, State = PENDING, Grp1 = 1, HW = 1}",
        f"$2 = {software}",
        f"$3 = {software}",
        "$4 = 1",
        "$5 = 1019",
        "$6 = {ITLinesNumber = 2, CPUNumber = 3, SecurityExtn = 0, LSPI = 0}",
        "$7 = 0x10",
        "$8 = {0xa0 <repeats 42 times>, 0x10, 0xa0 <repeats 53 times>}",
        f"$9 = {words[2]:#x}",
        '$10 = "PENDING_AND_ACTIVE"',
    ]


@pytest.mark.gdbs("plain", "new")
def test_it_can_be_added_to_another_program(gdb: Gdb, elf: Path, tmp_path: Path) -> None:
    """For a gdb that has loaded the guest's image, and therefore does not fetch the daemon's file."""
    require_tool("as", "binutils")
    program = tmp_path / "guest.o"
    subprocess.run(["as", "--64", "-o", program, "-"], input=b".globl start\nstart: nop\n", check=True)
    shown = batch(
        gdb, f"file {program}", f"add-symbol-file {elf}", "info symbol start", "p &gich.LR[1]", "info symbol irq42"
    )
    assert shown[2] == "start in section .text of " + str(program)
    assert shown[3] == "$1 = (struct gich_lr *) 0x8030104 <GICH_LR1>"
    assert shown[4].startswith("irq42 in section .irq of ")


def test_the_daemon_serves_what_vgicctl_writes(session: Session, board: Board, gdb: Gdb, tmp_path: Path) -> None:
    assert "Successfully fetched" in session.run(f"remote get /vgicd.elf {tmp_path / 'served.elf'}")
    arguments = ["-a", board.daemon.address, "gdb-symbols", "--gdb-arch", gdb.arch, "-o", str(tmp_path / "written.elf")]
    written = CliRunner().invoke(main, arguments)
    assert written.exit_code == 0, written.output
    served = (tmp_path / "served.elf").read_bytes()
    assert served == (tmp_path / "written.elf").read_bytes() == symbols(gdb.arch)


def test_connecting_reads_the_symbols_without_complaint(gdb: Gdb, board: Board) -> None:
    with Session(gdb, board.gdb) as session:
        shown = session.connect("set complaints 1000") + session.runs("bt", "maint expand-symtabs", "p sizeof(gich)")
        assert "During symbol reading" not in shown
        assert "$1 = 4096" in shown
