"""Non-stop, several debuggers at once, holding and letting go: what happens to others while somebody looks."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.gdb import gdbs, scenes
from tests.gdb.conftest import Board, Boards, Sessions
from tests.gdb.gdbs import Gdb
from tests.gdb.transcript import Session
from tests.tools import require_tool
from vgicd_machine import guests

NON_STOP = ("set non-stop on", "set pagination off")


def live(sessions: Sessions, thread: int = 1) -> Session:
    """A gdb connected in non-stop, with `thread` selected and all running.

    gdb itself stops a thread for a moment when it connects, and lets it run on when it finds the time.
    """
    session = sessions(*NON_STOP)
    session.run(f"thread {thread}")
    for _ in range(100):
        if session.run("info threads").count("(running)") == 4:
            return session
    raise AssertionError("not all threads run")


def test_non_stop_connects_without_disturbing_anybody(sessions: Sessions, board: Board) -> None:
    """Two threads reported as stopped at the connection would make gdb abort: none is."""
    scenes.busy(board.gic)
    with board.acting() as guest:
        guest.write(0, "GICC_PMR", 0x80).result()
        session = live(sessions)
        guest.write(0, "GICC_PMR", 0x90).result()
        shown = session.run("info threads")
        assert shown.count("(running)") == 4
        assert 'Thread 1.3 "vcpu2" (irq=low lr=2/4 hppi=none)' in shown


def test_non_stop_looks_and_writes_while_everything_runs(sessions: Sessions, board: Board) -> None:
    scenes.driver(board.gic)
    session = live(sessions)
    with board.acting() as guest:
        guest.write(0, "GICC_PMR", 0x88).result()
        assert session.run("output/x GICC_PMR") == "0x88"
        assert session.accesses() == ["m8010004,4"]
        assert session.run("x/4wx &GICD_CTLR").startswith("0x8000000 <GICD_CTLR>:\t0x00000001")
        session.run("set var GICC_PMR = 0xa0")
        assert guest.read(0, "GICC_PMR").result() == 0xA0
        assert "GICD" in session.run("monitor state") or "vCPU" in session.run("monitor state")
        assert session.run("info os irqs")
        session.run("monitor irq 42 up")
        assert guest.read(1, "GICC_IAR").result() == scenes.DEVICE


def test_non_stop_stops_only_the_vcpu_that_touched_it(sessions: Sessions, board: Board) -> None:
    scenes.driver(board.gic)
    session = live(sessions)
    session.run("interrupt")
    session.until('Thread 1 "vcpu0" stopped')
    session.run("awatch GICD_SGIR")
    session.run("continue&")
    with board.acting() as first, board.acting() as other:
        held = first.write(2, "GICD_SGIR", 2 << 24 | 3)
        session.until(r'Thread 3 "vcpu2" hit Hardware access')
        assert not held.done()
        for vcpu in (0, 1, 3):
            other.write(vcpu, "GICC_PMR", 0x80 + 0x10 * vcpu).result()
        shown = session.run("info threads")
        assert shown.count("(running)") == 3
        session.run("thread 3")
        session.run("continue&")
        held.result()


def test_non_stop_interrupts_and_continues_one_vcpu(sessions: Sessions, board: Board) -> None:
    session = live(sessions, thread=2)
    for _ in range(3):
        session.run("interrupt")
        session.until(r'Thread 2 "vcpu1" stopped')
        assert session.run("info threads").count("(running)") == 3
        with board.acting() as guest:
            guest.write(0, "GICC_PMR", 0x80).result()
        session.run("continue&")
        assert session.run("info threads").count("(running)") == 4
    session.run("interrupt -a")
    for _ in range(4):
        session.until(r"stopped\.")
    session.run("continue -a&")
    with board.acting() as guest:
        guest.write(1, "GICC_PMR", 0x80).result()


def test_a_watch_in_one_gdb_is_hit_by_a_write_of_another(gdb: Gdb, sessions: Sessions, board: Board) -> None:
    """All state is per connection: who waits is told, whoever acts."""
    watching = sessions()
    watching.run("watch GICC_PMR")
    watching.start("continue")
    writing = live(sessions, thread=4)
    writing.start("set var GICC_PMR = 0x70")
    assert 'Thread 4 "vcpu3" hit Hardware watchpoint 1: GICC_PMR' in watching.wait()
    watching.run("delete")
    watching.run("detach")
    assert writing.wait() == ""
    assert writing.run("output/x gicc3.PMR") == "0x70"


def test_each_of_two_gdbs_has_its_own_thread_and_breakpoints(sessions: Sessions, board: Board) -> None:
    scenes.driver(board.gic)
    one, two = sessions(), sessions()
    one.run("thread 2")
    two.run("thread 3")
    one.run("break irq3_ack thread 2")
    two.run("break irq3_ack thread 3")
    assert (one.run("output $_thread"), two.run("output $_thread")) == ("2", "3")
    one.start("continue")
    two.start("continue")
    with board.acting() as guest:
        for vcpu in (1, 2):
            guest.write(vcpu, "GICD_SGIR", 2 << 24 | 3)
            guest.read(vcpu, "GICC_IAR")
        assert 'Thread 2 "vcpu1" hit' in one.wait()
        one.run("detach")
        assert 'Thread 3 "vcpu2" hit' in two.wait()
        two.run("detach")


def test_trace_prints_while_the_guest_runs(sessions: Sessions, board: Board) -> None:
    scenes.driver(board.gic)
    session = sessions()
    session.run("monitor trace on")
    session.run("tbreak irq42_eoi")
    session.start("continue")
    with board.acting() as guest:
        guest.line(scenes.DEVICE, 1)
        guest.read(1, "GICC_IAR")
        guest.write(1, "GICC_EOIR", scenes.DEVICE)
        shown = session.wait()
        session.run("detach")
    assert any(text.startswith("O") and text != "OK" for text in (p.text for p in session.tap.packets))
    assert re.search(r"GICC_IAR\b.*", shown)
    assert "42" in shown


def test_freeze_off_lets_the_guest_run_while_stopped(sessions: Sessions, board: Board) -> None:
    session = sessions()
    with board.acting() as guest:
        held = guest.write(0, "GICC_PMR", 0x80)
        session.run("output GICC_PMR")
        assert not held.done()
        assert session.run("monitor freeze off").startswith("The guest is never held")
        held.result()
        guest.write(0, "GICC_PMR", 0x90).result()
        session.run("monitor freeze auto")
        again = guest.write(0, "GICC_PMR", 0xA0)
        assert session.run("output/x GICC_PMR") == "0x90"
        assert not again.done()
        session.run("detach")
        again.result()


def test_what_is_refused_is_said_in_a_sentence(sessions: Sessions, board: Board) -> None:
    """By `monitor why`, whatever the version of gdb says by itself."""
    session = sessions()
    assert "monitor help" in session.run("monitor frobnicate")
    assert re.search(r"[a-z].*\.$", session.run("monitor irq 5000 up"))
    assert "Cannot access memory" in session.run("set var gich.LR[0] = {0}") or session.received
    session.run("set {int}&GICH_HCR = 1")
    why = session.run("monitor why")
    assert re.search(r"explicit.*\.$", why, re.DOTALL), why


@pytest.mark.gdbs("plain", "multiarch", "new")
def test_minimal_offers_what_qemu_does(gdb: Gdb, boards: Boards, sessions: Sessions) -> None:
    """So that one gdb 13, whose packet table is global, can have this and QEMU's as inferiors."""
    board = boards(gdb.arch, "--gdb-minimal")
    board.reset()
    scenes.busy(board.gic)
    session = sessions(board=board)
    (features,) = [p.text for p in session.tap.packets if p.text.startswith("PacketSize=")]
    assert "QPassSignals" not in features
    assert "qXfer:threads" not in features
    assert "qXfer:osdata" not in features
    session.allowed.append("No executable has been specified")  # it cannot be asked for the symbol file
    assert len(re.findall(r"Thread 1\.[1-4] ", session.run("info threads"))) == 4
    assert session.run("x/wx 0x801000c").endswith("0x00000c03")
    assert session.accesses() == ["m801000c,4"]


