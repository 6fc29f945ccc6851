"""What gdb's commands cost on the wire: exactly these accesses, of these widths, and no side effect.

gdb does not promise to keep widths (gdb manual, Data: Memory), so that every version's habits are held to here.
"""

from __future__ import annotations

import re

import pytest

from tests.gdb import scenes
from tests.gdb.conftest import Board, Sessions
from tests.gdb.gdbs import Gdb
from tests.gdb.transcript import Session
from vgicd_client import Space

READS = {
    "x/wx 0x8000000": ["m8000000,4"],
    "p *(unsigned*)0x8000000": ["m8000000,4"],
    "p gicd.CTLR": ["m8000000,4"],
    "p GICD_CTLR": ["m8000000,4"],
    "p/x GICC_IAR": ["m801000c,4"],
    "p gicc.IAR": ["m801000c,4"],
    "x/4wx &GICD_CTLR": ["m8000000,4", "m8000004,4", "m8000008,4", "m800000c,4"],
    "x/2gx &GICD_CTLR": ["m8000000,8", "m8000008,8"],
    "x/8bx &GICD_IPRIORITYR0": [f"m80004{n:02x},1" for n in range(8)],
    "x/2hx &GICD_CTLR": ["m8000000,2", "m8000002,2"],
    "p/x gicd.IPRIORITYR[42]": ["m800042a,1"],
    "p gich.LR[0].State": ["m8030100,4"],
    "p/x gicd.ISENABLER": ["m8000100,c"],
    "output gicc.HPPIR": ["m8010018,4"],
}
"""Each command and the accesses of the registers that it makes, in order."""


def test_every_read_has_its_width_and_none_a_side_effect(sessions: Sessions, board: Board) -> None:
    scenes.busy(board.gic)
    session = sessions()
    with board.unchanged():
        costs = {}
        for command in READS:
            session.run(command)
            costs[command] = session.accesses()
    assert costs == READS


def test_writes_have_their_width(session: Session, board: Board) -> None:
    costs = {
        "set {char}0x800042a = 0x50": ["X800042a,1"],
        "set {int}0x8000104 = 0x400": ["X8000104,4"],
        "set var gicd.IPRIORITYR[43] = 0x60": ["X800042b,1"],
        "set var GICD_CTLR = 1": ["X8000000,4"],
    }
    session.run("thread 1")
    for command, expected in costs.items():
        assert session.run(command) == ""
        assert [packet for packet in session.accesses() if packet[0] == "X"] == expected, command
    session.run("set {int}0x8000104 |= 0x800")
    assert [*session.accesses()][:1] == ["m8000104,4"]
    assert [packet for packet in session.accesses() if packet[0] == "X"] == ["X8000104,4"]
    session.run("detach")
    peeked = [board.gic.peek(0, Space.GICD, offset) for offset in (0x000, 0x104, 0x428)]
    assert peeked == [1, 0xC00, 0x6050_0000]


def everything(session: Session) -> list[str]:
    """Names of all that the symbol file makes readable."""
    listed = session.run("info variables -q -n .")
    return sorted(set(re.findall(r"\b((?:GIC[CDH]|gic[cdh]|live_gic)\w*)(?:\[\d+\])*;", listed)))


def test_looking_at_everything_everywhere_changes_nothing(sessions: Sessions, board: Board) -> None:
    """Each variable as each vCPU, each window but the live one, every register, the tables and the monitor's."""
    scenes.busy(board.gic)
    session = sessions()
    names = [name for name in everything(session) if not name.startswith("live_")]
    assert {"GICC_IAR", "GICC_AIAR", "gicc", "gicd", "gich", "gicc0", "gich3"} <= set(names)
    assert len(names) > 100
    looks = [f"output/x {name}" for name in names]
    looks += ["info registers", "info all-registers", "bt", "info threads", "x/1024xb &gicc", "x/2049xh &gicd"]
    looks += ["info os irqs", "info os lrs", "monitor state", "monitor lrs", "monitor vgic-state", "monitor irq 42"]
    looks += ["dump binary memory all 0x8000000 0x8001000", "find /w &GICC_IAR, +4096, 0x1b", "x/8i $pc"]
    with board.unchanged():
        for thread in range(1, 5):
            session.run(f"thread {thread}")
            for look in looks:
                session.run(look)
        session.run("watch GICC_IAR")
        session.run("rwatch GICC_AIAR")
        session.run("display/x GICC_IAR")
        session.run("p $_siginfo")
    assert any(packet == "m801000c,4" for packet in (p.text.replace("x", "m") for p in session.tap.packets))


def test_banked_registers_follow_the_selected_thread(sessions: Sessions, board: Board) -> None:
    for vcpu in range(4):
        board.gic.write(vcpu, Space.GICC, 4, 0x10 * vcpu + 0x80)
    session = sessions()
    shown = []
    for vcpu in range(4):
        session.run(f"thread {vcpu + 1}")
        shown.append(session.run("output/x GICC_PMR"))
        shown.append(session.run(f"output/x gicc{vcpu}.PMR"))
    assert shown == [f"{0x10 * vcpu + 0x80:#x}" for vcpu in range(4) for _ in range(2)]
    assert session.run("output/x gicc2.PMR") == "0xa0", "of vCPU 2, whoever is selected"
    applied = session.run("thread apply all -q p/x GICC_PMR")
    assert re.findall("= (0x[0-9a-f]+)", applied) == ["0xb0", "0xa0", "0x90", "0x80"]


def test_a_read_in_the_live_window_is_the_guests(gdb: Gdb, sessions: Sessions, board: Board) -> None:
    scenes.driver(board.gic)
    board.gic.line(scenes.TIMER, 1, 1)
    session = sessions()
    session.run("thread 2")
    with board.unchanged():
        assert session.run("output/x GICC_IAR") == "0x1b"
        session.run("p/x &live_gicc.IAR")
    assert session.run("output/d live_gicc.IAR") == "{INTID = 27, CPUID = 0}"
    assert len(session.accesses(0, 1 << 64)) == 1, "one read, one acknowledge"
    assert session.run("output/x GICC_IAR") == "0x3ff"
    session.run("maintenance flush register-cache")  # gdb does not know that its read has changed something
    assert "irq27_vtimer ()" in session.run("bt")
    assert board.gic.irq_info(scenes.TIMER, 1).active


def test_what_is_not_there_is_an_error_and_no_access(session: Session, board: Board) -> None:
    with board.unchanged():
        assert session.run("x/wx 0x9999000").endswith("Cannot access memory at address 0x9999000")
        assert "Cannot access memory" in session.run("set {int}0x9999000 = 1")


@pytest.mark.gdbs("plain", "new")
def test_a_write_that_does_nothing_for_the_guest_is_the_guests_write(session: Session, board: Board) -> None:
    """GICD_TYPER is read-only: write-ignored, as for the guest (IHI 0048B 4.3.2)."""
    before = session.run("output/x gicd.TYPER")
    session.run("set {int}&GICD_TYPER = 0xffffffff")
    assert session.run("output/x gicd.TYPER") == before
