"""A gdb that dies, or stops living, anywhere in its session does not take the guest with it.

A relay between gdb and the daemon counts packets, both ways, and kills gdb with the n-th of them half way through; a
real client goes on accessing registers all the time, and hits the watchpoints and breakpoints that gdb has set.
"""

from __future__ import annotations

import random
import signal
import socket
import subprocess
import threading
from bisect import bisect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import Final

import pytest

from tests.gdb.conftest import Board, Boards
from tests.gdb.gdbs import Gdb
from vgicd_client import Space, connect

WATCHDOG: Final = 10.0
"""Seconds: the default of gdb.watchdog_seconds."""
PATIENCE: Final = 60.0
SCRIPT: Final = (
    "info threads",
    "p gich.LR[0]",
    "watch GICD_ISENABLER1",
    "continue",
    "bt",
    "x/4wx &GICD_ISENABLER1",
    "monitor lrs",
    "continue",
    "stepi",
    "thread 2",
    "stepi",
    "set var GICD_ISENABLER1 = 0x100",
    "delete",
    "break irq33_pend",
    "break irq33_deactivate if 1 == 1",
    "continue",
    "info os irqs",
    "continue",
    "monitor freeze on",
    "monitor freeze auto",
    "delete",
    "awatch *(char(*)[4096])&GICD_CTLR",
    "continue",
    "info registers gich_lr0",
    "detach",
)


class Guest(threading.Thread):
    """A client that never stops accessing, on two vCPUs, and notes when its rounds have been answered."""

    def __init__(self, address: str) -> None:
        super().__init__()
        self._times: list[float] = []  # rising
        self.failure: BaseException | None = None
        self._client = connect(address, "guest", timeout=PATIENCE)
        self._answered = threading.Condition()
        self._end = False

    def run(self) -> None:
        try:
            with self._client as client:
                client.write(0, Space.GICD, 0x000, 1)
                client.write(0, Space.GICC, 0x000, 1)
                client.write(0, Space.GICC, 0x004, 0xFF)
                client.write(0, Space.GICD, 0x820, 0x01010101)
                while not self._end:
                    for vcpu in (0, 1):
                        client.write(vcpu, Space.GICD, 0x184, 0xFF00)
                        client.write(vcpu, Space.GICD, 0x104, 0x102 << (2 * len(self._times) + vcpu) % 7)
                    client.pulse(33)
                    intid = client.read(0, Space.GICC, 0x00C)
                    if intid < 1020:
                        client.write(0, Space.GICC, 0x010, intid)
                    with self._answered:
                        self._times.append(monotonic())
                        self._answered.notify_all()
        except BaseException as error:
            self.failure = error

    def wait_for_answers(self, number: int, since: float | None = None) -> float:
        """Seconds from `since`, by default now, until so many rounds have been answered."""
        start = monotonic() if since is None else since
        with self._answered:
            last = bisect(self._times, start) + number - 1
            if not self._answered.wait_for(lambda: len(self._times) > last, PATIENCE):
                raise AssertionError(f"the guest has waited {PATIENCE:g} s for an answer")
            return self._times[last] - start

    def end(self) -> None:
        self._end = True
        self.join(PATIENCE)
        assert not self.is_alive()
        assert self.failure is None, self.failure


