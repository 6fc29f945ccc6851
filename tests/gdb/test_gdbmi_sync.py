"""The blocking gdb client with real gdbs: what its own waiting has to get right; the trio one's tests have the rest."""

from __future__ import annotations

import os
import signal
import threading
import time
from fcntl import ioctl
from pathlib import Path
from termios import FIONREAD

import pytest

from tests.gdb.conftest import Board
from tests.gdb.gdbs import Gdb
from tests.gdb.launching import Gate, blocking_client
from tests.gdb.test_gdbmi import FLOOD, gone
from vgicd_client import gdbmi_sync
from vgicd_client.gdbmi_sync import GdbDied, GdbNotFound, GdbTimeout, MiError

pytestmark = pytest.mark.gdbs("plain", "new")


def test_questions_are_answered_and_refused(gdb: Gdb) -> None:
    with blocking_client(gdb) as client:
        assert [client.evaluate(f"{number} + 1") for number in range(50)] == [str(number + 1) for number in range(50)]
        with pytest.raises(MiError, match="No symbol table"):
            client.evaluate("nosuch")
        assert client.console("echo mine") == "mine"


def test_floods_on_both_outputs_are_taken(gdb: Gdb) -> None:
    with blocking_client(gdb) as client:
        client.console(f"shell head -c {FLOOD} /dev/zero | tr '\\0' x >&2; echo the end >&2")
        assert client.console(f"python print('x' * {10 * FLOOD})") == "x" * 10 * FLOOD + "\n"
        assert client.stderr.endswith("x\nthe end\n") or client.stderr.endswith("xthe end\n")


def test_a_command_longer_than_a_pipe_is_written_whole(gdb: Gdb) -> None:
    with blocking_client(gdb) as client:
        assert client.console(f"python print(len('{'x' * FLOOD}'))") == f"{FLOOD}\n"


@pytest.mark.long  # its twin's test is among the ordinary ones
def test_patience_ends_and_the_late_answer_is_dropped(gdb: Gdb, tmp_path: Path) -> None:
    with blocking_client(gdb) as client:
        with Gate(tmp_path / "gate") as gate:
            client.timeout = 0.2
            with pytest.raises(GdbTimeout, match=r"within 0\.2 s"):
                client.console(gate.command)
        client.timeout = 30
        assert client.console("echo mine") == "mine"


def test_an_interrupt_from_the_keyboard_is_for_the_script_alone(gdb: Gdb, tmp_path: Path) -> None:
    with blocking_client(gdb) as client:
        assert os.getpgid(client.pid) != os.getpgid(0), "or Ctrl-C reached gdb as well"
        with Gate(tmp_path / "gate") as gate:
            timer = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT))
            timer.start()
            with pytest.raises(KeyboardInterrupt):
                client.console(gate.command)
        assert client.evaluate("1+1") == "2"


def test_an_interrupt_in_a_long_command_does_not_make_later_waits_busy(gdb: Gdb, tmp_path: Path) -> None:
    with blocking_client(gdb) as client:
        os.kill(client.pid, signal.SIGSTOP)  # it reads nothing
        threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT)).start()
        with pytest.raises(KeyboardInterrupt):
            client.console(f"echo {'x' * 70_000}")  # a pipe holds 65,536
        os.kill(client.pid, signal.SIGCONT)
        wait_until_empty(Path(f"/proc/{client.pid}/fd/0"))
        assert client.evaluate("1+1") == "2"
        client.timeout = 0.3
        with Gate(tmp_path / "gate") as gate:
            before = time.thread_time()
            with pytest.raises(GdbTimeout):
                client.console(gate.command)
            assert time.thread_time() - before < 0.1


def wait_until_empty(pipe: Path) -> None:
    """Until its reader has taken everything."""
    deadline = time.monotonic() + 10
    with pipe.open("rb", 0) as reading:
        while any(ioctl(reading, FIONREAD, bytes(4))):
            assert time.monotonic() < deadline, "nobody reads"
            os.sched_yield()


def test_the_death_of_gdb_is_noticed_at_once(gdb: Gdb) -> None:
    with blocking_client(gdb) as client:
        with pytest.raises(GdbDied, match="was killed by SIGKILL") as death:
            client.console("shell kill -9 $PPID")
        assert death.value.code == -9
        with pytest.raises(GdbDied, match="SIGKILL"):
            client.evaluate("1")
    assert gone(client.pid)


def test_a_death_between_calls_is_noticed_by_the_next(gdb: Gdb) -> None:
    with blocking_client(gdb) as client:
        os.kill(client.pid, signal.SIGKILL)
        with pytest.raises(GdbDied, match="was killed by SIGKILL"):
            client.evaluate("1")


def test_the_last_words_of_gdb_are_kept(gdb: Gdb) -> None:
    with blocking_client(gdb) as client, pytest.raises(GdbDied, match="code 3; it last said:\nlast words"):
        client.console("python import os; os.write(2, b'last words'); os._exit(3)")


def test_a_gdb_that_closes_its_output_counts_as_dead(gdb: Gdb, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gdbmi_sync, "QUIT_DEADLINE", 0.1)
    with blocking_client(gdb) as client, pytest.raises(GdbDied, match="has closed its output"):
        client.console("python import os; os.close(1)")
    assert gone(client.pid)


@pytest.mark.long  # its twin's test is among the ordinary ones
def test_a_gdb_that_does_not_leave_is_made_to(gdb: Gdb, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gdbmi_sync, "QUIT_DEADLINE", 0.2)
    with Gate(tmp_path / "gate") as gate, blocking_client(gdb, timeout=2) as client:
        client.timeout = 0.2
        with pytest.raises(GdbTimeout):
            client.console(gate.command)
        client.close()
        assert gone(client.pid)


def test_closing_is_idempotent_and_final(gdb: Gdb) -> None:
    before = set(os.listdir("/proc/self/fd"))
    client = blocking_client(gdb)
    client.close()
    client.close()
    with pytest.raises(GdbDied, match="has ended with code 0"):
        client.console("echo")
    with pytest.raises(GdbNotFound):
        gdbmi_sync.Gdb.launch("no-such-gdb")
    with pytest.raises(GdbDied, match="false has ended with code 1"):
        gdbmi_sync.Gdb.launch("false")
    assert set(os.listdir("/proc/self/fd")) == before


def test_a_watchpoint_names_the_vcpu(gdb: Gdb, board: Board) -> None:
    with blocking_client(gdb) as client, board.acting() as guest:
        client.connect(board.gdb)
        client.watch("GICD_ISENABLER1")
        client.resume()
        guest.write(2, "GICD_ISENABLER1", 0x400)
        stop = client.wait_stop(30)
        assert (stop.vcpu, stop.thread, stop.old, stop.new) == (2, 3, "0", "1024")
        with pytest.raises(GdbTimeout, match="runs on"):
            client.continue_until_stop(0.2)
        assert client.running
        assert client.interrupt().signal == "SIGINT"
        assert not client.running
