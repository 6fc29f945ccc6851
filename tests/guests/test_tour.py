"""The tour, a bare-metal guest that judges itself, on real daemons; and what happens when one of them dies."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.guests.fakes import words
from vgicd_client import private_daemon
from vgicd_machine import guests
from vgicd_machine.errors import GicLost
from vgicd_machine.gic.domain_port import DomainPort
from vgicd_machine.gic.socket_port import open_port
from vgicd_machine.run import run_image

SCENARIOS = [
    "timer-ppi",
    "level-spi",
    "sgi",
    "nested-priorities",
    "eoimode1",
    "masking",
    "spi-targets",
    "fiq-groups",
]
LIMIT = 120  # seconds; a second is enough on an idle machine


@pytest.fixture(scope="session")
def tour() -> Path:
    return guests.build()


def ignore(_text: str) -> None:
    """A console that nobody reads."""


@pytest.mark.parametrize(
    ("cpus", "lrs"),
    [(2, 1), (4, 4), *(pytest.param(*it, marks=pytest.mark.long) for it in ((1, 1), (1, 4), (2, 4), (4, 1)))],
)
def test_tour_passes_over_the_socket(tour: Path, cpus: int, lrs: int) -> None:
    with private_daemon(vcpus=cpus, lrs=lrs) as daemon, open_port(daemon.address) as port:
        outcome = run_image(port, tour, ignore, cpus=cpus, seconds=LIMIT)
    assert [(verdict.name, verdict.why) for verdict in outcome.verdicts] == [(name, "") for name in SCENARIOS]
    assert all(verdict.passed for verdict in outcome.verdicts)
    assert outcome.status == 0


def test_socket_and_process_give_the_same_run(tour: Path) -> None:
    consoles: list[list[str]] = [[], []]
    with private_daemon(vcpus=2) as daemon, open_port(daemon.address) as port:
        remote = run_image(port, tour, consoles[0].append, cpus=2, seconds=LIMIT)
    local = run_image(DomainPort(vcpus=2), tour, consoles[1].append, cpus=2, seconds=LIMIT)
    assert consoles[0] == consoles[1]
    assert remote == local, "virtual time to the tick"


@pytest.mark.long
@pytest.mark.parametrize("lrs", [1, 2, 3, 16])
def test_tour_passes_on_eight_cpus(tour: Path, lrs: int) -> None:
    outcome = run_image(DomainPort(vcpus=8, lrs=lrs), tour, ignore, cpus=8, seconds=LIMIT)
    assert outcome.status == 0


def test_daemon_killed_in_the_middle_ends_the_run_with_a_sentence(tour: Path) -> None:
    with private_daemon(vcpus=2) as daemon:
        died_at = 0.0

        def kill_at_first_verdict(text: str) -> None:
            nonlocal died_at
            if text.startswith("PASS") and not died_at:
                os.kill(daemon.pid, signal.SIGKILL)
                died_at = time.monotonic()

        with open_port(daemon.address) as port, pytest.raises(GicLost, match="the interrupt controller is gone"):
            run_image(port, tour, kill_at_first_verdict, cpus=2, seconds=LIMIT)
        assert died_at
        assert time.monotonic() - died_at < 5


@pytest.mark.long
def test_daemon_that_answers_no_more_counts_as_lost(tour: Path) -> None:
    with private_daemon() as daemon:

        def freeze_at_first_verdict(text: str) -> None:
            if text.startswith("PASS"):
                os.kill(daemon.pid, signal.SIGSTOP)

        try:
            with open_port(daemon.address) as port, pytest.raises(GicLost, match="no reply"):
                run_image(port, tour, freeze_at_first_verdict, seconds=LIMIT)
        finally:
            os.kill(daemon.pid, signal.SIGCONT)


SPEAK_AND_SPIN = """
    d2a12000    mov     x0, #0x9000000          // UARTDR
    52800141    mov     w1, #10
    b9000001    str     w1, [x0]
    14000000    b       .
"""


@pytest.mark.long
def test_daemon_killed_while_the_guest_does_not_touch_it_is_noticed(tmp_path: Path) -> None:
    endless = tmp_path / "endless.bin"
    endless.write_bytes(words(SPEAK_AND_SPIN))
    with private_daemon() as daemon:
        command = [sys.executable, "-m", "vgicd_machine", str(endless), "--connect", daemon.address]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=0) as machine:
            assert machine.stdout is not None
            assert machine.stdout.readline() == "\n", "it runs"
            os.kill(daemon.pid, signal.SIGKILL)
            _, stderr = machine.communicate(timeout=10)
    assert machine.returncode == GicLost.status
    assert stderr.startswith("vgicd_machine: the interrupt controller is gone: ")
    assert len(stderr.splitlines()) == 1


def test_demo_shows_the_verdicts_and_the_state(tour: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "vgicd_machine.demo", "--cpus", "2"],
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    lines = result.stdout.splitlines()
    assert result.returncode == 0, result.stderr
    assert lines[-len(SCENARIOS) :] == [f"PASS {name}" for name in SCENARIOS]
    assert any(line.startswith("GICC_RPR") for line in lines)
    assert any("41 pending prio 0x88" in line for line in lines), "the still life in the list registers"


def test_demo_ends_with_a_sentence_when_its_daemon_dies(tour: Path) -> None:
    command = [sys.executable, "-m", "vgicd_machine.demo", "--cpus", "4"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as demo:
        assert demo.stdout is not None
        heading = re.search(r"process (\d+)", demo.stdout.readline())
        assert heading
        os.kill(int(heading[1]), signal.SIGKILL)
        output, stderr = demo.communicate(timeout=LIMIT)
    assert demo.returncode == GicLost.status
    when = ("the interrupt controller is gone: ", "no interrupt controller: ")  # the latter until HELLO is answered
    assert stderr.removeprefix("vgicd_machine: ").startswith(when)
    assert "Traceback" not in stderr
    assert "final state" not in output
