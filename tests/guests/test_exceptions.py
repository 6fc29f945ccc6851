"""Exceptions other than interrupts, each by a program of a few instructions."""

from __future__ import annotations

import pytest

from tests.guests.fakes import (
    ABORT_REPORT,
    EL0_SYNC,
    EL1H_SYNC,
    GICD,
    MMU_ON,
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
from vgicd_machine.board.memory import BASE, Memory
from vgicd_machine.errors import GuestFault


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


def test_exception_without_vectors_is_a_fault_of_the_guest() -> None:
    main = """
    d2a40000    mov     x0, #0x20000000
    d518c000    msr     vbar_el1, x0
    d4000001    svc     #0
    """
    with pytest.raises(
        GuestFault, match=r"CPU 0: SVC at 0x4000000c \(ESR 0x56000000\), and no memory at its vector 0x20000200"
    ):
        run(FakeGic(), main)


@pytest.mark.parametrize(
    ("address", "syndrome", "far"),
    [
        ("d2b00004    mov     x4, #0x80000000", 0x9600_0005, 0x8000_0000),  # translation fault, level 1
        ("d2a40004    mov     x4, #0x20000000", 0x9600_0010, 0x2000_0000),  # external abort
    ],
)
def test_aborts_with_the_mmu_on(address: str, syndrome: int, far: int) -> None:
    load = """
    b9400084    ldr     w4, [x4]
    """
    _, results = run(FakeGic(), START + MMU_ON + address + load, vectors={EL1H_SYNC: ABORT_REPORT + REPORT + OFF})
    _, elr, _, esr, reported, *_ = results
    assert (elr, esr, reported) == (BASE + 21 * 4, syndrome, far)


FORBID = """
    d518e11f    msr     cntkctl_el1, xzr
"""
ALLOW = """
    d2802006    mov     x6, #0x100
    d518e106    msr     cntkctl_el1, x6
"""


@pytest.mark.parametrize(("setting", "trapped"), [(FORBID, True), (ALLOW, False)])
def test_the_timer_is_not_for_el0_unless_the_kernel_says_so(setting: str, trapped: bool) -> None:
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
    _, results = run(FakeGic(), START + setting + main, vectors={EL0_SYNC: handler + REPORT + OFF})
    assert results[3] >> 26 == (0x18 if trapped else 0x15)


@pytest.mark.parametrize(("mask", "op2", "bits"), [("d50342df  daifset, #2", 6, 2), ("d5034fff  daifclr, #15", 7, 15)])
def test_masking_at_el0_is_a_trapped_write(mask: str, op2: int, bits: int) -> None:
    main = f"""
    100000a6    adr     x6, .+20
    d5184026    msr     elr_el1, x6
    d518401f    msr     spsr_el1, xzr
    d5033fdf    isb
    d69f03e0    eret
    {mask}
    """
    handler = """
    d5385206    mrs     x6, esr_el1
    f9000e86    str     x6, [x20, #24]
    """
    _, results = run(FakeGic(), START + main, vectors={EL0_SYNC: handler + REPORT + OFF})
    assert results[1] == BASE + 8 * 4, "at the instruction"
    assert results[3] == 0x6200_0000 | op2 << 17 | 3 << 14 | 4 << 10 | 31 << 5 | bits << 1, "trapped MSR, Rt 31"


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
    with pytest.raises(
        GuestFault, match=r"CPU 0: SVC at 0x[0-9a-f]+ \(ESR 0x56000000\), and its vector 0x80000200 cannot"
    ):
        run(FakeGic(), START + MMU_ON + main)


def test_levels_that_the_machine_does_not_have_are_not_in_the_identification_registers() -> None:
    main = """
    d5380405    mrs     x5, id_aa64pfr0_el1
    f9000285    str     x5, [x20]
    """
    _, (features, *_) = run(FakeGic(), START + main + OFF)
    assert features == 0x22, "EL0 and EL1 in AArch64 and AArch32, as QEMU's virt"


NULL_CALL = """
    d2800000    mov     x0, #0
    d61f0000    br      x0
"""
PENDING_IRQ = """
    d2a10004    mov     x4, #0x8000000
    d50342ff    msr     daifclr, #2
    14000000    b       .
"""


@pytest.mark.parametrize(
    ("main", "told"),
    [
        pytest.param("00000000    .inst   0", "undefined instruction at {at:#x} (ESR 0x02000000)", id="undefined"),
        pytest.param("d4000021    svc     #1", "SVC at {behind:#x} (ESR 0x56000001)", id="svc"),
        pytest.param("d4200020    brk     #1", "BRK at {at:#x} (ESR 0xf2000001)", id="brk"),
        pytest.param(
            "b9400021    ldr     w1, [x1]", "data abort (read) at {at:#x} (ESR 0x96000010, FAR 0x0)", id="read"
        ),
        pytest.param(
            "b9000021    str     w1, [x1]", "data abort (write) at {at:#x} (ESR 0x96000050, FAR 0x0)", id="write"
        ),
        pytest.param(NULL_CALL, "instruction abort at 0x0 (ESR 0x86000010, FAR 0x0)", id="null"),
        pytest.param(PENDING_IRQ, "IRQ at {behind_two:#x}", id="irq"),
    ],
)
def test_a_fault_before_there_are_vectors_is_told_with_what_and_where(main: str, told: str) -> None:
    gic = FakeGic()
    gic.outputs = 1
    text = told.format(at=BASE, behind=BASE + 4, behind_two=BASE + 8)
    with pytest.raises(GuestFault) as caught:
        run(gic, main)
    vector = 0x280 if told.startswith("IRQ") else 0x200
    assert str(caught.value) == f"CPU 0: {text}, and no memory at its vector {vector:#x}"
