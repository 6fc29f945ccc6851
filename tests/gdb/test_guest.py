"""A real guest in the emulator while gdb looks on: nothing of it knows that there is a debugger."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.gdb.conftest import Board, Sessions
from vgicd_machine import guests

GUEST = "watched"
AWAITED = 40
"""The interrupt that only a debugger raises."""


def functions(backtrace: str) -> list[str]:
    """The names of the frames, innermost first."""
    return re.findall(r"^#\d+ .* in (\w+) \(\)$", backtrace, re.MULTILINE)


@pytest.fixture(scope="module")
def image() -> Path:
    return guests.build(GUEST)


@contextmanager
def running(image: Path, board: Board) -> Iterator[subprocess.Popen[str]]:
    """The guest in an emulator of its own, its GIC the board's."""
    command = [sys.executable, "-m", "vgicd_machine", str(image), "--connect", board.daemon.address]
    command += ["--cpus", "2", "--held", "--timeout", "60"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as machine:
        try:
            yield machine
        finally:
            machine.kill()


def test_a_guest_is_watched_broken_into_and_let_go(image: Path, sessions: Sessions, board: Board) -> None:
    board.reset(vcpus=2)
    session = sessions()
    session.run("watch GICD_ISENABLER1")
    session.run("break irq27_ack if $_thread == 2")
    with running(image, board) as machine:
        session.start("continue")
        hit = session.wait()
        assert 'Thread 2 "vcpu1" hit Hardware watchpoint 1: GICD_ISENABLER1' in hit
        assert "Old value = 0\nNew value = 1024\n" in hit
        session.run("delete 1")

        session.start("continue")
        assert re.search(r'Thread 2 "vcpu1" hit Breakpoint 2, .*irq27_ack \(\)', session.wait())
        session.run("delete 2")

        session.run("tbreak irq3_ack")
        session.start("continue")
        assert 'Thread 2 "vcpu1" hit Temporary breakpoint 3, ' in session.wait()
        assert functions(session.run("bt")) == ["irq3_ack", "irq3", "irq27_vtimer"]

        session.run(f"tbreak irq{AWAITED} thread 1")
        assert f"{AWAITED}" in session.run(f"monitor irq {AWAITED} pulse")
        session.start("continue")
        assert 'Thread 1 "vcpu0" hit Temporary breakpoint 4, ' in session.wait()
        assert f"irq{AWAITED} ()" in session.run("bt 1")

        assert machine.poll() is None
        assert "detached" in session.run("detach")
        output, _ = machine.communicate(timeout=60)
    assert output.splitlines()[-2:] == ["PASS watched", "EXIT: STATUS=0"]
    assert machine.returncode == 0


def test_a_guest_goes_on_when_gdb_is_killed_in_the_middle(image: Path, sessions: Sessions, board: Board) -> None:
    board.reset(vcpus=2)
    session = sessions()
    session.run("break irq27_ack")
    with running(image, board) as machine:
        session.start("continue")
        assert "hit Breakpoint 1" in session.wait()
        session.kill()
        board.gic.pulse(AWAITED)
        output, _ = machine.communicate(timeout=60)
    assert output.splitlines()[-2:] == ["PASS watched", "EXIT: STATUS=0"]
