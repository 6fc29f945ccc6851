"""Other people's bare-metal programs: the same binary on stock QEMU's virt and on the machine, and the same console.

QEMU is the oracle: nobody has written down what a program here should print.  What QEMU does differently from the
architecture, or a clock makes different, the programs do not print.
"""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Final

import pytest

from tests.guests.foreign.build import COMPILER, PROGRAMS, Program, build
from tests.tools import require_tool
from vgicd_client import private_daemon
from vgicd_machine.board.board import Board
from vgicd_machine.gic.domain_port import DomainPort
from vgicd_machine.machine import Machine

QEMU: Final = "qemu-system-aarch64"
QEMUS_SPIS: Final = 256
LIMIT: Final = 30  # seconds; less than one is enough on an idle machine

QUICK: Final = [program for program in PROGRAMS if not program.long]
LONG: Final = [program for program in PROGRAMS if program.long]


@pytest.fixture(autouse=True)
def tools() -> None:
    require_tool(COMPILER, "gcc-aarch64-linux-gnu")
    require_tool(QEMU, "qemu-system-arm")


def run(program: Program, command: list[str]) -> tuple[bytes, int]:
    """The console and the exit status of `command`; what is to be typed is typed when its prompt is there."""
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        console = b""
        try:
            if program.typed:
                while not console.endswith(program.prompt.encode()) and (byte := os.read(process.stdout.fileno(), 1)):
                    console += byte
                process.stdin.write(program.typed.encode())
                process.stdin.flush()
            rest, _ = process.communicate(timeout=LIMIT)
        except subprocess.TimeoutExpired:
            process.kill()
            rest, _ = process.communicate()
            pytest.fail(f"{program.name} does not end:\n{(console + rest).decode(errors='replace')}")
    return console + rest, process.returncode


def on_qemu(program: Program, image: Path) -> tuple[bytes, int]:
    console = ["-display", "none", "-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console"]
    if program.semihosting:
        console[3] += ",mux=on"
        console += ["-monitor", "none", "-semihosting-config", "enable=on,target=native,chardev=console"]
    command = [
        *(QEMU, "-M", "virt,gic-version=2", "-cpu", "cortex-a57", "-smp", str(program.cpus)),
        *("-nic", "none", *console, "-no-reboot", "-kernel", str(image)),
    ]
    if program.append:
        command += ["-append", program.append]
    return run(program, command)


def on_machine(program: Program, image: Path, *more: str) -> tuple[bytes, int]:
    command = [sys.executable, "-m", "vgicd_machine", str(image), "--cpus", str(program.cpus), *more]
    if program.append:
        command += ["--append", program.append]
    return run(program, [*command, "--input"] if program.typed else command)


def in_this_process(program: Program, image: Path) -> tuple[bytes, int]:
    """As `on_machine`, without another interpreter's beginning, which takes longer than most programs."""
    port = DomainPort(vcpus=program.cpus, spis=QEMUS_SPIS)
    console = bytearray()
    board = Board(port, console.append)
    boot = board.load(image, append=program.append or None, cpus=program.cpus)
    machine = Machine(board, port, cpus=program.cpus)
    machine.run(boot.entry, boot.context, seconds=LIMIT)
    return bytes(console), machine.status or 0


def compare(program: Program, expected: tuple[bytes, int], ours: tuple[bytes, int]) -> None:
    lines, others = (console.decode(errors="replace").splitlines() for console, _ in (ours, expected))
    assert lines == others, "readable, where they differ"
    assert ours == expected
    assert expected[1] == program.status
    assert b"WRONG" not in expected[0], "the program is right where it judges itself"


@cache
def as_on_qemu(program: Program) -> tuple[bytes, int]:
    """What QEMU shows; once more if the host was too busy for a guest whose time is the host's."""
    image = build(program)
    try:
        shown = on_qemu(program, image)
    except pytest.fail.Exception:
        return on_qemu(program, image)
    return on_qemu(program, image) if b"WRONG" in shown[0] else shown


def check(program: Program, *more: str) -> None:
    compare(program, as_on_qemu(program), on_machine(program, build(program), *more))


@pytest.mark.parametrize("program", [program for program in QUICK if not program.typed], ids=lambda it: it.name)
def test_program_prints_and_ends_as_on_qemu(program: Program) -> None:
    compare(program, as_on_qemu(program), in_this_process(program, build(program)))


def test_program_that_is_typed_to_prints_and_ends_as_on_qemu() -> None:
    check(next(program for program in PROGRAMS if program.typed), "--in-process")


@pytest.mark.long
@pytest.mark.parametrize("program", LONG, ids=lambda it: it.name)
def test_its_variants_print_and_end_as_on_qemu(program: Program) -> None:
    check(program, "--in-process")


@pytest.mark.long
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda it: it.name)
def test_program_prints_and_ends_as_on_qemu_with_the_gic_in_a_daemon(program: Program) -> None:
    check(program)


@pytest.mark.long
@pytest.mark.parametrize("lrs", [1, 16])
@pytest.mark.parametrize("name", ["probe", "spin", "state", "tasks"])
def test_program_notices_no_number_of_list_registers(name: str, lrs: int) -> None:
    check(next(program for program in PROGRAMS if program.name == name), "--lrs", str(lrs))


@pytest.mark.long
@pytest.mark.parametrize("name", ["spin", "power", "tasks", "state", "clocks"])
def test_program_notices_no_other_order_of_turns(name: str) -> None:
    program = next(program for program in PROGRAMS if program.name == name)
    for seed in range(1, 6):
        check(program, "--in-process", "--seed", str(seed))


def test_one_of_them_runs_on_a_daemon_that_was_there_before() -> None:
    program = next(program for program in PROGRAMS if program.name == "probe")
    image = build(program)
    with private_daemon(spis=QEMUS_SPIS) as daemon:
        assert on_machine(program, image, "--connect", daemon.address) == on_qemu(program, image)
