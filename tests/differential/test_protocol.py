"""The qtest protocol itself: the same lines to QEMU and to `vgicd serve --qtest`, and the same bytes back."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.differential.machine import Machine
from tests.differential.odd_lines import DEADLY, DIFFERENT, INPUTS, OUTPUTS, SAME, Deadly
from tests.differential.qemu import DIE_WITH_PARENT, PROGRAM, Qemu, require_qemu
from tests.differential.served import Served

ANSWERS = (b"OK", b"FAIL", b"ERR")
PATIENCE = 20.0
SILENCE = 0.3  # seconds after which a server that says nothing will say nothing


class Ended(Exception):
    """The server has closed the connection, or does not answer."""


class Asked:
    """A raw qtest connection: lines in, all that is said until the answer out."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._received = b""

    def ask(self, line: bytes, patience: float = PATIENCE) -> bytes:
        """Everything up to and with the answer to `line`. Ended if there is none."""
        self._connection.settimeout(patience)
        self._connection.sendall(line + b"\n")
        return self.answer()

    def answer(self) -> bytes:
        said = b""
        while True:
            while b"\n" not in self._received:
                try:
                    data = self._connection.recv(1 << 16)
                except (TimeoutError, ConnectionError) as error:
                    raise Ended(f"{said!r}") from error
                if not data:
                    raise Ended(f"{said!r}")
                self._received += data
            line, _, self._received = self._received.partition(b"\n")
            said += line + b"\n"
            if line.partition(b" ")[0] in ANSWERS:
                return said


@pytest.fixture
def qemu() -> Iterator[Qemu]:
    require_qemu()
    with Qemu() as machine:
        yield machine


@pytest.fixture(scope="module")
def ours() -> Iterator[Served]:
    with Served() as machine:
        yield machine


@pytest.fixture
def anew(ours: Served) -> Iterator[Asked]:
    """A connection of its own to a daemon that has been reset."""
    ours.reset()
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(ours.connection.getpeername())
        yield Asked(connection)


def said_by(asked: Asked, lines: Sequence[bytes]) -> list[tuple[bytes, bytes]]:
    return [(line, asked.ask(line)) for line in lines]


@pytest.mark.parametrize("lines", [SAME, INPUTS, OUTPUTS], ids=["all", "inputs", "outputs"])
def test_both_say_the_same(qemu: Qemu, anew: Asked, lines: Sequence[bytes]) -> None:
    assert said_by(anew, lines) == said_by(Asked(qemu.connection), lines)


def test_both_say_the_same_to_a_pipeline(qemu: Qemu, anew: Asked) -> None:
    """All lines in one write."""
    theirs = Asked(qemu.connection)
    whole = b"\n".join(SAME)
    said = [[asked.ask(whole), *(asked.answer() for _ in SAME[1:])] for asked in (anew, theirs)]
    assert said[0] == said[1]


@pytest.mark.parametrize("machine", ["qemu", "ours"])
def test_a_line_may_come_in_pieces(request: pytest.FixtureRequest, machine: str) -> None:
    subject: Machine = request.getfixturevalue(machine)
    for byte in b"readl 0x800000":
        subject.connection.sendall(bytes([byte]))
    assert Asked(subject.connection).ask(b"4") == b"OK 0x0000000000000008\n"


def test_differences_are_those_of_the_table(qemu: Qemu, anew: Asked) -> None:
    theirs = Asked(qemu.connection)
    for different in DIFFERENT:
        assert different.why
        for asked, pattern in ((theirs, different.theirs), (anew, different.ours)):
            answer = asked.ask(different.line)
            assert re.fullmatch(pattern, answer), (different.line[:80], answer[:200])


def test_no_line_is_in_the_table_without_need() -> None:
    listed = [entry.line for table in (DIFFERENT, DEADLY) for entry in table]
    assert len(set(listed)) == len(listed)
    assert not set(listed) & {*SAME, *INPUTS, *OUTPUTS}


