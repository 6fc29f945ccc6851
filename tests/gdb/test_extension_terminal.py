"""The in-gdb extension on a terminal: TAB, events at the prompt, and the window of `layout vgic`."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Iterator

import pytest

from tests.gdb.extension import EXTENSION, Terminal, plain, set_up
from tests.gdb.gdbs import Gdb
from vgicd_client import Client, Entry, PrivateDaemon, Space, connect, private_daemon

pytestmark = pytest.mark.gdbs("plain", "multiarch", "new")


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
def terminal(gdb: Gdb, daemon: PrivateDaemon, gic: Client) -> Iterator[Terminal]:
    with Terminal(gdb, f"source {EXTENSION}", f"vgic connect {daemon.address}") as running:
        yield running
        assert "Traceback" not in running.output
        assert "Python Exception" not in running.output


def test_the_tab_key_completes(terminal: Terminal) -> None:
    terminal.type("vgic regs GICC_IA\t")
    terminal.until("GICC_IAR ")
    assert "GICC_IAR  0x000003ff" in terminal.run("")
    terminal.type("vgic irq 33 pu\t")
    terminal.until("pulse ")
    terminal.type("\x03")
    terminal.until(r"\(gdb\) $")


def test_events_appear_at_the_prompt_which_comes_back(terminal: Terminal, gic: Client) -> None:
    terminal.run("vgic watch")
    gic.line(42, 1)
    said = plain(terminal.until(r"pend irq42\n[^\n]*\(gdb\) $"))
    assert re.search(r"\[vgic \d+\] line irq42 high\n", said)
    gic.write(0, Space.GICC, 0x010, 40)
    said = plain(terminal.until(r"deactivate.*\n[^\n]*\(gdb\) $"))
    assert re.search(r"\[vgic \d+\] eoi vcpu0 irq40 0x28", said)
    terminal.run("vgic watch off")
    gic.line(42, 0)
    assert "line irq42 low" not in terminal.run("vgic status") + terminal.run("vgic lrs")


def test_events_of_one_interrupt_or_kind_can_be_chosen(terminal: Terminal, gic: Client) -> None:
    terminal.type("vgic watch 42+1\r")
    terminal.until("watching line pend load ack eoi deactivate maintenance fault reset of 43; ")
    gic.pulse(44)
    gic.pulse(43)
    assert "irq44" not in terminal.until("irq43")
    terminal.type("vgic watch ack output\r")
    terminal.until("watching ack output; ")
    gic.write(0, Space.GICC, 0x010, 40)
    gic.read(0, Space.GICC, 0x00C)
    said = terminal.until(r"ack vcpu0 irq33 0x21")
    assert "output irq0" in said
    assert "eoi" not in said
    terminal.type("vgic status\r")
    terminal.until("watching: ack output")


def test_a_flood_of_events_is_counted_and_leaves_the_prompt_usable(terminal: Terminal, gic: Client) -> None:
    terminal.run("vgic watch access")
    for _ in range(20):
        gic.vector([Entry.reading(0, Space.GICC, 0x014)] * 500)
    said = terminal.until(r"\d+ more events came at once")
    assert said.count("read32 GICC_RPR") <= 3000
    terminal.type("vgic watch off\r")
    terminal.until("watching nothing")
    terminal.type("vgic lrs 1\r")
    terminal.until("vCPU 1: inside")


def test_the_window_shows_the_list_registers_and_follows_commands(terminal: Terminal, gic: Client) -> None:
    if "vgic" not in terminal.run("complete layout v"):
        pytest.skip("this gdb is built without its TUI")
    terminal.type("layout vgic\r")
    screen = plain(terminal.until(r"virq=33"))
    assert "vCPU 0: low, 2/4" in screen
    assert "<LR virq=40 ACTIVE prio=0x80>" in screen
    terminal.type("vgic irq 42 up\r")
    terminal.until(r"operation \d+; outputs")
    gic.write(0, Space.GICC, 0x010, 40)
    terminal.type("print 1234 + 1\r")
    terminal.until("1235")
    assert gic.read(0, Space.GICC, 0x00C) == 33
    terminal.type("print 4321 + 1\r")
    terminal.until("ACTIVE")


def test_the_window_of_a_silent_daemon_holds_nobody_up(gdb: Gdb) -> None:
    with (
        private_daemon(vcpus=1) as daemon,
        Terminal(gdb, f"source {EXTENSION}", f"vgic connect {daemon.address}") as terminal,
    ):
        if "vgic" not in terminal.run("complete layout v"):
            pytest.skip("this gdb is built without its TUI")
        terminal.type("layout vgic\r")
        terminal.until("LR empty")
        os.kill(daemon.pid, signal.SIGSTOP)
        try:
            start = time.monotonic()
            terminal.type("print 1234 + 1\r")
            terminal.until("1235", 5.0)
            for number in range(4321, 4331):  # it is not asked again each time
                terminal.type(f"print {number} + 1\r")
                terminal.until(str(number + 1), 5.0)
            assert time.monotonic() - start < 1.5  # 0.3 of them for the window
        finally:
            os.kill(daemon.pid, signal.SIGCONT)
