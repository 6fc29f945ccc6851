"""Run control in all-stop: what must not make gdb abort, hang or lose a stop, with as many vCPUs as there are."""

from __future__ import annotations

import re
import time

import pytest

from tests.gdb import scenes
from tests.gdb.conftest import Board, Sessions
from tests.gdb.gdbs import Gdb
from tests.gdb.transcript import PATIENCE, Session
from vgicd_client import Space

everywhere = pytest.mark.everyday("multiarch-aarch64", "new")
"""In the ordinary suite too with each binary, and both ways to report a watchpoint: what a gdb dies of."""


def until_running(session: Session) -> None:
    """Wait until the stub has been asked to let the guest run."""
    until = time.monotonic() + PATIENCE
    while not any(text.startswith("vCont;c") for text in session.sent):
        assert time.monotonic() < until
        time.sleep(0.005)


@everywhere
def test_stepping_off_a_breakpoint_answers_for_the_thread_that_was_stepped(sessions: Sessions, board: Board) -> None:
    """The stub that answers it for another thread makes gdb abort in finish_step_over."""
    scenes.driver(board.gic)
    session = sessions()
    session.run("break irq3")
    with board.acting() as guest:
        for vcpu in (3, 0, 2):
            session.start("continue")
            guest.write(vcpu, "GICD_SGIR", 2 << 24 | 3)
            guest.read(vcpu, "GICC_IAR")
            assert f'Thread {vcpu + 1} "vcpu{vcpu}" hit Breakpoint 1, ' in session.wait()
            assert session.run("output $_thread") == str(vcpu + 1)
            assert "in irq3 ()" in session.run("bt 1") or "irq3 ()" in session.run("bt 1")
            other = (vcpu + 1) % 4
            session.run(f"thread {other + 1}")  # continue steps the one at the breakpoint, not the selected one
            guest.write(vcpu, "GICC_EOIR", 3)
        session.run("delete")
        session.run("detach")


def test_a_breakpoint_of_another_thread_does_not_stop(sessions: Sessions, board: Board) -> None:
    scenes.driver(board.gic)
    session = sessions()
    session.run("break irq3 thread 4")
    session.run("break irq3_eoi if $_thread == 4")
    session.start("continue")
    with board.acting() as guest:
        for vcpu in range(4):
            guest.write(vcpu, "GICD_SGIR", 2 << 24 | 3)
            guest.read(vcpu, "GICC_IAR")
            guest.write(vcpu, "GICC_EOIR", 3)
        assert 'Thread 4 "vcpu3" hit Breakpoint 1, ' in session.wait()
        session.start("continue")
        assert 'Thread 4 "vcpu3" hit Breakpoint 2, ' in session.wait()
        counted = session.run("info breakpoints")
        assert re.search(r"stop only in thread 4\n\tbreakpoint already hit \d+ times?", counted)
        session.run("detach")


def test_hit_counts_ignore_counts_and_commands(sessions: Sessions, board: Board) -> None:
    scenes.driver(board.gic)
    session = sessions()
    session.run("break irq3_ack")
    session.run("ignore 1 2")
    session.run("tbreak irq3_eoi thread 1")
    session.start("continue")
    with board.acting() as guest:
        for _ in range(3):
            guest.write(1, "GICD_SGIR", 2 << 24 | 3)
            guest.read(1, "GICC_IAR")
            guest.write(1, "GICC_EOIR", 3)
        assert 'Thread 2 "vcpu1" hit Breakpoint 1, ' in session.wait()
        assert "breakpoint already hit 3 times" in session.run("info breakpoints")
        session.run("detach")


def test_rbreak_takes_a_pattern_of_edges(sessions: Sessions, board: Board) -> None:
    scenes.driver(board.gic)
    session = sessions()
    assert len(re.findall(r"^Breakpoint \d+ at ", session.run("rbreak ^irq4[0-3]_eoi$"), re.MULTILINE)) == 4
    session.start("continue")
    with board.acting() as guest:
        guest.line(scenes.DEVICE, 1)
        guest.read(1, "GICC_IAR")
        guest.write(1, "GICC_EOIR", scenes.DEVICE)
        assert re.search(r'Thread 2 "vcpu1" hit Breakpoint \d, .*irq42_eoi \(\)', session.wait())
        session.run("detach")


