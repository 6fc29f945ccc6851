"""Live trace lines: one per event, with the names of registers and interrupts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.unit.gdbstub.local import GICC, GICD, LocalTarget, bring_up
from vgicd.domain import operations as op
from vgicd.domain.config import DomainConfig
from vgicd.domain.domain import Domain
from vgicd.domain.events import Event, EventKind
from vgicd.gdbstub.monitor.trace import render

NAMES = {33: "uart0"}
ALL = (1 << len(EventKind)) - 1


def lines(domain: Domain, *operations: Any, mask: int = ALL) -> list[str]:
    """What is printed of `operations`, without their numbers."""
    target = LocalTarget(domain, names=NAMES)
    domain.listen(mask)
    domain.take_events()
    found = []
    for operation in operations:
        domain.apply(operation)
        for event in domain.take_events():
            number, _, rest = render(event, target).partition(" ")
            assert number == f"#{event.order}"
            assert "\n" not in rest
            found.append(rest)
    return found


def guest(**config: Any) -> Domain:
    domain = Domain(DomainConfig(**{"vcpus": 2, "spis": 64, **config}))
    bring_up(domain)
    domain.apply(op.Write(0, GICD, 0x800 + 33, 1, 2))
    return domain


def test_the_life_of_an_interrupt_reads_as_a_story() -> None:
    found = lines(guest(), op.Line(33, 1), op.Read(1, GICC, 0xC, 4), op.Write(1, GICC, 0x10, 4, 33))
    assert found == [
        "irq33_uart0 line high",
        "irq33_uart0 pending",
        "irq33_uart0 queued for vcpu1",
        "vcpu1 kicked",
        "irq33_uart0 loaded by vcpu1: 0x10000021 irq33_uart0 pending prio 0x00",
        "outputs: vcpu1 irq",
        "vcpu1 read GICC_IAR",
        "irq33_uart0 ack by vcpu1",
        "outputs: all low",
        "vcpu1 write GICC_EOIR = 0x00000021 (irq33_uart0)",
        "irq33_uart0 eoi by vcpu1",
        "irq33_uart0 deactivated on vcpu1",
    ]


def test_an_sgi_names_its_sender() -> None:
    found = lines(guest(), op.Write(1, GICD, 0xF00, 4, 1 << 16 | 5), op.Read(0, GICC, 0xC, 4))
    assert "vcpu1 write GICD_SGIR = 0x00010005 (CPUTargetList=1 SGIINTID=5)" in found
    assert "irq5 of vcpu0 pending" in found
    assert "irq5 from cpu 1 ack by vcpu0" in found


@pytest.mark.parametrize(
    ("operation", "told"),
    [
        (op.Write(0, GICD, 0x104, 4, 0x400), "vcpu0 write GICD_ISENABLER1 = 0x00000400 (irq42)"),
        (op.Write(1, GICD, 0x184, 4, 3), "vcpu1 write GICD_ICENABLER1 = 0x00000003 (irq32 irq33_uart0)"),
        (op.Write(0, GICD, 0x104, 4, 0xFFFFFFFF), "vcpu0 write GICD_ISENABLER1 = 0xffffffff (irq32-irq63)"),
        (op.Write(0, GICD, 0x104, 4, 0x3F), "(irq32 irq33_uart0 irq34 irq35 and 2 more)"),
        (op.Write(0, GICD, 0x821, 1, 1), "vcpu0 write GICD_ITARGETSR8+1 = 0x01 (irq33_uart0)"),
        (op.Write(0, GICD, 0x820, 4, 0x01010101), "GICD_ITARGETSR8 = 0x01010101 (irq32 irq33_uart0 irq34 irq35)"),
        (op.Read(0, GICD, 0x41B, 1), "vcpu0 read GICD_IPRIORITYR6+3 (irq27_vtimer)"),
        (op.Write(0, GICD, 0xC08, 4, 0), "vcpu0 write GICD_ICFGR2 = 0x00000000 (irq32-irq47)"),
        (op.Write(0, GICD, 0x000, 4, 1), "vcpu0 write GICD_CTLR = 0x00000001 (Enable)"),
        (op.Write(0, GICC, 0x000, 4, 0x201), "vcpu0 write GICC_CTLR = 0x00000201 (EOImode EnableGrp0)"),
        (op.Write(0, GICC, 0x004, 4, 0xF0), "vcpu0 write GICC_PMR = 0x000000f0"),
        (op.Read(0, GICD, 0x004, 4), "vcpu0 read GICD_TYPER"),
    ],
)
def test_an_access_names_its_register_and_the_interrupts_it_is_about(operation: Any, told: str) -> None:
    said = lines(guest(), operation, mask=1 << EventKind.ACCESS)
    assert len(said) == 1
    assert said[0].endswith(told)


@pytest.mark.parametrize(
    ("operation", "told"),
    [
        (op.Read(0, GICD, 0x002, 2), "vcpu0 fault: read GICD_CTLR (2 bytes)"),
        (op.Write(1, GICD, 0xFFC, 2, 1), "vcpu1 fault: write GICD_ICCIDR3 (2 bytes) = 0x0001"),
        (op.Read(0, GICC, 0x030, 4), "vcpu0 fault: read GICC+0x030 (reserved)"),
        (op.Read(0, op.Space.PHYSICAL, 0x1000, 4), "vcpu0 fault: read 0x1000, where nothing is,"),
        (op.Read(0, op.Space.PHYSICAL, 0x10000000, 4), "vcpu0 fault: read 0x10000000, where nothing is,"),
        (op.Read(0, op.Space.PHYSICAL, 0x40000000, 4), "vcpu0 fault: read 0x40000000, where nothing is,"),
        (op.Write(0, op.Space.PHYSICAL, 0x9000000, 1, 7), "write 0x9000000, where nothing is, (1 byte) = 0x07"),
    ],
)
def test_a_fault_tells_what_was_tried(operation: Any, told: str) -> None:
    said = lines(guest(), operation, mask=1 << EventKind.FAULT)
    assert len(said) == 1
    assert told in said[0]


def test_a_device_register_is_named() -> None:
    said = lines(
        guest(profile="xen-guest"), op.Write(0, op.Space.PHYSICAL, 0x22000038, 4, 0x10), mask=1 << EventKind.ACCESS
    )
    assert said == ["vcpu0 write UARTIMSC = 0x00000010 (RXI)"]


def test_migration_maintenance_and_the_rest_are_told() -> None:
    domain = guest(lrs=1)
    domain.apply(op.Line(33, 1))
    found = lines(domain, op.Write(0, GICD, 0x821, 1, 1), op.Line(34, 1), op.Write(0, GICD, 0x822, 1, 1))
    assert "irq33_uart0 moved from vcpu1 to vcpu0" in found
    found = lines(domain, op.Read(0, GICC, 0xC, 4), op.Write(0, GICC, 0x10, 4, 33), op.Write(0, GICD, 0x184, 4, 6))
    assert any(line.startswith("vcpu0 maintenance interrupt: ") for line in found)
    assert any(line.endswith("off the ap_list of vcpu0") for line in found)


def test_explicit_switches_and_resets_are_told() -> None:
    domain = guest()
    assert lines(
        domain, op.Mode(explicit=True), op.Enter(1), op.Exit(1), op.Reset(), mask=0b111 << EventKind.ENTER
    ) == [
        "vcpu1 enters the guest",
        "vcpu1 leaves the guest",
        "the domain is reset",
    ]


def test_the_console_shows_what_was_transmitted() -> None:
    domain = guest(profile="xen-guest")
    assert lines(domain, op.Write(0, op.Space.PHYSICAL, 0x22000000, 4, 0x0A), mask=1 << EventKind.CONSOLE) == [
        "console b'\\n'"
    ]


@pytest.mark.parametrize("kind", EventKind)
@pytest.mark.parametrize(
    "make", [lambda kind: Event(7, kind, 1, 27, 0, 1), lambda kind: Event(7, kind, 1, 0x104, 1 << 28, 1)]
)
def test_every_kind_of_event_has_a_line(kind: EventKind, make: Callable[[EventKind], Event]) -> None:
    said = render(make(kind), LocalTarget(guest()))
    assert said.startswith("#7 ")
    assert len(said) > len("#7 ")
