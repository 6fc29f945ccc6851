"""A run on a terminal: what is typed, what is shown, how it is left, and that the terminal is as before."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.guests.programs import ECHO_UNTIL_Q, SPIN, SYSTEM_OFF, SYSTEM_RESET, TICKS, UART, WAIT, program, say
from vgicd_machine.errors import Interrupted

LIMIT = 30.0


class Terminal:
    """A run of `python -m vgicd_machine` whose standard streams are a terminal, and the person in front of it."""

    def __init__(self, master: int, slave: int, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self.seen = b""
        self._master = master
        self._slave = slave
        self.before = termios.tcgetattr(slave)

    def settings(self) -> list[Any]:
        return termios.tcgetattr(self._slave)

    def type(self, keys: bytes) -> None:
        os.write(self._master, keys)

    def until(self, pattern: bytes) -> re.Match[bytes]:
        """Wait until what was shown matches."""
        deadline = time.monotonic() + LIMIT
        while not (match := re.search(pattern, self.seen)):
            left = deadline - time.monotonic()
            assert left > 0, self.seen
            if select.select([self._master], [], [], left)[0]:
                self.seen += os.read(self._master, 4096)
        return match

    def end(self) -> int:
        """The exit status; what was shown until then is in `seen`."""
        deadline = time.monotonic() + LIMIT
        while (status := self.process.poll()) is None or select.select([self._master], [], [], 0)[0]:
            assert time.monotonic() < deadline, self.seen
            if select.select([self._master], [], [], 0.05)[0]:
                self.seen += os.read(self._master, 4096)
        return status


@contextmanager
def on_terminal(image: str, *arguments: str) -> Iterator[Terminal]:
    master, slave = pty.openpty()
    # whoever runs the tests under nohup has SIGHUP ignored, and so would what is tested
    command = ["env", "--default-signal=HUP", sys.executable, "-m", "vgicd_machine", image, *arguments]
    process = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, start_new_session=True)
    try:
        yield Terminal(master, slave, process)
    finally:
        process.kill()
        process.wait()
        os.close(master)
        os.close(slave)


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def piped(image: str, *arguments: str, keys: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "vgicd_machine", image, *arguments]
    return subprocess.run(command, input=keys, capture_output=True, timeout=LIMIT, check=False)


def test_keys_reach_the_guest_one_by_one_and_its_prompt_is_shown_at_once(tmp_path: Path) -> None:
    image = program(tmp_path, UART + say("=> ") + ECHO_UNTIL_Q + SYSTEM_OFF)
    with on_terminal(image, "--in-process") as person:
        person.until(b"=> $")
        assert b"[Ctrl-A x ends the run" in person.seen
        assert person.settings() != person.before
        person.type(b"a\x03\x1a")  # what would be SIGINT and SIGTSTP
        person.until(rb"=> a\x03\x1a$")
        person.type(b"\x01\x01")
        person.until(rb"\x1a\x01$")
        person.type(b"\x01h")
        person.until(rb"\x01\r\n\[Ctrl-A x ends")
        person.type(b"q")
        assert person.end() == 0
        assert person.settings() == person.before


def test_newlines_begin_at_the_left_and_the_rest_is_as_the_guest_wrote_it(tmp_path: Path) -> None:
    image = program(tmp_path, UART + say("50%\r60%\nend\n") + SYSTEM_OFF)
    with on_terminal(image, "--in-process", "--no-input") as person:
        assert person.end() == 0
        assert person.seen == b"50%\r60%\r\nend\r\n"
    done = piped(image, "--in-process")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"50%\r60%\nend\n", b"")


@pytest.mark.parametrize("listing", [pytest.param(SPIN, marks=pytest.mark.long), WAIT], ids=["spinning", "waiting"])
def test_ctrl_a_x_ends_the_run_whatever_the_guest_does(tmp_path: Path, listing: str) -> None:
    with on_terminal(program(tmp_path, UART + say("!") + listing), "--in-process") as person:
        person.until(rb"!")
        person.type(b"\x01x")
        assert person.end() == Interrupted.status
        assert b"vgicd_machine: ended with Ctrl-A x" in person.seen
        assert person.settings() == person.before


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, *(pytest.param(n, marks=pytest.mark.long) for n in (signal.SIGHUP, signal.SIGINT))]
)
def test_a_signal_restores_the_terminal_and_ends_the_private_daemon(tmp_path: Path, number: int) -> None:
    with on_terminal(program(tmp_path, UART + say("!") + SPIN)) as person:
        person.until(rb"!")
        pid = person.process.pid
        (daemon,) = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        assert person.settings() != person.before
        os.kill(pid, number)
        assert person.end() == 128 + number
        assert f"ended by {signal.Signals(number).name}".encode() in person.seen
        assert b"Traceback" not in person.seen
        assert person.settings() == person.before
        assert not Path(f"/proc/{daemon}").exists()


def test_a_stopped_run_gives_the_terminal_back_and_takes_it_again(tmp_path: Path) -> None:
    with on_terminal(program(tmp_path, UART + say("!") + ECHO_UNTIL_Q + SYSTEM_OFF), "--in-process") as person:
        person.until(rb"!")
        during, pid = person.settings(), person.process.pid
        os.kill(pid, signal.SIGTSTP)
        wait_until(lambda: Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].startswith("T"))
        assert person.settings() == person.before
        os.kill(pid, signal.SIGCONT)
        wait_until(lambda: person.settings() == during)
        person.type(b"q")
        assert person.end() == 0
        assert person.settings() == person.before


def test_progress_is_shown_while_the_guest_is_silent_and_goes_before_it_speaks(tmp_path: Path) -> None:
    image = program(tmp_path, UART + say("begin\n") + TICKS)
    with on_terminal(image, "--in-process") as person:
        person.until(rb"begin\r\n\r\x1b\[K\[\d+\.\d\d s of the guest's time, \d+\.\d million instructions, 0 interr")
        person.type(b"\x01x")
        assert person.end() == Interrupted.status
        assert re.search(rb"\]\r\x1b\[Kvgicd_machine: ended with", person.seen)


@pytest.mark.long
def test_progress_leaves_a_prompt_alone_and_is_not_for_pipes(tmp_path: Path) -> None:
    with on_terminal(program(tmp_path, UART + say("=> ") + TICKS), "--in-process", "--timeout", "2") as person:
        person.end()
        assert b"million" not in person.seen
    done = piped(program(tmp_path, TICKS), "--in-process", "--timeout", "2")
    assert done.stderr == b"vgicd_machine: the guest has not switched itself off within 2 seconds\n"


def test_a_pipe_is_typed_only_if_asked_for(tmp_path: Path) -> None:
    image = program(tmp_path, UART + ECHO_UNTIL_Q + SYSTEM_OFF)
    assert piped(image, "--in-process", "--input", keys=b"\x01x hello q more").stdout == b"\x01x hello q"
    assert piped(image, "--in-process", "--timeout", "0.5", keys=b"q").stdout == b""


@pytest.mark.long
def test_keys_of_a_pipe_are_as_deterministic_as_the_guest(tmp_path: Path) -> None:
    image = program(tmp_path, UART + ECHO_UNTIL_Q + SYSTEM_OFF)
    logs = []
    for n in range(2):
        log = tmp_path / f"log{n}"
        arguments = ("--in-process", "--input", "--deterministic", "--log", str(log))
        assert piped(image, *arguments, keys=b"abcq").returncode == 0
        logs.append(log.read_bytes())
    assert logs[0] == logs[1]


@pytest.mark.long
def test_a_reset_ends_the_run_unless_it_is_to_reboot(tmp_path: Path) -> None:
    image = program(tmp_path, UART + say("boot\n") + ECHO_UNTIL_Q + SYSTEM_RESET)
    done = piped(image, "--in-process", "--input", keys=b"q")
    assert (done.returncode, done.stdout) == (0, b"boot\nq")
    assert b"the guest asked for a reset, which ends the run" in done.stderr


@pytest.mark.parametrize("where", [("--in-process",), pytest.param((), marks=pytest.mark.long)], ids=["here", "daemon"])
def test_a_reset_reboots_if_asked_for_and_reads_the_image_anew(tmp_path: Path, where: tuple[str, ...]) -> None:
    image = program(tmp_path, UART + say("boot\n") + ECHO_UNTIL_Q + SYSTEM_RESET)
    done = piped(image, *where, "--input", "--on-reset", "reboot", "--timeout", "1", keys=b"xq.yq.")
    assert re.fullmatch(rb"boot\nxqboot\n\.?yqboot\n\.?", done.stdout), "what was in the UART is lost by a reset"
    assert b"not switched itself off" in done.stderr


@pytest.mark.long
def test_whoever_stops_reading_ends_the_run(tmp_path: Path) -> None:
    image = program(tmp_path, UART + say("!" * 20) + "17ffffd8  b .-160\n")
    command = [sys.executable, "-m", "vgicd_machine", image, "--in-process"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as run:
        assert run.stdout is not None
        assert run.stderr is not None
        assert run.stdout.read(4) == b"!!!!"
        run.stdout.close()
        assert run.stderr.read() == b""
        assert run.wait(LIMIT) == 128 + signal.SIGPIPE
