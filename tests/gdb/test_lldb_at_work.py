"""LLDB at work: that it reads, writes, unwinds and stops, over a UNIX socket and with every architecture.

It does not fetch the symbol file over the connection, so it is given that of `vgicctl gdb-symbols`.  It does not say
for which thread it accesses memory either, so banked registers are named by their vCPU: gicc2.PMR.
"""

from __future__ import annotations

import os
import queue
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.gdb import scenes
from tests.gdb.conftest import Board, Boards
from tests.tools import require_tool
from vgicd_client import Space

PATIENCE = 30.0
"""Seconds for everything that one LLDB does; two of them on an idle machine."""

ARCHES = ("x86-64", pytest.param("aarch64", marks=pytest.mark.long), pytest.param("arm", marks=pytest.mark.long))


@pytest.fixture(params=ARCHES)
def board(request: pytest.FixtureRequest, boards: Boards) -> Board:
    require_tool("lldb", "lldb")
    ready = boards(request.param)
    ready.reset()
    return ready


@pytest.fixture(scope="module")
def symbol_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("lldb")


@pytest.fixture
def symbols(board: Board, symbol_folder: Path) -> Path:
    file = symbol_folder / f"{board.arch}.elf"
    if file.exists():
        return file
    command = ("gdb-symbols", "--gdb-arch", board.arch, "--address", board.daemon.address, "--output", str(file))
    subprocess.run([Path(sys.executable).with_name("vgicctl"), *command], check=True, timeout=PATIENCE)
    return file


class Lldb:
    """A running LLDB in batch mode, and what it has printed."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.text = ""
        self.deadline = time.monotonic() + PATIENCE
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line)
        self._lines.put(None)

    def until(self, said: str | None) -> str:
        """What it prints up to a line that contains `said`, or (None) to its end."""
        start = len(self.text)
        while True:
            try:
                line = self._lines.get(timeout=max(0.0, self.deadline - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"LLDB did not say {said!r} in time:\n{self.text}") from None
            if line is None:
                assert said is None, f"LLDB ended without having said {said!r}:\n{self.text}"
                return self.text[start:]
            self.text += line
            if said is not None and said in line:
                return self.text[start:]


@contextmanager
def lldb(board: Board, symbols: Path, *commands: str) -> Iterator[Lldb]:
    """An LLDB that connects to `board`, runs `commands` until one fails, and ends."""
    everything = (f"process connect unix-connect://{board.gdb}", *commands)
    arguments = [part for command in everything for part in ("--one-line", command)]
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "VIRTUAL_ENV"))}
    environment |= {"HOME": str(symbols.parent), "TERM": "dumb", "LC_ALL": "C.UTF-8"}
    with subprocess.Popen(
        ["lldb", "--no-lldbinit", "--no-use-colors", "--batch", *arguments, str(symbols)],
        env=environment, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    ) as process:  # fmt: skip
        try:
            yield Lldb(process)
        finally:
            process.kill()


def ran(board: Board, symbols: Path, *commands: str) -> str:
    with lldb(board, symbols, *commands, "detach") as debugger:
        text = debugger.until(None)
    assert "Process 1 detached" in text, text  # so no command before it has failed
    return text


def test_it_sees_registers_memory_and_variables_and_changes_nothing(board: Board, symbols: Path) -> None:
    scenes.driver(board.gic)
    for vcpu in range(4):
        board.gic.line(scenes.TIMER, 1, vcpu)
    scenes.acknowledge(board.gic, 1)
    with board.unchanged():
        text = ran(
            board,
            symbols,
            "thread select 1",
            "register read --all",
            "p gicc0",
            "p gicc1.RPR",
            "p gich2.LR[0].VirtualID",
            "memory read --size 4 --format x --count 4 &gicc2",
        )
    assert "vgic:\n" in text
    registers = dict(line.split(" = ", 1) for line in text.splitlines() if line.count(" = ") == 1)
    shown = {name.strip(): value.split()[0] for name, value in registers.items()}
    assert shown["gicc_iar"] == "0x0000001b"
    assert shown["gicc_rpr"] == "0x000000ff"
    assert shown["irq_line"] == "0x00000001"
    assert int(shown["order"], 16) == board.gic.order
    assert "PMR = 240" in text
    assert "IAR = (INTID = 27, CPUID = 0)" in text
    assert "(unsigned int) $1 = 128" in text
    assert "$2 = 27" in text
    assert "0x00000001 0x000000f0 0x00000002 0x0000001b" in text


def test_it_writes_as_the_guest_would(board: Board, symbols: Path) -> None:
    ran(board, symbols, "expression gicc2.PMR = 0xA0", "expression gicd.IPRIORITYR[42] = 0x50")
    assert [board.gic.peek(vcpu, Space.GICC, 0x004) for vcpu in range(4)] == [0, 0, 0xA0, 0]
    assert board.gic.peek(0, Space.GICD, 0x428) == 0x50 << 16


def test_it_unwinds_nested_interrupts(board: Board, symbols: Path) -> None:
    scenes.driver(board.gic)
    scenes.nest(board.gic, 0)
    text = ran(board, symbols, "thread select 1", "thread backtrace")
    # by their numbers: LLDB tells of the stop with frame 0 when it gets to it, which may be behind the command
    frames = {int(number): name for number, name in re.findall(r"frame #(\d+): .*?`(\w+)", text)}
    assert [frames[number] for number in range(3)] == ["idle", "irq3", "irq27"]


def test_a_breakpoint_stops_the_vcpu_that_acknowledges(board: Board, symbols: Path) -> None:
    scenes.driver(board.gic)
    commands = ("breakpoint set --name irq27_ack", "continue", "thread backtrace", "detach")
    with board.acting() as guest, lldb(board, symbols, *commands) as debugger:
        debugger.until("(lldb) continue")  # from its connection on the guest is held
        raised = guest.line(scenes.TIMER, 1, 2)
        answer = guest.read(2, "GICC_IAR")
        text = debugger.until(None)
        raised.result(PATIENCE)
        assert answer.result(PATIENCE) == scenes.TIMER
    assert "* thread #3" in text
    assert "stop reason = breakpoint 1.1" in text
    assert "`irq27_ack" in text
    assert "Process 1 detached" in text


def test_a_watchpoint_stops_the_vcpu_that_writes(board: Board, symbols: Path) -> None:
    commands = ("watchpoint set variable GICD_ISENABLER1", "continue", "detach")
    with board.acting() as guest, lldb(board, symbols, *commands) as debugger:
        debugger.until("(lldb) continue")
        written = guest.write(1, "GICD_ISENABLER1", 1 << 10)
        text = debugger.until(None)
        written.result(PATIENCE)
    assert "stop reason = watchpoint 1" in text
    assert "* thread #2" in text
    assert "new value: 1024" in text
    assert "Process 1 detached" in text
