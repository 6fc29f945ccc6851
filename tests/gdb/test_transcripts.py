"""What a person sees who types the first commands that come to mind: one test per command."""

from __future__ import annotations

import re

from tests.gdb import scenes
from tests.gdb.conftest import Board, Boards, Sessions
from tests.gdb.gdbs import Gdb
from tests.gdb.transcript import Session
from vgicd_client import Space


def addresses(text: str) -> str:
    """`text` with the addresses of fake code, which differ by architecture, as CODE."""
    return re.sub(r"0x[0-9a-f]+(?= in )", "CODE", text)


def test_target_remote_is_enough(sessions: Sessions, board: Board) -> None:
    """Nothing is loaded, on disk or configured: the daemon brings its own symbols."""
    session = sessions(connect=False)
    shown = session.connect()
    assert "Reading symbols from target:/vgicd.elf..." in shown.splitlines()
    assert re.fullmatch(r"0x[0-9a-f]+ in idle \(\)", shown.splitlines()[-1])
    assert session.run("p sizeof(gich.LR)") == "$1 = 16"


def test_info_threads_shows_vcpus_and_their_state(sessions: Sessions, board: Board) -> None:
    scenes.driver(board.gic)
    board.gic.line(scenes.TIMER, 1, 0)
    board.gic.line(scenes.DEVICE, 1)
    shown = addresses(sessions().run("info threads"))
    assert [" ".join(line.split()) for line in shown.splitlines()[1:]] == [
        '* 1 Thread 1.1 "vcpu0" (irq=HIGH lr=1/4 hppi=27) CODE in idle ()',
        '2 Thread 1.2 "vcpu1" (irq=HIGH lr=1/4 hppi=42) CODE in idle ()',
        '3 Thread 1.3 "vcpu2" (irq=low lr=0/4 hppi=none) CODE in idle ()',
        '4 Thread 1.4 "vcpu3" (irq=low lr=0/4 hppi=none) CODE in idle ()',
    ]


def test_list_registers_are_structures(sessions: Sessions, board: Board) -> None:
    scenes.driver(board.gic)
    board.gic.line(scenes.TIMER, 1, 0)
    session = sessions()
    shown = session.run("p gich.LR[0]")
    assert re.fullmatch(r"\$1 = \{VirtualID = 27, .*Priority = 16, State = PENDING, Grp1 = 0, HW = 0\}", shown)
    assert session.accesses() == ["m8030100,4"]
    assert session.run("p gich.LR[0].State == PENDING") == "$2 = 1"
    assert session.accesses() == ["m8030100,4"]


def test_a_list_register_is_written_in_explicit_mode_with_the_vcpu_inside(sessions: Sessions, board: Board) -> None:
    """One read and one write of the whole register: the other fields are kept."""
    board.gic.mode(True)
    board.gic.enter(0)
    board.gic.lr_set(0, 0, 0x1000_0029)
    board.gic.lr_set(0, 1, 0x1000_002A)
    session = sessions()
    assert session.run("set var gich.LR[1].State = ACTIVE") == ""
    writes = [packet for packet in session.accesses() if packet.startswith("X")]
    assert (session.accesses()[0], writes) == ("m8030104,4", ["X8030104,4"])
    assert "State = ACTIVE" in session.run("p gich.LR[1]")
    assert board.gic.lr_get(0).lrs[1] == 0x2000_002A


def test_a_list_register_is_not_written_in_automatic_mode(sessions: Sessions, board: Board) -> None:
    scenes.busy(board.gic)
    session = sessions()
    with board.unchanged():
        assert session.run("set var gich.LR[1].State = ACTIVE").startswith("Cannot access memory at address 0x8030104")
    assert "explicit" in session.run("monitor why")


def test_watch_names_the_vcpu_that_wrote(sessions: Sessions, board: Board) -> None:
    session = sessions()
    assert "watch GICD_ISENABLER1" in session.run("complete watch GICD_ISENAB").splitlines()
    assert session.run("watch GICD_ISENABLER1") == "Hardware watchpoint 1: GICD_ISENABLER1"
    session.start("continue")
    with board.acting() as guest:
        written = guest.write(2, "GICD_ISENABLER1", 1 << 10)
        hit = session.wait()
        assert 'Thread 3 "vcpu2" hit Hardware watchpoint 1: GICD_ISENABLER1\n\nOld value = 0\nNew value = 1024\n' in hit
        assert not written.done(), "the guest is held at its access"
        session.run("detach")
        written.result()


