"""Interrupts and device accesses, each by a program of a few instructions."""

from __future__ import annotations

import pytest

from tests.guests.fakes import (
    EL1H_FIQ,
    EL1H_IRQ,
    GICD,
    MMU_ON,
    OFF,
    REPORT,
    START,
    FakeGic,
    run,
)
from vgicd_machine.board.memory import BASE

STORE_THEN_COUNT = """
    b90012a5    str     w5, [x21, #0x10]
    910004a5    add     x5, x5, #1
    910004a5    add     x5, x5, #1
    17ffffff    b       .-4
"""


def test_interrupt_is_taken_right_after_the_access_that_raised_it() -> None:
    gic = FakeGic()
    gic.sets_outputs = {0x10: 0b01}
    unmask = """
    d50342ff    msr     daifclr, #2
    """
    _, (count, elr, spsr, *_) = run(gic, START + unmask + STORE_THEN_COUNT, vectors={EL1H_IRQ: REPORT + OFF})
    assert (count, elr) == (0, BASE + 5 * 4)
    assert spsr & 0xFF == 0x45, "EL1h with I clear, F set"
    assert gic.log == [("write", 0, 0x10, 4, 0)], "done once"


def test_interrupt_waits_for_the_unmasking_instruction_and_no_longer() -> None:
    gic = FakeGic()
    gic.sets_outputs = {0x10: 0b01}
    main = """
    b90012a5    str     w5, [x21, #0x10]
    910004a5    add     x5, x5, #1
    910004a5    add     x5, x5, #1
    d50342ff    msr     daifclr, #2
    d50342df    msr     daifset, #2
    910004a5    add     x5, x5, #1
    17ffffff    b       .-4
    """
    _, (count, elr, *_) = run(gic, START + main, vectors={EL1H_IRQ: REPORT + OFF})
    assert (count, elr) == (2, BASE + 7 * 4)


def test_interrupt_masked_for_long_is_still_found() -> None:
    gic = FakeGic()
    gic.outputs = 0b01
    main = """
    d289c406    mov     x6, #20000
    d10004c6    sub     x6, x6, #1
    b5ffffe6    cbnz    x6, .-4
    d50342ff    msr     daifclr, #2
    910004a5    add     x5, x5, #1
    17ffffff    b       .-4
    """
    _, (_, elr, *_) = run(gic, START + main, vectors={EL1H_IRQ: REPORT + OFF})
    assert BASE + 7 * 4 <= elr <= BASE + 8 * 4


def test_fiq_goes_first_and_through_its_own_vector() -> None:
    gic = FakeGic()
    gic.sets_outputs = {0x10: 0b11}
    unmask = """
    d50343ff    msr     daifclr, #3
    """
    _, (count, elr, *_) = run(gic, START + unmask + STORE_THEN_COUNT, vectors={EL1H_FIQ: REPORT + OFF})
    assert (count, elr) == (0, BASE + 5 * 4)


def test_masked_fiq_lets_the_irq_pass() -> None:
    gic = FakeGic()
    gic.sets_outputs = {0x10: 0b11}
    unmask = """
    d50342ff    msr     daifclr, #2
    """
    _, (count, *_) = run(gic, START + unmask + STORE_THEN_COUNT, vectors={EL1H_IRQ: REPORT + OFF})
    assert count == 0


def test_load_that_overwrites_its_own_base_is_done_once() -> None:
    gic = FakeGic()
    gic.values = {0x20: 0x1234}
    gic.sets_outputs = {0x20: 0b01}
    main = """
    d50342ff    msr     daifclr, #2
    910082a4    add     x4, x21, #0x20
    b9400084    ldr     w4, [x4]
    14000000    b       .
    """
    handler = """
    aa0403e5    mov     x5, x4
    """
    _, (loaded, elr, *_) = run(gic, START + main, vectors={EL1H_IRQ: handler + REPORT + OFF})
    assert (loaded, elr) == (0x1234, BASE + 6 * 4)
    assert gic.log == [("read", 0, 0x20, 4)]