@pytest.mark.parametrize("deadly", DEADLY, ids=lambda deadly: repr(deadly.line)[2:-1][:40])
def test_where_qemu_ends_there_is_a_sentence(anew: Asked, deadly: Deadly) -> None:
    """QEMU ends or is silent; vgicd says what is wrong and answers the next line."""
    require_qemu()
    with Qemu() as machine, pytest.raises(Ended):
        Asked(machine.connection).ask(deadly.line, SILENCE)
    answer = anew.ask(deadly.line)
    assert re.fullmatch(rb"FAIL " + deadly.ours + rb"\n", answer), answer
    assert anew.ask(b"endianness") == b"OK little\n"


def test_the_paths_are_qemus_for_any_number_of_cpus() -> None:
    require_qemu()
    for cpus in (1, 2, 8):
        with Qemu(cpus=cpus) as machine, Served(cpus) as served:
            assert (served.gic, served.cpu) == (machine.gic, machine.cpu)
            served.qtest.intercept_inputs(machine.cpu)
            served.set_line(40, 1)


SETUP = (b"writel 0x8000000 3", b"writel 0x8010000 7", b"writel 0x8010004 0xff", b"writel 0x8000104 0xffffffff")
HIGH = b"set_irq_in /machine/unattached/device[1] unnamed-gpio-in 0 1"


def connect(path: str) -> socket.socket:
    """To a server that may be about to listen."""
    deadline = time.monotonic() + PATIENCE
    while True:
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.connect(path)
        except (FileNotFoundError, ConnectionRefusedError):
            connection.close()
            assert time.monotonic() < deadline, f"nobody listens on {path}"
            time.sleep(0.01)
        else:
            return connection


@contextmanager
def listening_qemu(path: Path) -> Iterator[str]:
    """A machine to which one can come back: `Qemu` connects by itself, once."""
    require_qemu()
    machine = ["-nodefaults", "-display", "none", "-S", "-machine", "virt,gic-version=2", "-accel", "tcg"]
    serves = ["-qtest", f"unix:{path},server=on,wait=off", "-qtest-log", os.devnull]
    command = [*DIE_WITH_PARENT, PROGRAM, "-no-user-config", *machine, "-cpu", "cortex-a57", *serves]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL) as process:
        try:
            yield str(path)
        finally:
            process.kill()


@pytest.mark.parametrize("server", ["qemu", "ours"])
def test_the_levels_of_a_client_that_comes_back_are_low_again(server: str, ours: Served, tmp_path: Path) -> None:
    """On QEMU what was intercepted still is; here that ends with the connection, and asking again does no harm."""
    with ExitStack() as stack:
        ours.reset()
        address = ours.connection.getpeername()
        path = stack.enter_context(listening_qemu(tmp_path / "qtest")) if server == "qemu" else address
        with connect(path) as connection:
            first = Asked(connection)
            for line in (*SETUP, b"irq_intercept_in device[0]"):
                assert first.ask(line) == b"OK\n"
            assert first.ask(HIGH) == b"IRQ raise 0\nOK\n"
        with connect(path) as connection:
            again = Asked(connection)
            assert again.ask(b"irq_intercept_in device[0]") == b"OK\n"
            assert again.ask(b"readl 0x8000004") == b"OK 0x0000000000000008\n"
            assert again.ask(b"writel 0x8000000 3") == b"IRQ raise 0\nOK\n"


@pytest.mark.parametrize("server", ["qemu", "ours"])
def test_a_second_client_waits_for_qemu_and_not_for_vgicd(server: str, ours: Served, tmp_path: Path) -> None:
    with ExitStack() as stack:
        path = ours.connection.getpeername()
        if server == "qemu":
            path = stack.enter_context(listening_qemu(tmp_path / "qtest"))
        first, second = (Asked(stack.enter_context(connect(path))) for _ in range(2))
        assert first.ask(b"endianness") == b"OK little\n"
        if server == "ours":
            assert second.ask(b"endianness") == b"OK little\n"
            return
        with pytest.raises(Ended):
            second.ask(b"endianness", SILENCE)
