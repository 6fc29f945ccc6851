"""The example scripts as people run them, against a guest that does what each of them is there to find."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.gdb import scenes
from tests.gdb.conftest import Board
from tests.gdb.gdbs import Gdb
from vgicd_client import Space

FOLDER = Path(__file__).resolve().parents[2] / "clients" / "gdb" / "examples"
SCRIPTS = ("who_touched_isenabler.py", "eoi_without_ack.py", "log_sgis.py")
PATIENCE = 60

pytestmark = pytest.mark.gdbs("plain")


def command(script: str, *arguments: str) -> list[str]:
    return [sys.executable, str(FOLDER / script), *arguments]


@contextmanager
def started(gdb: Gdb, board: Board, script: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """The script, ready: the guest stands, and is let go when everything is in place."""
    process = subprocess.Popen(
        command(script, board.gdb, "--gdb", gdb.command[0], *arguments),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        process_group=0,
    )
    try:
        assert process.stderr is not None
        assert "; Ctrl-C ends it" in process.stderr.readline()
        yield process
    finally:
        process.kill()
        process.communicate()


def ended(process: subprocess.Popen[str], code: int) -> list[str]:
    """The lines that it has printed, once it has ended with that code."""
    out, err = process.communicate(timeout=PATIENCE)
    assert (err, process.returncode) == ("", code)
    return out.splitlines()


def numberless(lines: list[str]) -> list[str]:
    """Without the operations' numbers."""
    return [re.sub(r"#\d+|operation \d+", "#N", line) for line in lines]


def test_who_touched_isenabler_names_vcpu_value_and_order(gdb: Gdb, board: Board) -> None:
    with started(gdb, board, "who_touched_isenabler.py", "--count", "4") as process, board.acting() as guest:
        guest.write(2, "GICD_ISENABLER1", 0x400)
        guest.write(1, "GICD_ICENABLER1", 0x400)
        guest.write(1, "GICD_ISENABLER1", 0)
        guest.read(3, "GICD_ISENABLER1")
        lines = ended(process, 0)
    orders = [int(line.split()[0].removeprefix("#")) for line in lines[:4]]
    assert orders == sorted(set(orders))
    assert lines[4] == f"last: vCPU 3, GICD_ISENABLER1, operation {orders[3]}"
    shown = [re.sub(r"   \(irq=low .*\)$", " (STATE)", line) for line in numberless(lines[:4])]
    assert shown == [
        "#N vCPU 2 GICD_ISENABLER1 0x00000000 -> 0x00000400 +42 (STATE)",
        "#N vCPU 1 GICD_ICENABLER1 0x00000400 -> 0x00000000 -42 (STATE)",
        "#N vCPU 1 GICD_ISENABLER1 0x00000000 (read, or nothing changed) (STATE)",
        "#N vCPU 3 GICD_ISENABLER1 0x00000000 (read, or nothing changed) (STATE)",
    ]


def test_who_touched_isenabler_can_look_at_changes_of_one_interrupt_only(gdb: Gdb, board: Board) -> None:
    arguments = ("--intid", "42", "--changes", "--count", "1")
    with started(gdb, board, "who_touched_isenabler.py", *arguments) as process, board.acting() as guest:
        guest.write(0, "GICD_ISENABLER2", 1)
        guest.write(0, "GICD_ISENABLER1", 0)
        guest.write(3, "GICD_ISENABLER1", 0x400)
        assert numberless(ended(process, 0))[-1] == "last: vCPU 3, GICD_ISENABLER1, #N"


def test_eoi_without_ack_stops_at_the_first_and_shows_where(gdb: Gdb, board: Board) -> None:
    scenes.driver(board.gic)
    scenes.nest(board.gic, 2)
    with started(gdb, board, "eoi_without_ack.py") as process, board.acting("control") as guest:
        guest.write(2, "GICC_EOIR", scenes.NESTED | 2 << 10)  # acknowledged before the script was there
        guest.line(scenes.TIMER, 1, 0)
        guest.read(0, "GICC_IAR")
        guest.write(0, "GICC_EOIR", scenes.TIMER)
        guest.write(2, "GICC_EOIR", scenes.DEVICE)
        lines = ended(process, 0)
    assert lines[0] == f"vCPU 2: EOI of {scenes.DEVICE}, which it has not acknowledged; active: {scenes.TIMER}"
    assert lines[1].startswith("operation ")
    assert any(re.fullmatch(r"#0 .* irq42_eoi \(\)", line) for line in lines)
    assert "vCPU 2:" in "\n".join(lines[3:])


def test_eoi_out_of_order_is_told_and_counts_when_strict(gdb: Gdb, board: Board) -> None:
    told = f"vCPU 1: EOI of {scenes.TIMER} out of order; still active: {scenes.NESTED}"
    for arguments in ("--strict",), ():
        board.reset()
        scenes.driver(board.gic)
        scenes.nest(board.gic, 1)
        with started(gdb, board, "eoi_without_ack.py", *arguments) as process, board.acting() as guest:
            guest.write(1, "GICC_EOIR", scenes.TIMER)
            if not arguments:
                guest.write(1, "GICC_EOIR", scenes.DEVICE)  # not even acknowledged
            lines = ended(process, 0)
        assert lines[0] == told
        assert lines[1].startswith("operation " if arguments else f"vCPU 1: EOI of {scenes.DEVICE}, which it has not")