def test_break_on_an_interrupt_of_one_vcpu(sessions: Sessions, board: Board) -> None:
    scenes.driver(board.gic)
    session = sessions()
    assert re.fullmatch(r"Breakpoint 1 at 0x[0-9a-f]+", session.run("break irq3 if $_thread == 2"))
    session.start("continue")
    with board.acting() as guest:
        guest.write(1, "GICD_SGIR", 1 << 24 | 3)
        acknowledged = [guest.read(vcpu, "GICC_IAR") for vcpu in (3, 0)]
        guest.write(0, "GICD_SGIR", 1 << 24 | 3)
        last = guest.read(1, "GICC_IAR")
        assert 'Thread 2 "vcpu1" hit Breakpoint 1, ' in session.wait()
        assert [future.result(1) & 0x3FF for future in acknowledged] == [3, 3]
        assert not last.done()
        session.run("detach")
        assert last.result() & 0x3FF == 3


def test_dprintf_prints_while_the_guest_runs(gdb: Gdb, boards: Boards, sessions: Sessions) -> None:
    named = boards(gdb.arch, "--gdb-irq-name=33=uart0")
    named.reset()
    scenes.driver(named.gic)
    scenes.enable(named.gic, 33, 0, edge=True)
    session = sessions(board=named)
    session.run(r'dprintf irq33_uart0,"uart irq, RPR=%x\n",GICC_RPR')
    session.run("tbreak irq33_deactivate")
    session.start("continue")
    with named.acting() as guest:
        guest.pulse(33)
        taken = guest.read(0, "GICC_IAR")
        guest.write(0, "GICC_EOIR", 33)
        shown = session.wait()
        assert taken.result() == 33
        session.run("detach")
    assert f"uart irq, RPR={scenes.DEVICE_PRIORITY:x}" in shown.splitlines()
    assert "Temporary breakpoint 2, " in shown


def test_backtrace_is_the_nesting_of_active_interrupts(sessions: Sessions, board: Board) -> None:
    scenes.driver(board.gic)
    scenes.nest(board.gic, 2)
    session = sessions()
    session.run("thread 3")
    frames = addresses(session.run("bt")).splitlines()
    assert frames == ["#0  CODE in idle ()", "#1  CODE in irq3 ()", "#2  CODE in irq27_vtimer ()"]
    session.run("thread 1")
    assert len(session.run("bt").splitlines()) == 1


def test_info_os_prints_tables(sessions: Sessions, board: Board) -> None:
    wanted = {"irqs": r"\b42\b", "lrs": r"\b27\b", "vcpus": r"^0\b", "clients": r"\bboard\b|control", "stats": r"[1-9]"}
    scenes.busy(board.gic)
    session = sessions()
    tables = session.run("info os")
    with board.unchanged():
        for table, pattern in wanted.items():
            assert table in tables
            heading, *rows = session.run(f"info os {table}").splitlines()
            assert len(heading.split()) >= 2
            assert any(re.search(pattern, row) for row in rows), rows


def test_registers_are_typed(sessions: Sessions, board: Board) -> None:
    scenes.busy(board.gic)
    session = sessions()
    with board.unchanged():
        assert session.run("p gicd.TYPER").startswith("$1 = {ITLinesNumber = 2, CPUNumber = 3, ")
        assert re.search(r"type = struct gich_lr \{", session.run("ptype /o struct gich_lr"))
        assert session.run("info symbol 0x8000104") == "GICD_ISENABLER1 in section .gicd"
        assert "watch GICC_PMR" in session.run("complete watch GICC_P").splitlines()
        assert "GICD_IPRIORITYR8" in session.run("info variables GICD_IPRI")


def test_vendor_registers(session: Session, board: Board) -> None:
    assert re.fullmatch(r"gich_lr0 +0x0 +\[.* state=INVALID .*\]", session.run("info registers gich_lr0"))
    assert session.run("p $order") == f"$1 = {board.gic.order}"
    assert session.run("p $irq_line").startswith("$2 = ")
    assert session.run("p/x $gicc_pmr") == "$3 = 0x0"
    assert session.sent == ["pc9"] or len(session.sent) <= 1, "fetched one at a time, when asked for"


def test_gic_writes_are_the_guests_own(session: Session, board: Board) -> None:
    """As the selected vCPU: GICC_PMR of thread 2 is vCPU 1's."""
    session.run("thread 2")
    session.run("set var GICC_PMR = 0xf0")
    assert [packet for packet in session.accesses() if packet[0] == "X"] == ["X8010004,4"]
    session.run("detach")
    assert [board.gic.peek(vcpu, Space.GICC, 4) for vcpu in range(4)] == [0, 0xF0, 0, 0]
