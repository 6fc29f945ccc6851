"""Time, turns, waiting and ends of a run, each by a program of a few instructions."""

from __future__ import annotations

import os

import pytest

from tests.guests.fakes import (
    EL1H_IRQ,
    OFF,
    REPORT,
    RESULTS,
    START,
    VECTORS,
    FakeGic,
    machine_on,
    run,
    words,
)
from vgicd_machine.board.memory import BASE
from vgicd_machine.errors import Deadlock, TimeLimit
from vgicd_machine.host.keyboard import Keyboard


def test_counter_never_goes_back_and_always_moves() -> None:
    main = """
    d2803e86    mov     x6, #500
    d53be047    mrs     x7, cntvct_el0
    d53be048    mrs     x8, cntvct_el0
    eb07011f    cmp     x8, x7
    9a9f27e9    cset    x9, lo
    8b0900a5    add     x5, x5, x9
    aa0803e7    mov     x7, x8
    d10004c6    sub     x6, x6, #1
    b5ffff46    cbnz    x6, .-24
    a9002285    stp     x5, x8, [x20]
    """
    _, (backwards, last, *_) = run(FakeGic(), START + main + OFF)
    assert backwards == 0
    assert last >= 500


def test_second_cpu_starts_with_its_own_identity() -> None:
    main = """
    52b08000    mov     w0, #0x84000000
    11000c00    add     w0, w0, #3
    32020000    orr     w0, w0, #0x40000000         // PSCI CPU_ON, 64 bits
    d2800021    mov     x1, #1
    10000122    adr     x2, .+36
    aa1403e3    mov     x3, x20
    d4000002    hvc     #0
    f9000280    str     x0, [x20]
    f9400a86    ldr     x6, [x20, #16]
    b4ffffe6    cbz     x6, .-4
    """
    second = """
    d53800a1    mrs     x1, mpidr_el1
    f9000401    str     x1, [x0, #8]
    d2800021    mov     x1, #1
    f9000801    str     x1, [x0, #16]
    d503207f    wfi
    17ffffff    b       .-4
    """
    _, (answer, mpidr, *_) = run(FakeGic(), START + main + OFF + second, cpus=2)
    assert (answer, mpidr) == (0, 0x8000_0001)


def test_spinning_on_wfe_costs_little_and_ends() -> None:
    gic = FakeGic()
    gic.line_outputs = lambda intid, level, cpu: level
    main = """
    d50342ff    msr     daifclr, #2
    d2800026    mov     x6, #1
    d36eb4c7    lsl     x7, x6, #18
    d51be347    msr     cntv_cval_el0, x7
    d51be326    msr     cntv_ctl_el0, x6
    d503205f    wfe
    17ffffff    b       .-4
    """
    _, (_, elr, *_) = run(gic, START + main, vectors={EL1H_IRQ: REPORT + OFF})
    assert BASE + 8 * 4 <= elr <= BASE + 9 * 4


def test_nothing_to_wake_a_cpu_is_a_deadlock() -> None:
    main = """
    d503207f    wfi
    """
    with pytest.raises(Deadlock, match="CPU 0 waits"):
        run(FakeGic(), START + main)


def test_endless_loop_meets_the_time_limit() -> None:
    main = """
    14000000    b       .
    """
    with pytest.raises(TimeLimit):
        run(FakeGic(), main, seconds=0.3)


def test_a_failing_port_ends_the_run_with_its_own_error() -> None:
    class Broken(FakeGic):
        def read(self, cpu: int, address: int, size: int) -> int:
            raise ValueError("broken")

    main = """
    b94002a4    ldr     w4, [x21]
    14000000    b       .
    """
    with pytest.raises(ValueError, match="broken"):
        run(Broken(), START + main)


ECHO = """
    d2a12015    mov     x21, #0x9000000             // UART
    b9401aa1    ldr     w1, [x21, #0x18]            // FR
    3727ffe1    tbnz    w1, #4, .-4                 // RXFE
    b94002a1    ldr     w1, [x21]
    b90002a1    str     w1, [x21]
    7100283f    cmp     w1, #10
    54ffff61    b.ne    .-20
"""


def test_what_is_typed_is_echoed() -> None:
    reader, writer = os.pipe()
    try:
        os.write(writer, b"hello, uart\n")
        echoed = bytearray()
        machine = machine_on(FakeGic(), echoed.append, keyboard=Keyboard(reader))
        machine.board.ram.write(BASE, words(ECHO + OFF))
        machine.run(BASE, seconds=10)
        assert echoed == b"hello, uart\n"
    finally:
        os.close(reader)
        os.close(writer)


def test_waiting_for_the_keyboard_is_no_deadlock_until_it_ends() -> None:
    reader, writer = os.pipe()
    try:
        os.close(writer)
        machine = machine_on(FakeGic(), keyboard=Keyboard(reader))
        machine.board.ram.write(BASE, words("d503207f    wfi"))
        with pytest.raises(Deadlock):
            machine.run(BASE, seconds=10)
    finally:
        os.close(reader)


