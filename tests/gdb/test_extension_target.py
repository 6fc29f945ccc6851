"""The in-gdb extension while gdb debugs the vgicd itself: nothing waits for a guest that gdb holds."""

from __future__ import annotations

import threading
import time

import pytest

from tests.gdb.conftest import Board, Sessions
from tests.gdb.extension import EXTENSION, NOT_FOR_USERS, set_up
from tests.gdb.transcript import Session
from vgicd_client import Space, connect, private_daemon

SWIFT = 1.5  # seconds: less than the extension's timeout of 2, which a request that is withheld would cost


@pytest.fixture
def attached(sessions: Sessions, board: Board) -> Session:
    """Attached to the board, whose guest gdb holds from then on, with the extension."""
    set_up(board.gic)
    session = sessions()
    session.run(f"source {EXTENSION}")
    return session


@pytest.fixture
def extended(attached: Session, board: Board) -> Session:
    """The extension is connected to the board, too."""
    attached.run(f"vgic connect {board.daemon.address}")
    return attached


def swiftly(session: Session, command: str) -> str:
    """What the command says, within a time in which nothing can have timed out."""
    start = time.monotonic()
    said = session.run(command)
    assert time.monotonic() - start < SWIFT, said
    for words in NOT_FOR_USERS:
        assert words not in said
    return said


def test_looking_works_while_gdb_holds_the_guest(extended: Session, board: Board) -> None:
    with board.unchanged():
        for command, expected in (
            ("vgic lrs 0", "<LR virq=33 PENDING prio=0xa0>"),
            ("vgic irq 33", "pending        yes"),
            ("vgic irqs", "40         yes  edge"),
            ("vgic regs GICC_RPR", "0x00000080"),
            ("vgic vgic-state", "PLAEHCG"),
            ("vgic why 33", "running"),
            ('output $irq(33, "pending")', "1"),
            ("vgic status", "lines are driven through the target, vgicd "),
        ):
            assert expected in swiftly(extended, command)


def test_a_line_is_driven_through_the_target(extended: Session, board: Board) -> None:
    assert "irq42: line high" in swiftly(extended, "vgic irq 40+2 up")
    assert "qvgic.irq 42 up" in extended.sent
    assert board.gic.irq_info(42).line_level
    assert "irq27" in swiftly(extended, "vgic irq 27 up vcpu 2-2")
    assert "qvgic.irq 27 up 0" in extended.sent
    assert board.gic.irq_info(27, 0).line_level
    swiftly(extended, "vgic irq 42 down vcpu 1")
    assert "qvgic.irq 42 down" in extended.sent, "an SPI has no vCPU"
    for command in ("vgic irq 33 up vcpu 9", "vgic irq 27 pulse vcpu 4", "vgic why 33 vcpu 9"):
        assert swiftly(extended, command).endswith("does not exist: the domain has 2, from 0")


def test_the_selected_thread_chooses_the_vcpu(extended: Session) -> None:
    assert "GICD_ITARGETSR0  0x01010101" in extended.run("vgic regs GICD_ITARGETSR0")
    extended.run("thread 2")
    assert "GICD_ITARGETSR0  0x02020202" in extended.run("vgic regs GICD_ITARGETSR0")
    assert extended.run('output/x $gicd("ITARGETSR0")') == "0x2020202"
    assert "27 of vCPU 1" in extended.run("vgic irq 27")


def test_structures_are_printed_as_what_they_mean(extended: Session) -> None:
    assert "<LR virq=33 PENDING prio=0xa0>, <LR empty>" in extended.run("print gich.LR")
    assert extended.run("output gich.LR[0]") == "<LR virq=40 ACTIVE prio=0x80>"
    assert extended.run("output gich_lr_software[0]") == "<LR virq=40 ACTIVE prio=0x80>"
    assert "State = ACTIVE" in extended.run("print/r gich.LR[0]")
    assert extended.run("output gich.HCR").startswith("<HCR En")
    assert extended.run("output gich.MISR") == "<MISR none>"


def test_without_a_socket_the_target_answers_itself(attached: Session, board: Board) -> None:
    assert "irq33 pending" in swiftly(attached, "vgic lrs 0")
    assert "irq33: SPI" in swiftly(attached, "vgic irq 33")
    assert "33 " in swiftly(attached, "vgic irqs")
    assert "PLAEHCG" in swiftly(attached, "vgic vgic-state")
    assert "irq42: line high" in swiftly(attached, "vgic irq 42 up")
    assert board.gic.irq_info(42).line_level
    assert "no daemon is known" in swiftly(attached, 'output $gicc("PMR")')


def test_another_daemon_is_not_taken_for_the_target(attached: Session, board: Board) -> None:
    with private_daemon("--name", "other", vcpus=1) as other, connect(other.address, "control") as gic:
        assert "domain other" in attached.run(f"vgic connect {other.address}")
        assert "over this connection (the target is another one: vgicd " in attached.run("vgic status")
        gic.write(0, Space.GICD, 0xC08, 0)
        attached.run("vgic irq 42 up")
        assert gic.irq_info(42).line_level
        assert not board.gic.irq_info(42).line_level


def test_a_breakpoint_may_ask_the_extension(extended: Session, board: Board) -> None:
    """`break irq33_pend if $irq(...)`: gdb evaluates the condition while it holds the guest."""
    extended.run('break irq34_pend if $irq(40, "active")')
    extended.start("continue")
    with board.client() as guest:
        stimulus = threading.Thread(target=guest.pulse, args=(34,))
        stimulus.start()
        assert "irq34_pend" in extended.wait()
        extended.run("delete")
        extended.run("detach")
        stimulus.join(30)
        assert not stimulus.is_alive()


@pytest.mark.gdbs("plain", "new")
def test_lines_are_driven_over_the_socket_while_the_target_runs(sessions: Sessions, board: Board) -> None:
    set_up(board.gic)
    session = sessions()
    session.run(f"source {EXTENSION}")
    session.run(f"vgic connect {board.daemon.address}")
    session.run("vgic status")
    session.run("continue &")
    assert swiftly(session, "vgic irq 42 up").startswith("operation ")
    assert board.gic.irq_info(42).line_level
    session.run("interrupt")
    session.until("SIGINT|stopped|received signal")
