"""What `monitor why` says that a refusal was about."""

from __future__ import annotations

import pytest

from tests.unit.gdbstub.local import LocalTarget
from tests.unit.gdbstub.rsp import World
from vgicd.gdbstub import registers
from vgicd.gdbstub.subject import subject


@pytest.mark.parametrize(
    ("packet", "about"),
    [
        (b"X801000c,4:abcd", "a write of 4 bytes to GICC_IAR (0x801000c)"),
        (b"M8000104,1:00", "a write of 1 byte to GICD_ISENABLER1 (0x8000104)"),
        (b"m8030104,8", "a read of 8 bytes at GICH_LR1 (0x8030104)"),
        (b"x100000801000c,2", "a read of 2 bytes at live_gicc.IAR (0x100000801000c)"),
        (b"m2000108010004,4", "a read of 4 bytes at gicc1.PMR (0x2000108010004)"),
        (b"m8000fbc,4", "a read of 4 bytes at gicd+0xfbc (0x8000fbc)"),
        (b"M100040,4:00000000", "a write of 4 bytes to 0x100040"),
        (b"Z2,8010004,1000000", "a watchpoint on GICC_PMR (0x8010004)"),
        (b"Z0,8010004,1", "a breakpoint at GICC_PMR (0x8010004)"),
        (b"m", "packet m"),
        (b"Z9,0,0", "packet Z9,0,0"),
        (b"pffff", "packet pffff"),
        (b"qXfer:features:read:other.xml:0,fff", "packet qXfer:features:read:..."),
    ],
)
def test_it_is_told_in_words(packet: bytes, about: str) -> None:
    target = LocalTarget()
    assert subject(target, packet) == about


def test_registers_are_called_by_their_names() -> None:
    target = LocalTarget()
    pmr = next(found for found in registers.registers_of(target) if found.name == "gicc_pmr")
    assert subject(target, b"P%x=00000000" % pmr.number) == "a write of $gicc_pmr"
    assert subject(target, b"p0") == "a read of $rax"


def test_the_last_refusal_is_kept_with_what_it_was_about() -> None:
    gdb = World().debugger()
    gdb.connect()
    gdb.ask(b"X801000c,4:abcd")
    assert gdb.stub.monitor.run("why").startswith(
        "Last refusal: a write of 4 bytes to GICC_IAR (0x801000c): GICC_IAR is read-only."
    )