class Relay:
    """Passes packets between one gdb and the daemon; `when` is asked before each, with its number and its text.

    Where it answers True only the first half of the packet is passed, and both ends are left to themselves.
    """

    def __init__(self, path: Path, daemon: str, when: Callable[[int, bytes], bool]) -> None:
        self.packets = 0
        self._when = when
        self._lock = threading.Lock()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._daemon = daemon
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        gdb, _ = self._listener.accept()
        with gdb, socket.socket(socket.AF_UNIX) as daemon:
            daemon.connect(self._daemon)
            back = threading.Thread(target=self._pass, args=(daemon, gdb))
            back.start()
            self._pass(gdb, daemon)
            back.join()

    def _pass(self, source: socket.socket, sink: socket.socket) -> None:
        held = b""
        try:
            while data := source.recv(1 << 16):
                held += data
                while (hash_ := held.find(b"#")) >= 0 and len(held) >= hash_ + 3:
                    packet, held = held[: hash_ + 3], held[hash_ + 3 :]
                    with self._lock:
                        self.packets += 1
                        last = self._when(self.packets, packet)
                    sink.sendall(packet[: len(packet) // 2] if last else packet)
                    if last:
                        held = b""
                if held in (b"+", b"-", b"\x03"):
                    sink.sendall(held)
                    held = b""
        except OSError:
            pass  # the other end is dead: that is what is tested
        finally:
            for end in (source, sink):
                try:
                    end.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue  # has been shut down by its peer

    def end(self) -> None:
        self._thread.join(PATIENCE)
        self._listener.close()
        assert not self._thread.is_alive()


@contextmanager
def guest_of(board: Board) -> Iterator[Guest]:
    guest = Guest(board.daemon.address)
    guest.start()
    try:
        yield guest
    finally:
        guest.end()


def play(gdb: Gdb, board: Board, path: Path, when: Callable[[int, bytes, subprocess.Popen[bytes]], bool]) -> int:
    """Run the script in a gdb until it ends, however it does; the number of packets that it cost."""
    process: list[subprocess.Popen[bytes]] = []
    relay = Relay(path, board.gdb, lambda number, packet: when(number, packet, process[0]))
    commands = [f"target remote {path}", *SCRIPT]
    process.append(
        subprocess.Popen(
            [*gdb.command, "-batch", *(part for command in commands for part in ("-ex", command))],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=dict(gdb.environment),
        )
    )
    try:
        process[0].wait(PATIENCE)
    finally:
        if process[0].poll() is None:
            process[0].kill()
            process[0].wait()
        relay.end()
        path.unlink()
    return relay.packets


@pytest.mark.gdbs("plain")
@pytest.mark.parametrize("kills", [4, pytest.param(50, marks=pytest.mark.long)])
def test_a_gdb_killed_at_any_point_of_its_session_leaves_the_guest_running(
    gdb: Gdb, board: Board, tmp_path: Path, kills: int
) -> None:
    with guest_of(board) as guest:
        guest.wait_for_answers(1)
        most = play(gdb, board, tmp_path / "s", lambda *_: False)
        guest.wait_for_answers(1)
        assert most > 200, "the script is to be a long session"
        rng = random.Random(kills)
        for point in [rng.randrange(1, most * 9 // 10) for _ in range(kills)]:
            killed: list[float] = []

            def kill(number: int, _: bytes, process: subprocess.Popen[bytes], point: int = point) -> bool:
                if number == point:
                    process.kill()
                    killed.append(monotonic())  # noqa: B023 (called before this round is over)
                return number == point

            play(gdb, board, tmp_path / "s", kill)
            assert guest.wait_for_answers(1, since=killed[0]) < WATCHDOG


@pytest.mark.gdbs("plain")
def test_a_gdb_that_is_stopped_itself_holds_the_guest_no_longer_than_the_watchdog_allows(
    gdb: Gdb, boards: Boards, tmp_path: Path
) -> None:
    """SIGSTOP as it is told of a stop: the connection is there, and nobody behind it."""
    board = boards(gdb.arch, "--gdb-watchdog-seconds=1")
    board.reset()
    stopped = threading.Event()

    def stop(_: int, packet: bytes, process: subprocess.Popen[bytes]) -> bool:
        if packet.startswith(b"$T05watch") and not stopped.is_set():
            process.send_signal(signal.SIGSTOP)
            stopped.set()
            waited.append(guest.wait_for_answers(2))
            process.send_signal(signal.SIGCONT)
        return False

    waited: list[float] = []
    with guest_of(board) as guest:
        guest.wait_for_answers(1)
        play(gdb, board, tmp_path / "s", stop)
        assert stopped.is_set()
        assert 1 <= waited[0] < 5
        guest.wait_for_answers(1)