@pytest.mark.parametrize("prefix", ["irq42_", "vgic_"])
def test_every_edge_of_an_interrupts_life_is_a_breakpoint(prefix: str, sessions: Sessions, board: Board) -> None:
    scenes.driver(board.gic)
    scenes.enable(board.gic, scenes.DEVICE, 1, edge=True)
    session = sessions()
    edges = ["raise", "pend", "queue", "load", "ack", "eoi", "deactivate"]
    for edge in edges:
        session.run(f"break {prefix}{edge}")
    seen = []
    with board.acting() as guest:
        guest.pulse(scenes.DEVICE)
        guest.read(1, "GICC_IAR")
        guest.write(1, "GICC_EOIR", scenes.DEVICE)
        while not seen or seen[-1] != "deactivate":
            session.start("continue")
            hit = re.search(rf"hit Breakpoint \d, .*{prefix}(\w+) \(\)", session.wait())
            assert hit
            seen.append(hit[1])
        session.run("detach")
    assert seen == edges


@everywhere
def test_finish_waits_until_the_handler_has_ended(sessions: Sessions, board: Board) -> None:
    """Of the outermost handler, too, and of each of several that are nested."""
    scenes.driver(board.gic)
    board.gic.write(1, Space.GICD, 0x400 + 5, 0x20, 1)  # GICD_IPRIORITYR: SGI 5 preempts SGI 3
    board.gic.write(1, Space.GICD, 0x100, 1 << 5)  # GICD_ISENABLER0
    session = sessions()
    session.run("tbreak irq27_vtimer")
    session.start("continue")
    with board.acting() as guest:

        def take(intid: int) -> None:
            guest.write(1, "GICD_SGIR", 2 << 24 | intid)
            guest.read(1, "GICC_IAR")

        guest.line(scenes.TIMER, 1, 1)
        guest.read(1, "GICC_IAR")
        assert "irq27_vtimer ()" in session.wait()
        assert re.search(r"#1 .* in idle \(\)", session.run("bt"))
        session.start("finish")
        take(scenes.NESTED)
        take(5)
        for intid in (5, scenes.NESTED):
            guest.write(1, "GICC_EOIR", 1 << 10 | intid)
        guest.line(scenes.TIMER, 0, 1)
        guest.write(1, "GICC_EOIR", scenes.TIMER)
        assert session.wait().splitlines()[-1].endswith(" in idle ()")
        assert session.run("output $_thread") == "2"
        assert len(session.run("bt").splitlines()) == 1
        assert session.run("output GICC_RPR") == "255", "nothing is active"

        session.run("tbreak irq5")
        session.start("continue")
        guest.line(scenes.TIMER, 1, 1)
        guest.read(1, "GICC_IAR")
        take(scenes.NESTED)
        take(5)
        assert "irq5 ()" in session.wait()
        assert re.findall(r"(\w+) \(\)", session.run("bt")) == ["irq5", "irq3", "irq27_vtimer"]
        for intid, outer in ((5, "irq3"), (scenes.NESTED, "irq27_vtimer")):
            session.start("finish")
            guest.write(1, "GICC_EOIR", 1 << 10 | intid)
            assert f"{outer} ()" in session.wait().splitlines()[-1]
        assert len(session.run("bt").splitlines()) == 1
        session.run("detach")


def test_maintenance_and_kick_are_breakpoints(sessions: Sessions, board: Board) -> None:
    scenes.driver(board.gic)
    for intid in range(50, 58):
        scenes.enable(board.gic, intid, 3, edge=True)
    session = sessions()
    session.run("break vgic_maintenance")
    session.run("break vgic_kick")
    session.start("continue")
    with board.acting() as guest:
        for intid in range(50, 58):
            guest.pulse(intid)
        for intid in range(50, 54):
            guest.read(3, "GICC_IAR")
            guest.write(3, "GICC_EOIR", intid)
        seen = {re.search(r"vgic_(\w+) \(\)", session.wait())[1]}
        for _ in range(20):
            if len(seen) == 2:
                break
            session.start("continue")
            seen.add(re.search(r"vgic_(\w+) \(\)", session.wait())[1])
        assert seen == {"maintenance", "kick"}
        session.run("detach")


@everywhere
def test_ctrl_c_stops_and_continues(gdb: Gdb, session: Session, board: Board) -> None:
    for _ in range(3):
        session.start("continue")
        until_running(session)
        session.interrupt()
        assert "received signal SIGINT, Interrupt." in session.wait()
        assert "\x03" in session.sent
    with board.acting() as guest:
        held = guest.write(0, "GICC_PMR", 0x80)
        assert session.run("output/x GICC_PMR") == "0x0", "all-stop: the guest is held"
        session.run("detach")
        held.result()


