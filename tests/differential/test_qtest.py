"""The oracle's own driver: notices before the OK, refusals, a QEMU that ends, and a missing QEMU."""

from __future__ import annotations

import os
import select
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.differential import qemu
from tests.differential.qemu import Qemu, require_qemu
from tests.differential.qtest import Qtest, QtestError

ROOT = Path(__file__).parents[2]


@pytest.fixture
def ends() -> Iterator[tuple[Qtest, socket.socket]]:
    near, far = socket.socketpair()
    with near, far:
        yield Qtest(near, timeout=0.2), far


def test_notices_precede_the_answer(ends: tuple[Qtest, socket.socket]) -> None:
    qtest, far = ends
    far.sendall(b"IRQ raise 0\nIRQ raise 1\nOK\nIRQ lower 1\nOK 0x2a\n")
    assert qtest.run(("writel 0x0 0x1", "readl 0x0")) == [0, 0x2A]
    assert far.recv(64) == b"writel 0x0 0x1\nreadl 0x0\n"
    assert qtest.levels == {0: 1, 1: 0}


@pytest.mark.parametrize(("answer", "text"), [(b"FAIL Unknown command\n", "refuses"), (b"OK", "does not answer")])
def test_a_refusal_and_silence_are_errors(ends: tuple[Qtest, socket.socket], answer: bytes, text: str) -> None:
    qtest, far = ends
    far.sendall(answer)
    with pytest.raises(QtestError, match=text):
        qtest.read(0x08000004)


def test_a_qemu_that_ended_is_an_error(ends: tuple[Qtest, socket.socket]) -> None:
    qtest, far = ends

    def end() -> None:
        far.recv(64)
        far.close()

    thread = threading.Thread(target=end)
    thread.start()
    with pytest.raises(QtestError, match="ended"):
        qtest.read(0x08000004)
    thread.join()


def test_leaving_kills_the_child() -> None:
    require_qemu()
    with Qemu() as machine:
        assert machine.process.poll() is None
        assert machine.qtest.read(qemu.GICD + 0x004) == 0x8
    assert machine.process.returncode is not None


def test_a_machine_that_does_not_start_is_an_error_and_leaves_no_child(monkeypatch: pytest.MonkeyPatch) -> None:
    require_qemu()
    monkeypatch.setattr(qemu, "START_TIMEOUT", 1.0)
    with pytest.raises(QtestError, match="did not start"):
        Qemu(options="no-such-option=1")


def test_qemu_does_not_outlive_a_killed_parent() -> None:
    """A mailbox guest that nobody waits for would spin for ever."""
    require_qemu()
    script = (
        "import sys; from tests.differential.qemu import Qemu\n"
        "with Qemu() as machine: print(machine.process.pid, flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as parent:
        assert parent.stdout is not None
        child = os.pidfd_open(int(parent.stdout.readline()))
        parent.kill()
    try:
        assert select.select([child], [], [], 5.0)[0], "QEMU still runs"
    finally:
        os.close(child)


@pytest.mark.parametrize(("environment", "outcome"), [("", pytest.skip.Exception), ("true", pytest.fail.Exception)])
def test_without_qemu_a_test_skips_and_ci_fails(
    monkeypatch: pytest.MonkeyPatch, environment: str, outcome: type[BaseException]
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setenv("CI", environment)
    with pytest.raises(outcome, match="qemu-system-arm"):
        require_qemu()
