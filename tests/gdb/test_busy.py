"""A guest that never rests under a gdb that looks at it: nothing is lost, nobody hangs."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.gdb.conftest import VCPUS, Board, Sessions, place
from tests.gdb.transcript import PATIENCE
from vgicd_client import Client, connect

TIMER = 27


class Busy:
    """A client per vCPU, each of which raises its timer, takes it, ends it, and so on until the block ends."""

    def __init__(self, address: str) -> None:
        self.rounds = [0] * VCPUS
        self._end = False
        self._failures: list[BaseException] = []
        self._threads = [threading.Thread(target=self._run, args=(address, vcpu)) for vcpu in range(VCPUS)]
        for thread in self._threads:
            thread.start()

    def _run(self, address: str, vcpu: int) -> None:
        try:
            with connect(address, "guest", timeout=4 * PATIENCE) as guest:
                while not self._end:
                    self._round(guest, vcpu)
                    self.rounds[vcpu] += 1
        except BaseException as failure:
            self._failures.append(failure)

    @staticmethod
    def _round(guest: Client, vcpu: int) -> None:
        guest.line(TIMER, 1, vcpu)
        intid = guest.read(vcpu, *place("GICC_IAR"))
        guest.line(TIMER, 0, vcpu)
        if intid == TIMER:
            guest.write(vcpu, *place("GICC_EOIR"), intid)

    def goes_on(self) -> None:
        """Every vCPU makes progress."""
        before = list(self.rounds)
        deadline = time.monotonic() + PATIENCE
        while not all(now > then + 1 for now, then in zip(self.rounds, before, strict=True)):
            assert time.monotonic() < deadline, (before, self.rounds, self._failures)
            time.sleep(0.01)

    def end(self) -> None:
        self._end = True
        for thread in self._threads:
            thread.join(PATIENCE)
        assert not any(thread.is_alive() for thread in self._threads)
        assert not self._failures


@pytest.fixture
def board(board: Board) -> Board:
    """The board with every vCPU's timer let through."""
    board.gic.write(0, *place("GICD_CTLR"), 1)
    for vcpu in range(VCPUS):
        board.gic.write(vcpu, *place("GICC_CTLR"), 1)
        board.gic.write(vcpu, *place("GICC_PMR"), 0xF8)
        board.gic.write(vcpu, *place("GICD_ISENABLER0"), 1 << TIMER)
    return board


@contextmanager
def busy(board: Board) -> Iterator[Busy]:
    """A guest at work; the block must leave it running."""
    guest = Busy(board.daemon.address)
    try:
        yield guest
    finally:
        guest.end()


@pytest.mark.parametrize("setting", ["break irq27_ack if $_thread == 9", 'dprintf irq27_ack,"ack\\n"'])
def test_ctrl_c_is_heard_while_breakpoints_are_hit_all_the_time(setting: str, sessions: Sessions, board: Board) -> None:
    """gdb sends it while the next stop, of which it says nothing, is on its way: then it counts when gdb goes on."""
    session = sessions()
    session.run(setting)
    with busy(board) as guest:
        for _ in range(5):
            session.start("continue")
            guest.goes_on()
            session.interrupt()
            assert "SIGINT" in session.wait()
        session.run("detach")
        guest.goes_on()


def test_every_vcpus_stop_is_told_once(sessions: Sessions, board: Board) -> None:
    session = sessions()
    session.run("break irq27_ack")
    with busy(board) as guest:
        seen = set()
        for count in range(1, 41):
            stopped = session.run("continue")
            assert "hit Breakpoint 1" in stopped
            seen.add(session.run("output $_thread"))
            assert f"already hit {count} time" in session.run("info breakpoints")
        assert len(seen) > 1, "of four vCPUs one alone never gets all the turns"
        session.run("detach")
        guest.goes_on()


def test_a_reset_with_another_shape_leaves_gdb_and_guest_at_work(sessions: Sessions, board: Board) -> None:
    session = sessions()
    session.run("break vgic_raise")
    session.run("watch gicc3.PMR")
    session.start("continue")
    board.reset(vcpus=2, spis=32, lrs=8)
    with board.acting() as device:
        raised = device.line(TIMER, 1, 1)
        assert "hit Breakpoint 1" in session.wait()
        assert session.run("output $_thread") == "2"
        assert session.run("output $irq_line") in ("low", "irq")
        session.run("delete")
        session.start("continue")
        raised.result()
        board.reset(vcpus=8, spis=64)
        for vcpu in range(8):
            assert device.read(vcpu, "GICC_PMR").result() == 0
    session.interrupt()
    assert "SIGINT" in session.wait()
    assert session.run("info threads").count("vcpu") == 8
