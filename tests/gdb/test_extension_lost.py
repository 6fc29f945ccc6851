"""The in-gdb extension and a daemon that is silent, gone, back again, or no daemon at all: a sentence, and no hang."""

from __future__ import annotations

import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.gdb.extension import EXTENSION, Terminal, extended
from tests.gdb.gdbs import Gdb
from tests.gdb.transcript import Session
from vgicd_client import connect, private_daemon
from vgicd_client.errors import ConnectionLost

pytestmark = pytest.mark.gdbs("plain", "new")

SLACK = 1.0  # seconds by which a loaded machine may be late
SELECT = ("23", "270")  # select and pselect6 of x86-64
SENTENCE = "no answer within"


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    """The process does not run."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def test_a_silent_daemon_costs_the_timeout_and_works_again_afterwards(gdb: Gdb) -> None:
    with private_daemon(vcpus=1) as daemon, extended(gdb, daemon.address) as session:
        with stopped(daemon.pid):
            start = time.monotonic()
            assert session.run("complete vgic irq ") == ""
            assert time.monotonic() - start < 0.3 + SLACK, "TAB waits shorter than a command"
        session.run("set vgic-timeout 0.2")
        with stopped(daemon.pid):
            for command in ("vgic lrs", 'output $gicc("PMR")', "vgic connect", "vgic watch"):
                start = time.monotonic()
                assert f"{SENTENCE} 0.2 s" in session.run(command), command
                assert 0.15 < time.monotonic() - start < 0.2 + SLACK, command
        assert "vCPU 0: inside" in session.run("vgic lrs")


def test_ctrl_c_ends_a_wait_at_once(gdb: Gdb) -> None:
    with private_daemon(vcpus=1) as daemon:
        first = (f"source {EXTENSION}", f"vgic connect {daemon.address}", "set vgic-timeout 60")
        with Terminal(gdb, *first) as terminal:
            for command in ("vgic lrs", 'output $gicc("PMR")', "vgic connect"):
                with stopped(daemon.pid):
                    terminal.type(f"{command}\r")
                    terminal.until(r"\n")
                    wait_until_asked(terminal.pid)
                    start = time.monotonic()
                    terminal.type("\x03")
                    said = terminal.until(r"\(gdb\) $")
                    assert time.monotonic() - start < 0.5, command  # a thousandth on an idle machine
                assert "Quit" in said
                assert "Traceback" not in said
                assert "vCPU 0: inside" in terminal.run("vgic lrs")


def wait_until_asked(gdb: int) -> None:
    """Until gdb waits in select, in which only the extension does: at the prompt gdb polls."""
    deadline = time.monotonic() + 10
    while (call := Path(f"/proc/{gdb}/syscall").read_text("ascii").split()[0]) not in SELECT:
        assert time.monotonic() < deadline, call
        os.sched_yield()


def test_a_daemon_that_dies_is_told_and_its_successor_found(gdb: Gdb, tmp_path: Path) -> None:
    path = tmp_path / "d.sock"
    daemon = started(path)
    try:
        with extended(gdb, f"unix:{path}") as session:
            session.run("vgic watch")
            daemon.kill()
            daemon.wait(30)
            assert "cannot connect" in session.run("vgic lrs")
            assert "cannot connect" in session.run('output $gicc("PMR")')
            assert "watching: nothing" not in session.run("vgic status")  # it cannot even be asked
            daemon = started(path)
            assert "vCPU 0: inside" in session.run("vgic lrs")
            assert "watching: nothing" in session.run("vgic status")
    finally:
        daemon.kill()
        daemon.wait(30)


@pytest.mark.long
def test_a_daemon_that_stops_is_told(gdb: Gdb, tmp_path: Path) -> None:
    path = tmp_path / "d.sock"
    daemon = started(path)
    try:
        with extended(gdb, f"unix:{path}") as session:
            daemon.terminate()
            daemon.wait(30)
            assert "cannot connect" in session.run("vgic lrs")
    finally:
        daemon.kill()
        daemon.wait(30)


def started(path: Path) -> subprocess.Popen[bytes]:
    """A daemon at `path` that answers."""
    command = [sys.executable, "-m", "vgicd.cli", "serve", "--unix", str(path)]
    daemon = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 30
    while True:
        try:
            with connect(f"unix:{path}"):
                return daemon
        except ConnectionLost:
            assert time.monotonic() < deadline
            assert daemon.poll() is None
            os.sched_yield()


Impostor = Callable[[socket.socket], None]


def answers(data: bytes) -> Impostor:
    def talk(peer: socket.socket) -> None:
        peer.recv(1 << 16)
        peer.sendall(data)
        peer.recv(1)  # until gdb has had enough

    return talk


def frame(opcode: int, status: int, body: bytes, *, version: int = 1, length: int | None = None) -> bytes:
    size = 24 + len(body) if length is None else length
    return struct.pack("<IBBHIHHQ", size, version, opcode, status, 1, 0, 0, 0) + body


ERROR_BODY = struct.pack("<I", 0) + struct.pack("<I", 4) + b"full"
NO_DAEMON = "this is no vgicd"


@pytest.mark.parametrize(
    ("impostor", "sentence"),
    [
        (lambda _peer: None, "i: the "),
        (lambda peer: peer.recv(1 << 16), "the daemon has closed the connection"),
        (lambda peer: peer.recv(1 << 16) and peer.recv(1), SENTENCE),
        (answers(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"), NO_DAEMON),
        (answers(b"\0" * 64), NO_DAEMON),
        (answers(frame(0x81, 0, b"", length=1 << 30)), NO_DAEMON),
        (answers(frame(0x81, 0, b"")), NO_DAEMON),
        (answers(frame(0x81, 0, bytes(200))), NO_DAEMON),
        (answers(frame(0x81, 0, b"vgic" + b"\xff" * 100)), NO_DAEMON),
        (answers(frame(0x81, 0, bytes(200), version=2)), NO_DAEMON),
        (answers(frame(0x81, 0, bytes(200))[:100]), SENTENCE),
        (answers(frame(0xFF, 0x46, ERROR_BODY)), "the daemon refused (BUSY): full"),
        (answers(frame(0x81, 0x41, ERROR_BODY)), "the daemon refused (DENIED): full"),
        (answers(frame(0x81, 0x77, b"")), "the daemon refused (0x77)"),
        (answers(frame(0x83, 0, b"")), NO_DAEMON),
        (answers(frame(0xFE, 0, bytes(8)) * 1000), SENTENCE),
    ],
)
@pytest.mark.gdbs("plain")
def test_what_is_no_daemon_is_found_out_in_time(
    shared: Session, tmp_path: Path, impostor: Impostor, sentence: str
) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "i"))
        listener.listen()
        listener.settimeout(30)

        def serve() -> None:
            peer, _ = listener.accept()
            with peer:
                peer.settimeout(30)
                impostor(peer)

        thread = threading.Thread(target=serve)
        thread.start()
        shared.run("set vgic-timeout 0.2")
        start = time.monotonic()
        assert sentence in shared.run(f"vgic connect unix:{tmp_path / 'i'}")
        assert time.monotonic() - start < 0.2 + SLACK
        shared.run("vgic disconnect")
        thread.join(30)
        assert not thread.is_alive()
