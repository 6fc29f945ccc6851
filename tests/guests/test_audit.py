"""The audit finds what an interrupt controller does wrong, and nothing where it does nothing wrong."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from tests.guests.fakes import VECTORS, FakeGic, machine_on, words
from vgicd_machine.board.memory import BASE
from vgicd_machine.board.timers import VIRTUAL_PPI
from vgicd_machine.gic.audit import Audit
from vgicd_machine.gic.domain_port import DomainPort
from vgicd_machine.gic.port import GicPort

EL1H_SYNC, EL1H_IRQ = 0x200, 0x280
GICD_CTLR, GICD_ICENABLER, GICC_PMR, GICC_IAR, GICC_EOIR = 0x0, 0x180, 0x10004, 0x1000C, 0x10010

START = """
    d518c000    msr     vbar_el1, x0
    91400414    add     x20, x0, #0x1000            // RESULTS
    d2a10015    mov     x21, #0x8000000             // GICD
    d2a10036    mov     x22, #0x8010000             // GICC
    52800021    mov     w1, #1
    b90002a1    str     w1, [x21]                   // GICD_CTLR
    b90002c1    str     w1, [x22]                   // GICC_CTLR
    52801f02    mov     w2, #0xf8
    b90006c2    str     w2, [x22, #4]               // GICC_PMR
    52a10003    mov     w3, #0x8000000
    b90102a3    str     w3, [x21, #0x100]           // GICD_ISENABLER0: PPI 27
"""
TICK = """
    d53be046    mrs     x6, cntvct_el0
    910320c6    add     x6, x6, #200
    d51be346    msr     cntv_cval_el0, x6
    d51be321    msr     cntv_ctl_el0, x1
    d2800c87    mov     x7, #100
"""
UNMASK = """
    d50342ff    msr     daifclr, #2
"""
CALLS = """
    d4000001    svc     #0
    d10004e7    sub     x7, x7, #1
    b5ffffc7    cbnz    x7, .-8
"""
OFF = """
    52b08000    mov     w0, #0x84000000             // PSCI SYSTEM_OFF
    11002000    add     w0, w0, #8
    d4000002    hvc     #0
"""
ACKNOWLEDGE = """
    b9400eca    ldr     w10, [x22, #12]             // GICC_IAR
"""
STOP_TIMER = """
    d51be33f    msr     cntv_ctl_el0, xzr
"""
END = """
    b90012ca    str     w10, [x22, #16]             // GICC_EOIR
    d69f03e0    eret
"""
RETURN = """
    d69f03e0    eret
"""


class OneTimer(FakeGic):
    """As much of a GIC as one timer needs."""

    high = False

    def signalled(self) -> bool:
        return self.high

    def answer(self) -> int:
        return VIRTUAL_PPI if self.high else 1023

    def line(self, intid: int, level: int, cpu: int | None = None) -> None:
        super().line(intid, level, cpu)
        self.high = bool(level)
        self.outputs = int(self.signalled())

    def read(self, cpu: int, address: int, size: int) -> int:
        value = super().read(cpu, address, size)
        if address & 0x1FFFF == GICC_IAR:
            value = self.answer()
            self.outputs = 0
        return value


class Losing(OneTimer):
    """Never tells its CPU."""

    def signalled(self) -> bool:
        return False


class Early(OneTimer):
    """Tells its CPU before it knows of what."""

    def answer(self) -> int:
        return 1023


class Late(OneTimer):
    """Tells its CPU only when it is accessed for the third time after the rise."""

    accesses = 0

    def signalled(self) -> bool:
        self.accesses = 0
        return False

    def read(self, cpu: int, address: int, size: int) -> int:
        value = super().read(cpu, address, size)
        self.accesses += 1
        self.outputs = int(self.high and self.accesses >= 3)
        return value


def audited(gic: GicPort, *parts: str, irq: Iterable[str] = (ACKNOWLEDGE, STOP_TIMER, END)) -> Audit:
    audit = Audit(gic, 1)
    machine = machine_on(audit, observer=audit)
    machine.board.ram.write(BASE, words(START + "".join(parts) + OFF))
    machine.board.ram.write(VECTORS + EL1H_IRQ, words("".join(irq)))
    machine.board.ram.write(VECTORS + EL1H_SYNC, words(RETURN))
    machine.run(BASE, VECTORS, seconds=10)
    return audit


@pytest.mark.parametrize("gic", [OneTimer, lambda: DomainPort(vcpus=1)], ids=["one timer", "vgicd"])
@pytest.mark.parametrize("parts", [(TICK, UNMASK, CALLS), (UNMASK, TICK, CALLS)], ids=["masked", "unmasked"])
def test_an_interrupt_that_arrives_is_counted_and_nothing_else(gic: type[FakeGic], parts: tuple[str, ...]) -> None:
    audit = audited(gic(), *parts)
    assert list(audit.violations()) == []
    assert audit.reports[0].acknowledged == {VIRTUAL_PPI: 1}
    assert audit.reports[0].interrupts == [1, 0]
    assert "27: 1" in "".join(audit.lines())


@pytest.mark.parametrize("gic", [Losing, Late])
@pytest.mark.parametrize("parts", [(TICK, UNMASK, CALLS), (UNMASK, TICK, CALLS)], ids=["masked", "unmasked"])
def test_a_timer_interrupt_that_does_not_arrive_in_time_is_lost(gic: type[FakeGic], parts: tuple[str, ...]) -> None:
    audit = audited(gic(), *parts)
    assert audit.reports[0].lost == 1
    assert [text for text in audit.violations() if "PPI 27 rose" in text]


def test_an_interrupt_for_nothing_is_spurious() -> None:
    audit = audited(Early(), UNMASK, TICK, CALLS)
    assert audit.reports[0].spurious == [1, 0]
    assert [text for text in audit.violations() if "1 of 1 IRQs were for nothing" in text]


def test_only_the_first_acknowledge_of_an_interrupt_counts_as_spurious() -> None:
    audit = audited(OneTimer(), UNMASK, TICK, CALLS, irq=(ACKNOWLEDGE, STOP_TIMER, ACKNOWLEDGE, END))
    assert list(audit.violations()) == []


@pytest.mark.parametrize(
    "hold_back",
    [
        "b90006df    str     wzr, [x22, #4]      // GICC_PMR",
        "b90002df    str     wzr, [x22]          // GICC_CTLR",
        "b90002bf    str     wzr, [x21]          // GICD_CTLR",
        "b90182a3    str     w3, [x21, #0x180]   // GICD_ICENABLER0",
        "b90302a3    str     w3, [x21, #0x300]   // GICD_ISACTIVER0",
    ],
)
@pytest.mark.parametrize("gic", [Losing, lambda: DomainPort(vcpus=1)], ids=["losing", "vgicd"])
def test_what_the_guest_holds_back_is_not_lost(gic: type[FakeGic], hold_back: str) -> None:
    audit = audited(gic(), hold_back, TICK, UNMASK, CALLS)
    assert list(audit.violations()) == []
    assert not audit.reports[0].acknowledged


def test_a_line_that_falls_before_the_unmasking_is_not_lost() -> None:
    wait = """
    d10004e7    sub     x7, x7, #1
    b5ffffe7    cbnz    x7, .-4
    d51be33f    msr     cntv_ctl_el0, xzr
    d2800c87    mov     x7, #100
    """
    audit = audited(Losing(), TICK, "d2803e87    mov x7, #500", wait, UNMASK, CALLS)
    assert list(audit.violations()) == []