@pytest.mark.parametrize(
    ("load", "reads"),
    [
        ("29401c86    ldp     w6, w7, [x4]", [0x20, 0x24]),
        ("f9400086    ldr     x6, [x4]", [0x20, 0x24]),
        ("b8408486    ldr     w6, [x4], #8", [0x20]),
        ("b8408c86    ldr     w6, [x4, #8]!", [0x28]),
    ],
)
def test_compound_access_finishes_before_its_interrupt(load: str, reads: list[int]) -> None:
    gic = FakeGic()
    gic.values = {0x20: 0x11, 0x24: 0x22, 0x28: 0x33}
    gic.sets_outputs = {reads[0]: 0b01}
    main = """
    d50342ff    msr     daifclr, #2
    910082a4    add     x4, x21, #0x20
    """
    after = """
    910004a5    add     x5, x5, #1
    17ffffff    b       .-4
    """
    handler = """
    f9000e86    str     x6, [x20, #24]
    f9001287    str     x7, [x20, #32]
    f9001684    str     x4, [x20, #40]
    """
    _, results = run(gic, START + main + load + after, vectors={EL1H_IRQ: handler + REPORT + OFF})
    assert [entry[2] for entry in gic.log] == reads
    count, elr, _, x6, x7, x4, *_ = results
    assert (count, elr) == (0, BASE + 6 * 4), "right after it"
    if "ldp" in load:
        assert (x6, x7) == (0x11, 0x22)
    elif "x6" in load:
        assert x6 == 0x22_0000_0011
    else:
        assert (x6, x4) == (gic.values[reads[0]], GICD + 0x28)


def test_accesses_keep_their_width_and_value() -> None:
    gic = FakeGic()
    gic.values = {0x1: 0x80}
    main = """
    52913566    mov     w6, #0x89ab
    39000ea6    strb    w6, [x21, #3]
    79000ea6    strh    w6, [x21, #6]
    b9000aa6    str     w6, [x21, #8]
    39c006a7    ldrsb   w7, [x21, #1]
    394006a8    ldrb    w8, [x21, #1]
    a9002287    stp     x7, x8, [x20]
    """
    _, results = run(gic, START + main + OFF)
    assert gic.log == [
        ("write", 0, 3, 1, 0xAB),
        ("write", 0, 6, 2, 0x89AB),
        ("write", 0, 8, 4, 0x89AB),
        ("read", 0, 1, 1),
        ("read", 0, 1, 1),
    ]
    assert results[:2] == (0xFFFF_FF80, 0x80)


def test_wfi_ends_with_a_masked_interrupt_and_takes_none() -> None:
    gic = FakeGic()
    gic.line_outputs = lambda intid, level, cpu: level
    main = """
    d53be046    mrs     x6, cntvct_el0
    91403cc6    add     x6, x6, #0xf000
    d51be346    msr     cntv_cval_el0, x6
    d2800027    mov     x7, #1
    d51be327    msr     cntv_ctl_el0, x7
    d503207f    wfi
    d53be048    mrs     x8, cntvct_el0
    d53be329    mrs     x9, cntv_ctl_el0
    a9002286    stp     x6, x8, [x20]
    f9000a89    str     x9, [x20, #16]
    """
    _, (compare, after, control, *_) = run(gic, START + main + OFF)
    assert compare <= after < compare + 1000, "time goes on where the timer was due"
    assert control == 0b101, "enabled, and its condition met"
    assert gic.log == [("line", 27, 1, 0)]


def test_memory_can_be_zeroed_by_blocks() -> None:
    main = """
    d53b00e6    mrs     x6, dczid_el0
    f9000287    str     x7, [x20]
    f9000a87    str     x7, [x20, #16]
    d50b7434    dc      zva, x20
    f9000286    str     x6, [x20]
    """
    _, (size, *rest) = run(FakeGic(), "d28000e7    mov     x7, #7" + START + main + OFF)
    assert (size, rest[0], rest[1]) == (4, 0, 0)


def test_interrupts_are_as_exact_with_the_mmu_on() -> None:
    gic = FakeGic()
    gic.sets_outputs = {0x10: 0b01}
    main = """
    b90012a5    str     w5, [x21, #0x10]
    910004a5    add     x5, x5, #1
    d50342ff    msr     daifclr, #2
    910004a5    add     x5, x5, #1
    17ffffff    b       .-4
    """
    _, (count, elr, *_) = run(gic, START + MMU_ON + main, vectors={EL1H_IRQ: REPORT + OFF})
    assert (count, elr) == (1, BASE + (3 + 17 + 3) * 4)
    assert gic.log == [("write", 0, 0x10, 4, 0)]


def test_a_pending_interrupt_is_seen_in_isr_el1() -> None:
    gic = FakeGic()
    gic.sets_outputs = {0x10: 0b11}
    main = """
    b90012a5    str     w5, [x21, #0x10]
    d538c105    mrs     x5, isr_el1
    f9000285    str     x5, [x20]
    """
    _, (pending, *_) = run(gic, START + main + OFF)
    assert pending == 0b11 << 6, "I and F"