def test_eoi_without_ack_holds_the_guest_on_request(gdb: Gdb, board: Board) -> None:
    scenes.driver(board.gic)
    process = subprocess.Popen(
        command("eoi_without_ack.py", board.gdb, "--hold"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process, board.acting() as guest:
        assert process.stderr is not None
        process.stderr.readline()
        wrong = guest.write(0, "GICC_EOIR", scenes.DEVICE)
        later = guest.read(0, "GICD_TYPER")
        assert process.stdout is not None
        while "Enter lets it go" not in (line := process.stdout.readline()):
            assert line, "it has ended"
        assert not later.done()
        process.communicate("\n", PATIENCE)
        assert process.returncode == 0
        wrong.result(PATIENCE)
        later.result(PATIENCE)


def test_log_sgis_has_source_and_targets_of_each(gdb: Gdb, board: Board) -> None:
    scenes.driver(board.gic)
    with started(gdb, board, "log_sgis.py", "--count", "6") as process, board.acting() as guest:
        guest.write(0, "GICD_SGIR", 0b1010 << 16 | 3)
        guest.read(1, "GICC_IAR")
        guest.write(2, "GICD_SGIR", 1 << 24 | 4)
        guest.write(3, "GICD_SGIR", 2 << 24 | 3)
        guest.read(3, "GICC_IAR")  # SGI 4, of priority 0
        guest.write(3, "GICD_SGIR", 3 << 24 | 5)
        lines = ended(process, 0)
    assert numberless(lines) == [
        "#N SGI 3 sent by vCPU 0 -> vCPU 1, vCPU 3",
        "#N SGI 3 taken from vCPU 0 -> vCPU 1",
        "#N SGI 4 sent by vCPU 2 -> vCPU 0, vCPU 1, vCPU 3",
        "#N SGI 3 sent by vCPU 3 -> vCPU 3",
        "#N SGI 4 taken from vCPU 2 -> vCPU 3",
        "#N SGI 5 sent by vCPU 3 -> nobody",
    ]


@pytest.mark.long
def test_log_sgis_can_be_about_one(gdb: Gdb, board: Board) -> None:
    with started(gdb, board, "log_sgis.py", "--sgi", "4", "--count", "1") as process, board.acting() as guest:
        guest.write(0, "GICD_SGIR", 2 << 24 | 3)
        guest.write(1, "GICD_SGIR", 2 << 24 | 4)
        assert numberless(ended(process, 0)) == ["#N SGI 4 sent by vCPU 1 -> vCPU 1"]


@pytest.mark.parametrize(
    ("script", "last"),
    [
        (SCRIPTS[0], "nobody touched them"),
        pytest.param(SCRIPTS[1], "no EOI without an acknowledge", marks=pytest.mark.long),
        pytest.param(SCRIPTS[2], "no SGI was sent or taken", marks=pytest.mark.long),
    ],
)
def test_nothing_seen_is_an_exit_code_and_lets_the_guest_go(gdb: Gdb, board: Board, script: str, last: str) -> None:
    with started(gdb, board, script, "--seconds", "0.3") as process:
        assert ended(process, 1) == [last]
    with started(gdb, board, script) as process:
        os.kill(process.pid, signal.SIGINT)
        lines = process.communicate(timeout=PATIENCE)[0].splitlines()
        assert (process.returncode, lines) in ((1, [last]), (130, []))
    with board.client() as guest:
        guest.read(0, Space.GICD, 0x004)


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_tells_the_exit_codes_and_shows_a_call(script: str) -> None:
    done = subprocess.run(command(script, "--help"), capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "exit codes:" in done.stdout
    assert "/run/vgicd/guest.gdb" in done.stdout


@pytest.mark.parametrize(
    "script", [SCRIPTS[0], *(pytest.param(script, marks=pytest.mark.long) for script in SCRIPTS[1:])]
)
def test_wrong_input_says_what_to_do(script: str, tmp_path: Path) -> None:
    def run(*arguments: str) -> tuple[int, str, str]:
        done = subprocess.run(
            command(script, *arguments), capture_output=True, text=True, timeout=PATIENCE, check=False
        )
        return done.returncode, done.stdout, done.stderr

    for address, advice in (("no-such.gdb", "start the daemon with --gdb"), ("guest:gdb", "a path, HOST:PORT")):
        code, out, err = run(address)
        assert (code, out) == (2, "")
        assert err.startswith(f"{script}: ")
        assert advice in err
        assert len(err.splitlines()) == 1
    code, out, err = run("guest", "--seconds", "nan")
    assert (code, out) == (2, "")
    assert "nan is no time: it must be more than 0 seconds" in err
    code, _, err = run(str(tmp_path / "none"), "--gdb", "no-such-gdb")
    assert code == 2
    assert "install gdb" in err


def test_an_interrupt_that_is_not_there_is_refused(gdb: Gdb, board: Board) -> None:
    line = command("who_touched_isenabler.py", board.gdb, "--intid", "2000")
    done = subprocess.run(line, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert (done.returncode, done.stderr) == (2, "there is no interrupt 2000: this GIC has 0 to 95\n")
