"""The daemon dies, hangs or begins anew in the middle: the run ends soon, with a sentence and its own status."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.guests.programs import SPIN, TALK, TICKS, UART, WAIT, program, say
from tests.tools import require_fetched
from vgicd_client import PrivateDaemon, private_daemon
from vgicd_client.daemon import START_DEADLINE
from vgicd_machine import guests
from vgicd_machine.errors import CannotResume, GicLost

SOON = 5.0
ADVICE = "start the daemon again, and the guest from its beginning"

ACCESS = """
    d2a10002    mov     x2, #0x8000000          // GICD
    b9400443    ldr     w3, [x2, #4]
    17ffffff    b       .-4
"""


@contextmanager
def running(folder: Path, listing: str, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """`vgicctl run` of a program that first says "!", which it has done."""
    image = program(folder, UART + say("!") + listing)
    command = [str(Path(sys.executable).with_name("vgicctl")), "run", image, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL) as run:
        assert run.stdout is not None
        try:
            assert run.stdout.read(1) == b"!", "it runs"
            yield run
        finally:
            run.kill()


def end_of(run: subprocess.Popen[bytes], began: float) -> str:
    """What it says, having checked that it ended as lost, and in time."""
    _, stderr = run.communicate(timeout=4 * SOON)
    took = time.monotonic() - began
    assert run.returncode == GicLost.status, stderr
    assert took < SOON
    text = stderr.decode()
    assert text.startswith("vgicctl: the interrupt controller is gone: ")
    assert len(text.splitlines()) == 1
    return text


@pytest.fixture
def daemon() -> Iterator[PrivateDaemon]:
    with private_daemon("--tcp=127.0.0.1:0", vcpus=1, spis=32) as started:
        try:
            yield started
        finally:
            if started.process.poll() is None:
                os.kill(started.pid, signal.SIGCONT)


@pytest.mark.parametrize(
    ("listing", "options"),
    [
        pytest.param(ACCESS, (), id="access"),
        pytest.param(WAIT, ("--patience", "60"), id="waiting", marks=pytest.mark.long),
        pytest.param(SPIN, ("--held",), id="spinning, held"),
        pytest.param(SPIN, (), id="spinning", marks=pytest.mark.long),
        pytest.param(TALK, (), id="talking", marks=pytest.mark.long),
        pytest.param(TICKS, ("--paced",), id="paced", marks=pytest.mark.long),
    ],
)
def test_a_killed_daemon_ends_the_run(
    tmp_path: Path, daemon: PrivateDaemon, listing: str, options: tuple[str, ...]
) -> None:
    with running(tmp_path, listing, "--connect", daemon.address, *options) as run:
        os.kill(daemon.pid, signal.SIGKILL)
        assert ADVICE in end_of(run, time.monotonic())


def test_a_killed_daemon_on_tcp_ends_the_run(tmp_path: Path, daemon: PrivateDaemon) -> None:
    with running(tmp_path, WAIT, "--connect", daemon.listening("tcp"), "--patience", "60") as run:
        os.kill(daemon.pid, signal.SIGKILL)
        assert ADVICE in end_of(run, time.monotonic())


@pytest.mark.long
@pytest.mark.parametrize("cpus", [1, 4])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "stopped"])
def test_linux_loses_its_daemon_in_the_middle_of_booting(tmp_path: Path, cpus: int, number: signal.Signals) -> None:
    require_fetched("linux")
    console = tmp_path / "console"
    with private_daemon(vcpus=cpus, spis=256) as daemon:
        command = [str(Path(sys.executable).with_name("vgicctl")), "run", str(guests.fetched("linux"))]
        command += ["--append", "console=ttyAMA0 earlycon=pl011,0x9000000", "--connect", daemon.address]
        with console.open("wb") as file, subprocess.Popen(command, stdout=file, stderr=subprocess.PIPE) as run:
            try:
                deadline = time.monotonic() + 120
                while b"smp: Brought up" not in console.read_bytes():
                    assert time.monotonic() < deadline
                    assert run.poll() is None
                    time.sleep(0.05)
                os.kill(daemon.pid, number)
                assert ADVICE in end_of(run, time.monotonic())
            finally:
                run.kill()
                os.kill(daemon.pid, signal.SIGCONT)


def test_a_killed_private_daemon_is_told_with_what_ended_it(tmp_path: Path) -> None:
    with running(tmp_path, SPIN) as run:
        children = Path(f"/proc/{run.pid}/task/{run.pid}/children").read_text().split()
        assert len(children) == 1
        os.kill(int(children[0]), signal.SIGKILL)
        assert f"(its process {children[0]} was ended by SIGKILL)" in end_of(run, time.monotonic())


@pytest.mark.long
@pytest.mark.parametrize(
    ("listing", "options"),
    [(ACCESS, ()), (SPIN, ()), (TALK, ()), (WAIT, ("--patience", "60")), (TICKS, ("--paced",))],
    ids=["access", "spinning", "talking", "waiting", "paced"],
)
@pytest.mark.parametrize("transport", ["unix", "tcp"])
def test_a_daemon_that_answers_no_more_ends_the_run(
    tmp_path: Path, daemon: PrivateDaemon, listing: str, options: tuple[str, ...], transport: str
) -> None:
    address = daemon.address if transport == "unix" else daemon.listening("tcp")
    with running(tmp_path, listing, "--connect", address, *options) as run:
        os.kill(daemon.pid, signal.SIGSTOP)
        assert "no reply from" in end_of(run, time.monotonic())


@pytest.mark.long
def test_a_daemon_that_is_there_again_is_not_the_guests_any_more(tmp_path: Path) -> None:
    socket = tmp_path / "again.sock"
    command = [sys.executable, "-m", "vgicd.cli", "serve", "--unix", str(socket)]

    def start() -> subprocess.Popen[bytes]:
        started = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + START_DEADLINE
        while not socket.exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        return started

    first = start()
    try:
        with running(tmp_path, WAIT, "--connect", f"unix:{socket}", "--patience", "60") as run:
            os.kill(first.pid, signal.SIGKILL)
            first.wait()
            began = time.monotonic()
            socket.unlink(missing_ok=True)
            first = start()
            assert ADVICE in end_of(run, began)
    finally:
        first.kill()
        first.wait()


def test_to_resume_is_refused_with_a_sentence(tmp_path: Path) -> None:
    for arguments in (["image", "--resume", "saved"], ["--resume", "saved"]):
        done = subprocess.run(
            [sys.executable, "-m", "vgicd_machine", *arguments], capture_output=True, text=True, timeout=30, check=False
        )
        assert (done.returncode, done.stdout) == (CannotResume.status, "")
        assert len(done.stderr.splitlines()) == 1
        assert done.stderr.startswith("vgicd_machine: --resume is not possible yet: a run's CPUs, memory and devices")
        assert done.stderr.rstrip().endswith("Run IMAGE from its beginning")