def test_one_step_does_not_lose_the_guest(session: Session, board: Board) -> None:
    """`stepi` waits for the next access of that vCPU; Ctrl-C ends the waiting."""
    session.run("thread 2")
    session.start("stepi")
    with board.acting() as guest:
        guest.write(0, "GICC_PMR", 0x80)
        guest.write(1, "GICC_PMR", 0x90)
        session.wait()
        assert session.run("output $_thread") == "2"
        session.run("detach")


@everywhere
def test_a_watch_is_hit_after_the_access_whatever_the_architecture(sessions: Sessions, board: Board) -> None:
    """An Arm gdb takes it to be reported before, and steps once before it compares: that step must not run on."""
    session = sessions()
    session.run("watch GICC_PMR")
    with board.acting() as guest:
        for vcpu, value in ((0, 0x80), (0, 0x90)):
            session.start("continue")
            guest.write(vcpu, "GICC_PMR", value)
            assert f"New value = {value}" in session.wait()
        session.start("continue")
        guest.write(0, "GICC_PMR", 0x90)  # no change: not reported
        guest.write(0, "GICC_PMR", 0xA0)
        shown = session.wait()
        assert "Old value = 144\nNew value = 160\n" in shown
        session.run("detach")


def test_rwatch_and_awatch(sessions: Sessions, board: Board) -> None:
    scenes.driver(board.gic)
    session = sessions()
    assert session.run("rwatch GICC_IAR") == "Hardware read watchpoint 1: GICC_IAR"
    assert session.run("awatch GICD_SGIR") == "Hardware access (read/write) watchpoint 2: GICD_SGIR"
    with board.acting() as guest:
        session.start("continue")
        guest.write(3, "GICD_SGIR", 2 << 24 | 3)
        shown = session.wait()
        assert 'Thread 4 "vcpu3" hit Hardware access (read/write) watchpoint 2: GICD_SGIR' in shown
        session.start("continue")
        guest.read(3, "GICC_IAR")
        assert 'Thread 4 "vcpu3" hit Hardware read watchpoint 1: GICC_IAR' in session.wait()
        session.run("detach")


def test_whole_blocks_are_watched_and_the_real_address_named(sessions: Sessions, board: Board) -> None:
    session = sessions()
    session.run("awatch *(char(*)[4096])&gicd")
    session.start("continue")
    with board.acting() as guest:
        guest.write(1, "GICD_ISENABLER1", 4)
        assert 'Thread 2 "vcpu1" hit Hardware access (read/write) watchpoint 1' in session.wait()
        assert any(re.match(r"T05awatch:0*8000104;", text) for text in session.received)
        session.run("detach")


def test_a_watch_of_one_vcpus_window_is_of_that_vcpu(sessions: Sessions, board: Board) -> None:
    session = sessions()
    session.run("watch gicc2.PMR")
    session.start("continue")
    with board.acting() as guest:
        guest.write(1, "GICC_PMR", 0x80)
        guest.write(2, "GICC_PMR", 0x90)
        shown = session.wait()
        assert 'Thread 3 "vcpu2" hit Hardware watchpoint 1: gicc2.PMR' in shown
        assert "Old value = 0\nNew value = 144\n" in shown
        session.run("detach")


@everywhere
def test_detach_leaves_the_guest_running(session: Session, board: Board) -> None:
    with board.acting() as guest:
        held = guest.write(0, "GICC_PMR", 0x80)
        session.run("x/wx &GICD_CTLR")
        assert not held.done()
        assert re.search(r"\[Inferior 1 .*detached\]", session.run("detach"))
        held.result()
        guest.write(0, "GICC_PMR", 0x90).result()


@pytest.mark.parametrize("end", ["disconnect", "kill", "quit", "SIGKILL"])
def test_however_gdb_leaves_the_guest_runs_on(end: str, session: Session, board: Board) -> None:
    session.run("break irq3")
    with board.acting() as guest:
        held = guest.write(0, "GICC_PMR", 0x80)
        session.run("x/wx &GICD_CTLR")
        assert not held.done()
        match end:
            case "SIGKILL":
                session.kill()
            case "quit":
                session.quit()
            case _:
                session.run(end)
        held.result()
        guest.write(0, "GICC_PMR", 0x90).result()


def test_a_breakpoint_where_nothing_is_writes_nothing(session: Session, board: Board) -> None:
    """To an empty answer to Z0 gdb writes a breakpoint instruction into the register."""
    with board.unchanged():
        session.run("break *0x8000104")
        session.run("hbreak *0x8010000")
        session.allowed.append("Cannot insert")
        assert "Cannot insert" in session.run("continue", seconds=5)
    assert not [text for text in (p.text for p in session.tap.packets) if text.startswith(("X8", "M8"))]