@pytest.mark.gdbs("multiarch-aarch64", "new-aarch64")
def test_one_gdb_steps_a_guest_on_qemu_and_looks_at_a_minimal_vgicd(
    gdb: Gdb, boards: Boards, sessions: Sessions, tmp_path: Path
) -> None:
    """gdb 13's table of packets is global: `Protocol error: ... conflicting enabled responses` if sets differ."""
    require_tool("qemu-system-aarch64", "qemu-system-arm")
    board = boards(gdb.arch, "--gdb-minimal")
    board.reset()
    scenes.busy(board.gic)
    path = tmp_path / "q"
    machine = ["qemu-system-aarch64", "-M", "virt", "-cpu", "cortex-a57", "-nodefaults", "-display", "none", "-S"]
    machine += ["-kernel", str(guests.build("watched"))]
    with subprocess.Popen([*machine, "-gdb", f"unix:path={path},server=on,wait=off"], stdin=subprocess.DEVNULL) as qemu:
        try:
            session = sessions(connect=False, board=board)
            session.allowed.append("No executable has been specified")
            for _ in range(200):
                if "Remote debugging using" in session.run(f"target remote {path}"):
                    break
                session.run("shell sleep 0.05")
            where = int(session.run("output/d (long)$pc"))
            session.run("add-inferior -no-connection")
            session.run("inferior 2")
            session.connect()
            assert session.run("x/wx 0x801000c").endswith("0x00000c03")
            for steps in (1, 2):
                session.run("inferior 1")
                session.run("stepi")
                assert int(session.run("output/d (long)$pc")) == where + 4 * steps
                session.run("inferior 2")
                assert session.run("x/wx 0x8000004").endswith("0x00000062")
            session.kill()
        finally:
            qemu.kill()


def test_gdbs_of_the_other_kind_say_what_to_do(boards: Boards) -> None:
    """A plain gdb knows no AArch64: the connection fails, in words, and the daemon lives on."""
    board = boards("aarch64")
    board.reset()
    with Session(gdbs.find("plain"), board.gdb) as session:
        session.allowed += ["unknown architecture", "Could not load XML", "Truncated register", "Remote communication"]
        session.connect()
        assert 'unknown architecture "aarch64"' in session.transcript
    board.gic.ping()
