"""Exceptions, interrupts, waiting and device accesses, each by a program of a few instructions."""

from __future__ import annotations

import os

import pytest

from tests.guests.fakes import GICD, RESULTS, VECTORS, FakeGic, machine_on, run, words
from vgicd_machine.board.memory import BASE, Memory
from vgicd_machine.errors import Deadlock, GuestFault, TimeLimit
from vgicd_machine.host.keyboard import Keyboard

EL1H_SYNC, EL1H_IRQ, EL1H_FIQ, EL0_SYNC = 0x200, 0x280, 0x300, 0x400

START = """
    d518c000    msr     vbar_el1, x0
    91400414    add     x20, x0, #0x1000            // RESULTS
    d2a10015    mov     x21, #0x8000000             // GICD
"""
OFF = """
    52b08000    mov     w0, #0x84000000             // PSCI SYSTEM_OFF
    11002000    add     w0, w0, #8
    d4000002    hvc     #0
"""
# Leaves the counter x5, ELR and SPSR in RESULTS and switches off.
REPORT = """
    d5384021    mrs     x1, elr_el1
    d5384002    mrs     x2, spsr_el1
    a9000685    stp     x5, x1, [x20]
    f9000a82    str     x2, [x20, #16]
"""

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


def test_supervisor_call_from_el0_banks_the_stack_pointer() -> None:
    main = """
    9100029f    mov     sp, x20
    d5184115    msr     sp_el0, x21
    100000a6    adr     x6, .+20
    d5184026    msr     elr_el1, x6
    d518401f    msr     spsr_el1, xzr
    d5033fdf    isb
    d69f03e0    eret
    d4002461    svc     #0x123
    """
    handler = """
    d5385206    mrs     x6, esr_el1
    d5384107    mrs     x7, sp_el0
    910003e8    mov     x8, sp
    f9000e86    str     x6, [x20, #24]
    a9022287    stp     x7, x8, [x20, #32]
    """
    _, results = run(FakeGic(), START + main, vectors={EL0_SYNC: handler + REPORT + OFF})
    _, elr, spsr, esr, sp_el0, sp_el1, *_ = results
    assert elr == BASE + 11 * 4, "the instruction after the SVC"
    assert (spsr, esr, sp_el0, sp_el1) == (0, 0x5600_0123, GICD, RESULTS)


def test_undefined_instruction_reports_itself() -> None:
    handler = """
    d5385206    mrs     x6, esr_el1
    f9000e86    str     x6, [x20, #24]
    """
    _, results = run(FakeGic(), START + "00000000    .inst   0", vectors={EL1H_SYNC: handler + REPORT + OFF})
    assert (results[1], results[3]) == (BASE + 3 * 4, 0x0200_0000)


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


ABORT_REPORT = """
    d5385206    mrs     x6, esr_el1
    d5386007    mrs     x7, far_el1
    a9019e86    stp     x6, x7, [x20, #24]
    f9001684    str     x4, [x20, #40]
"""


@pytest.mark.parametrize(
    ("access", "write"), [("b9400084    ldr     w4, [x4]", 0), ("b9000084    str     w4, [x4]", 1 << 6)]
)
def test_access_to_nothing_is_an_external_abort(access: str, write: int) -> None:
    main = """
    d2a40004    mov     x4, #0x20000000
    """
    _, results = run(FakeGic(), START + main + access, vectors={EL1H_SYNC: ABORT_REPORT + REPORT + OFF})
    _, elr, _, esr, far, x4, *_ = results
    assert (elr, esr, far, x4) == (BASE + 4 * 4, 0x9600_0010 | write, 0x2000_0000, 0x2000_0000)


@pytest.mark.parametrize(
    ("access", "write"),
    [
        ("b9400084    ldr     w4, [x4]", 0),
        ("b9000084    str     w4, [x4]", 1 << 6),
        ("b8408486    ldr     w6, [x4], #8", 0),
    ],
)
def test_refused_access_aborts_without_a_trace(access: str, write: int) -> None:
    gic = FakeGic()
    gic.aborts = {0x40}
    main = """
    910102a4    add     x4, x21, #0x40
    """
    _, results = run(gic, START + main + access, vectors={EL1H_SYNC: ABORT_REPORT + REPORT + OFF})
    _, elr, _, esr, far, x4, *_ = results
    assert (elr, esr, far, x4) == (BASE + 4 * 4, 0x9600_0010 | write, GICD + 0x40, GICD + 0x40)
    assert len(gic.log) == 1


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


def test_exception_without_vectors_is_a_fault_of_the_guest() -> None:
    main = """
    d2a40000    mov     x0, #0x20000000
    d518c000    msr     vbar_el1, x0
    d4000001    svc     #0
    """
    with pytest.raises(GuestFault, match="0x20000200"):
        run(FakeGic(), main)


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