def test_time_is_the_number_of_instructions() -> None:
    main = """
    d53be046    mrs     x6, cntvct_el0
    d503201f    nop
    d503201f    nop
    d53be027    mrs     x7, cntpct_el0
    a9001c86    stp     x6, x7, [x4]
    """
    machine, (first, second, *_) = run(FakeGic(), START + "aa1403e4    mov     x4, x20" + main + OFF)
    assert (first, second) == (5, 8)
    assert machine.now == machine.statistics.instructions == 5 + 5 + 3 - 1
    assert machine.statistics.counter_reads == 2


def test_timer_registers_read_back() -> None:
    main = """
    d2827106    mov     x6, #5000
    d51be306    msr     cntv_tval_el0, x6           // at 5
    d53be307    mrs     x7, cntv_tval_el0
    d53be348    mrs     x8, cntv_cval_el0
    a9002287    stp     x7, x8, [x20]
    """
    _, (left, compare, *_) = run(FakeGic(), START + main + OFF)
    assert (left, compare) == (4999, 5005)


# The first CPU starts the second, which counts in RESULTS[1]; the first waits until it has counted something.
RACE = """
    52b08000    mov     w0, #0x84000000
    11000c00    add     w0, w0, #3
    32020000    orr     w0, w0, #0x40000000         // PSCI CPU_ON, 64 bits
    d2800021    mov     x1, #1
    10000122    adr     x2, .+36
    aa1403e3    mov     x3, x20
    d4000002    hvc     #0
    d503201f    nop
    f9400686    ldr     x6, [x20, #8]
    b4ffffe6    cbz     x6, .-4
"""

COUNTING = """
    f9400401    ldr     x1, [x0, #8]
    91000421    add     x1, x1, #1
    f9000401    str     x1, [x0, #8]
    17fffffd    b       .-12
"""


def test_a_seed_is_another_interleaving_and_always_the_same() -> None:
    def counted(seed: int) -> int:
        machine = machine_on(FakeGic(), cpus=2, seed=seed)
        machine.board.ram.write(BASE, words(START + RACE + OFF + COUNTING))
        machine.run(BASE, VECTORS, seconds=10)
        return int.from_bytes(machine.board.ram.read(RESULTS + 8, 8), "little")

    counts = [counted(seed) for seed in (0, 1, 2, 3)]
    assert counts == [counted(seed) for seed in (0, 1, 2, 3)]
    assert len(set(counts)) > 2


# The second CPU calls a function again and again and stores what it yields; the first then writes another function.
MODIFY = """
    52b08000    mov     w0, #0x84000000
    11000c00    add     w0, w0, #3
    32020000    orr     w0, w0, #0x40000000         // PSCI CPU_ON, 64 bits
    d2800021    mov     x1, #1
    10000222    adr     x2, .+68
    aa1403e3    mov     x3, x20
    d4000003    smc     #0
    f9400686    ldr     x6, [x20, #8]
    f10004df    cmp     x6, #1
    54ffffc1    b.ne    .-8
    100001c7    adr     x7, .+56
    180001e8    ldr     w8, .+60
    b90000e8    str     w8, [x7]
    d50b7527    ic      ivau, x7
    d5033f9f    dsb     sy
    f9400686    ldr     x6, [x20, #8]
    f10008df    cmp     x6, #2
    54ffffc1    b.ne    .-8
"""
CALL = """
    94000003    bl      .+12
    f9000405    str     x5, [x0, #8]
    17fffffe    b       .-8
    d2800025    mov     x5, #1
    d65f03c0    ret
    d2800045    mov     x5, #2
"""


@pytest.mark.parametrize("seed", [0, 1])
def test_code_that_one_cpu_writes_is_what_another_executes(seed: int) -> None:
    machine = machine_on(FakeGic(), cpus=2, seed=seed)
    machine.board.ram.write(BASE, words(START + MODIFY + OFF + CALL))
    machine.run(BASE, VECTORS, seconds=10)
    assert machine.board.ram.read(RESULTS + 8, 1) == b"\x02"


def test_waiting_for_an_event_lets_time_pass() -> None:
    gic = FakeGic()
    gic.line_outputs = lambda intid, level, cpu: level
    main = """
    d2800026    mov     x6, #1
    d36798c7    lsl     x7, x6, #25                 // half a second
    d51be347    msr     cntv_cval_el0, x7
    d51be326    msr     cntv_ctl_el0, x6
    d503205f    wfe
    d53be328    mrs     x8, cntv_ctl_el0
    3617ffc8    tbz     w8, #2, .-8                 // ISTATUS
    """
    machine, _ = run(gic, START + main + OFF)
    statistics = machine.statistics
    assert statistics.ticks >= 1 << 25
    assert statistics.instructions < statistics.ticks / 100
