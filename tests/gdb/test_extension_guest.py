"""The in-gdb extension in somebody else's session: gdb debugs two CPUs under QEMU, and a daemon is looked at beside."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.gdb.extension import EXTENSION, NOT_FOR_USERS, set_up
from tests.gdb.gdbs import Gdb
from tests.gdb.transcript import Session
from tests.tools import require_tool
from vgicd_client import Client, Entry, PrivateDaemon, Space, connect, private_daemon

pytestmark = pytest.mark.gdbs("multiarch")  # Debian's plain gdb knows no AArch64
PATIENCE = 30.0


@pytest.fixture(scope="module")
def qemu(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The gdb socket of a QEMU with two AArch64 CPUs, first before their first instruction, in memory full of zeros."""
    require_tool("qemu-system-aarch64", "qemu-system-arm")
    path = tmp_path_factory.mktemp("qemu") / "q"
    machine = ("-M", "virt", "-cpu", "cortex-a53", "-smp", "2", "-m", "64M", "-display", "none", "-nodefaults", "-S")
    process = subprocess.Popen(
        ["qemu-system-aarch64", *machine, "-gdb", f"unix:{path},server=on,wait=off"],
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    try:
        deadline = time.monotonic() + PATIENCE
        while not path.exists():
            assert process.poll() is None, process.stderr
            assert time.monotonic() < deadline
            time.sleep(0.01)
        yield path
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def daemon() -> Iterator[PrivateDaemon]:
    with private_daemon(vcpus=2, spis=64) as running:
        yield running


@pytest.fixture
def gic(daemon: PrivateDaemon) -> Iterator[Client]:
    with connect(daemon.address, "control") as client:
        set_up(client)
        yield client


@pytest.fixture
def session(gdb: Gdb, qemu: Path, daemon: PrivateDaemon, gic: Client) -> Iterator[Session]:
    """Attached to QEMU, with the extension connected to the daemon."""
    with Session(gdb, str(qemu)) as running:
        running.allowed.append("No executable has been specified|determining executable automatically")
        running.connect()
        running.run(f"source {EXTENSION}")
        running.run(f"vgic connect {daemon.address}")
        # four instructions `b .`, so that the CPUs have something to run
        for offset in range(0, 16, 4):
            running.run(f"set {{unsigned int}}(0x40000000 + {offset}) = 0x14000000")
        running.run("thread apply all set $pc = 0x40000000")
        yield running
        for words in NOT_FOR_USERS:
            assert words not in running.transcript


def test_the_daemon_is_seen_beside_the_guest(session: Session) -> None:
    assert "0x40000000" in session.run("info registers pc")
    assert "<LR virq=33 PENDING prio=0xa0>" in session.run("vgic lrs 0")
    assert session.run('output $irq(33, "pending")') == "1"
    session.run("set $intid = $x0 + 33")
    assert "interrupt      33" in session.run("vgic irq $intid")
    session.run("stepi")
    assert "0x40000000" in session.run("info registers pc")


def test_the_selected_cpu_is_the_vcpu(session: Session) -> None:
    session.run("thread 1")
    assert "GICD_ITARGETSR0  0x01010101" in session.run("vgic regs GICD_ITARGETSR0")
    session.run("thread 2")
    assert "GICD_ITARGETSR0  0x02020202" in session.run("vgic regs GICD_ITARGETSR0")
    assert "27 of vCPU 1" in session.run("vgic irq 27")


def test_lines_are_driven_over_the_own_connection(session: Session, gic: Client) -> None:
    assert "lines are driven over this connection\n" in session.run("vgic status")
    assert session.run("vgic irq 42 up").startswith("operation ")
    assert gic.irq_info(42).line_level


def test_events_are_printed_while_the_guest_runs(session: Session, gic: Client) -> None:
    session.run("vgic watch 42")
    session.start("continue")
    session.until("Continuing")
    gic.line(42, 1)
    session.until(r"\[vgic \d+\] line irq42 high")
    session.interrupt()
    assert "SIGINT" in session.wait()
    assert "line           high" in session.run("vgic irq 42")


def test_a_ctrl_c_that_finds_gdb_in_our_code_still_stops_the_guest(session: Session) -> None:
    """Python would make a KeyboardInterrupt of it, in what gdb has called by itself, and the guest would run on."""
    body = "with vgicd_gdb.undisturbed(): os.kill(os.getpid(), signal.SIGINT)"
    session.run("python import os, signal, threading, vgicd_gdb")
    session.run(f"python program = 'def pressed():\\n {body}'")
    session.run("python exec(program)")
    for _ in range(3):
        session.run("python threading.Timer(0.2, gdb.post_event, (pressed,)).start()")
        session.start("continue")
        assert "SIGINT" in session.wait()


def test_ctrl_c_stops_the_guest_while_events_pour_in(session: Session, daemon: PrivateDaemon) -> None:
    session.run("vgic watch access")
    with connect(daemon.address, "guest") as guest:
        for _ in range(3):
            session.start("continue")
            session.until("Continuing")
            for _ in range(3):
                guest.vector([Entry.reading(0, Space.GICC, 0x014)] * 300)
            session.until("more events came at once")
            session.interrupt()
            assert "SIGINT" in session.wait()
    session.run("vgic watch off")


def test_a_breakpoint_in_the_guest_may_depend_on_the_gic(session: Session, gic: Client) -> None:
    session.run("thread 1")
    session.run('break *0x40000000 if $irq(42, "line_level") == 1')
    session.start("continue")
    session.until("Continuing")
    gic.line(42, 1)
    assert "Breakpoint 1, 0x0000000040000000" in session.wait()