# One-gibibyte blocks: devices at 0, RAM at 0x40000000, nothing from 0x80000000 on.
MMU_ON = """
    91400681    add     x1, x20, #0x1000            // the table
    d28080a2    mov     x2, #0x405                  // block, attribute 1, accessed
    d2a80003    mov     x3, #0x40000000
    b2400063    orr     x3, x3, #0x1
    b2760063    orr     x3, x3, #0x400              // block, attribute 0, accessed
    a9000c22    stp     x2, x3, [x1]
    d5182001    msr     ttbr0_el1, x1
    d2801fe2    mov     x2, #0xff                   // 0 write-back memory, 1 device
    d518a202    msr     mair_el1, x2
    d2800402    mov     x2, #0x20                   // 32-bit addresses
    b2690042    orr     x2, x2, #0x800000           // none through TTBR1
    d5182042    msr     tcr_el1, x2
    d5033fdf    isb
    d5381002    mrs     x2, sctlr_el1
    b2400042    orr     x2, x2, #1
    d5181002    msr     sctlr_el1, x2
    d5033fdf    isb
"""


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


@pytest.mark.parametrize(
    ("address", "syndrome", "far"),
    [
        ("d2b00004    mov     x4, #0x80000000", 0x9600_0005, 0x8000_0000),  # translation fault, level 1
        ("d2a40004    mov     x4, #0x20000000", 0x9600_0410, 0),  # external abort, FAR not valid
    ],
)
def test_aborts_with_the_mmu_on(address: str, syndrome: int, far: int) -> None:
    load = """
    b9400084    ldr     w4, [x4]
    """
    _, results = run(FakeGic(), START + MMU_ON + address + load, vectors={EL1H_SYNC: ABORT_REPORT + REPORT + OFF})
    _, elr, _, esr, reported, *_ = results
    assert (elr, esr, reported) == (BASE + 21 * 4, syndrome, far)


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


@pytest.mark.parametrize(("allowed", "trapped"), [("d518e11f    msr     cntkctl_el1, xzr", True), (
    "d2802006    mov     x6, #0x100\nd518e106    msr     cntkctl_el1, x6", False)])  # fmt: skip
def test_the_timer_is_not_for_el0_unless_the_kernel_says_so(allowed: str, trapped: bool) -> None:
    main = """
    100000a6    adr     x6, .+20
    d5184026    msr     elr_el1, x6
    d518401f    msr     spsr_el1, xzr
    d5033fdf    isb
    d69f03e0    eret
    d51be346    msr     cntv_cval_el0, x6
    d4000001    svc     #0
    """
    handler = """
    d5385206    mrs     x6, esr_el1
    f9000e86    str     x6, [x20, #24]
    """
    _, results = run(FakeGic(), START + allowed + main, vectors={EL0_SYNC: handler + REPORT + OFF})
    assert results[3] >> 26 == (0x18 if trapped else 0x15)


def test_floating_point_traps_where_the_guest_asks_for_it() -> None:
    main = """
    d518105f    msr     cpacr_el1, xzr
    d5033fdf    isb
    9e6703e0    fmov    d0, xzr
    """
    handler = """
    d5385206    mrs     x6, esr_el1
    f9000e86    str     x6, [x20, #24]
    d2a00606    mov     x6, #0x300000               // and no longer
    d5181046    msr     cpacr_el1, x6
    d5384021    mrs     x1, elr_el1
    f9000681    str     x1, [x20, #8]
    910004a5    add     x5, x5, #1
    f9000285    str     x5, [x20]
    d69f03e0    eret
    """
    _, results = run(FakeGic(), START + main + OFF, vectors={EL1H_SYNC: handler})
    assert (results[0], results[1], results[3]) == (1, BASE + 5 * 4, 0x1FE0_0000)


def test_read_only_memory_ignores_what_is_written() -> None:
    machine = machine_on(FakeGic())
    rom = Memory(0x1000, 0x2000_0000, writable=False)
    rom.write(rom.base, b"\x78\x56\x34\x12")
    machine.board.memories = (machine.board.ram, rom)
    main = """
    d2a40006    mov     x6, #0x20000000
    b90000c0    str     w0, [x6]
    b94000c7    ldr     w7, [x6]
    f9000287    str     x7, [x20]
    """
    machine.board.ram.write(BASE, words(START + main + OFF))
    machine.run(BASE, VECTORS, seconds=10)
    assert machine.board.ram.read(RESULTS, 8) == (0x1234_5678).to_bytes(8, "little")


def test_vectors_that_cannot_be_fetched_are_a_fault_of_the_guest_with_the_mmu_on() -> None:
    main = """
    d2b00000    mov     x0, #0x80000000
    d518c000    msr     vbar_el1, x0
    d4000001    svc     #0
    """
    with pytest.raises(GuestFault, match="0x80000200"):
        run(FakeGic(), START + MMU_ON + main)


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
