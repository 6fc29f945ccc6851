"""Loops that wait for the counter: time may jump in them, but past nothing, and not while another CPU executes."""

from __future__ import annotations

from tests.guests.fakes import EL1H_IRQ, OFF, START, FakeGic, run
from vgicd_machine.core.cpu import POLL_DISTANCE

DELAY = """
    d53be040    mrs     x0, cntvct_el0
    d53be041    mrs     x1, cntvct_el0
    cb000022    sub     x2, x1, x0
    d354fc43    lsr     x3, x2, #20                 // a million ticks, 17 milliseconds
    b4ffffa3    cbz     x3, .-12
"""
TICKS = 1 << 20

DELAY_WITH_A_TIMER = """
    d28ea603    mov     x3, #30000
    d51be203    msr     cntp_tval_el0, x3
    d2800023    mov     x3, #1
    d51be223    msr     cntp_ctl_el0, x3
    d50342ff    msr     daifclr, #2
    d53be021    mrs     x1, cntpct_el0
    17ffffff    b       .-4
"""
REPORT_TIME = """
    d53be242    mrs     x2, cntp_cval_el0
    d53be021    mrs     x1, cntpct_el0
    a9000a81    stp     x1, x2, [x20]
"""
WITH_A_BUSY_CPU = """
    d2800060    mov     x0, #3                      // CPU_ON
    f2b88000    movk    x0, #0xc400, lsl #16
    d2800021    mov     x1, #1
    10000062    adr     x2, .+12
    d4000002    hvc     #0
    14000002    b       .+8
    14000000    b       .
"""


def test_delay_takes_its_time_and_few_instructions() -> None:
    machine, _ = run(FakeGic(), START + DELAY + OFF)
    statistics = machine.statistics
    assert TICKS <= statistics.ticks < TICKS + 1000
    assert statistics.instructions < TICKS // 20
    assert statistics.instructions + machine.time.skipped == statistics.ticks


def test_timer_that_is_due_in_a_delay_is_not_jumped_over() -> None:
    gic = FakeGic()
    gic.line_outputs = lambda _intid, level, _cpu: level
    _, (taken, compare, *_) = run(gic, START + DELAY_WITH_A_TIMER, vectors={EL1H_IRQ: REPORT_TIME + OFF})
    assert compare <= taken <= compare + POLL_DISTANCE


def test_time_does_not_jump_while_another_cpu_executes() -> None:
    machine, _ = run(FakeGic(), START + WITH_A_BUSY_CPU + DELAY + OFF, cpus=2)
    assert machine.statistics.ticks >= TICKS
    assert machine.time.skipped == 0
