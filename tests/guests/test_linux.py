"""Debian's arm64 kernel, unmodified, from its first instruction to power off, its GIC in a daemon's process."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import pytest

from tests.guests.interrupts import Cell, Console, compare, totals
from tests.guests.recording import Lines, linux, recording
from vgicd_client import private_daemon
from vgicd_machine.gic.audit import Audit
from vgicd_machine.gic.domain_port import DomainPort
from vgicd_machine.gic.socket_port import open_port
from vgicd_machine.machine import Statistics
from vgicd_machine.run import Outcome

pytestmark = pytest.mark.long

EXERCISES = ["timers", "migration", "device-affinity", "hotplug"]
TIMER, UART = 27, 33
LIMIT = 400.0  # seconds; a boot takes a tenth of that


@dataclass
class Boot:
    """A run of the Linux guest, and all that was seen of it."""

    cpus: int
    console: Console
    log: list[str]
    outcome: Outcome
    audit: Audit
    statistics: Statistics


@functools.cache
def boot(cpus: int) -> Boot:
    """Made once for all tests of this module."""
    guest = linux(cpus, tests_itself=cpus == 1)
    log = Lines()
    console = Console()
    with private_daemon(vcpus=cpus, spis=256) as daemon, open_port(daemon.address) as port:
        audit = Audit(port, cpus)
        run = recording(audit, guest, log, lines=lambda text: console.write(text, len(log.lines)), observer=audit)
        outcome = run.perform(LIMIT)
    done = run.machine.statistics
    instructions = done.instructions / 1e6
    print(f"{cpus} CPUs: {done.seconds:.1f} s, {instructions:.0f} million instructions, {len(log.lines)} operations")
    return Boot(cpus, console, log.lines, outcome, audit, done)


@pytest.fixture(scope="module", params=[1, 4, 8], ids=lambda cpus: f"{cpus}-cpus")
def booted(request: pytest.FixtureRequest) -> Boot:
    return boot(request.param)


def test_it_reaches_userspace_passes_every_exercise_and_switches_off(booted: Boot) -> None:
    assert [verdict.name for verdict in booted.outcome.verdicts if verdict.passed] == EXERCISES, booted.console.text
    assert (booted.outcome.status, booted.outcome.reset) == (0, False)
    assert "\nEXIT: STATUS=0\n" in booted.console.text
    assert "reboot: Power down" in booted.console.text


def test_no_interrupt_is_for_nothing_and_no_timer_tick_is_lost(booted: Boot) -> None:
    assert list(booted.audit.violations()) == []
    taken = tuple(report.interrupts[0] for report in booted.audit.reports)
    assert taken == booted.statistics.irqs
    assert min(taken) > 0
    assert [report.interrupts[1] for report in booted.audit.reports] == [0] * booted.cpus, "FIQs"


def test_the_kernels_counts_are_the_logs(booted: Boot) -> None:
    """The arch_timer column, the UART's and those of IPIs, each settled on every CPU by one snapshot at least."""
    names = [snapshot.name for snapshot in booted.console.snapshots]
    assert names == [f"{place} {number:02}" for place in ("boot", "end") for number in (1, 2, 3)]
    comparison = compare(booted.console.snapshots, booted.log)
    assert comparison.wrong == []
    last = booted.console.snapshots[-1]
    assert {"arch_timer", "uart-pl011", "IPI0", "IPI1"} <= last.rows.keys()
    for cpu in range(booted.cpus):
        for intid in last.rows.values():
            assert comparison.exact[Cell(cpu, intid)] > 0, f"INTID {intid} on CPU {cpu} is never settled"
        assert last.counts[Cell(cpu, TIMER)] > 0
        assert last.counts[Cell(cpu, UART)] > 0, "its affinity was to each CPU in turn"
        if booted.cpus > 1:
            ipis = sum(last.counts[Cell(cpu, intid)] for name, intid in last.rows.items() if name.startswith("IPI"))
            assert ipis > 0, "a process was moved to it, and it has been off and on again"


def test_the_audits_acknowledges_are_the_logs(booted: Boot) -> None:
    acknowledged = totals(booted.log).acknowledged
    counted = {
        Cell(cpu, intid): count
        for cpu, report in enumerate(booted.audit.reports)
        for intid, count in report.acknowledged.items()
    }
    assert counted == acknowledged


def test_a_second_boot_is_the_same_with_the_interrupt_controller_in_this_process() -> None:
    """Several CPUs, and not one operation differs in kind, value, outputs or time. One CPU: test_determinism.py."""
    log = Lines()
    assert recording(DomainPort(vcpus=4, spis=256), linux(4), log).perform(LIMIT).status == 0
    assert log.lines == boot(4).log
