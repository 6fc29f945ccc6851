"""9.8 Disabled, active, WFI."""

from __future__ import annotations

import pytest

from vgicd.domain import operations as op

from .catalogue import scenario
from .harness import CTLR, EOIMODE_1, GICC_CTLR, GICC_PMR, ICACTIVER, ICENABLER, ISACTIVER, ISPENDR, SPURIOUS, Bench


@scenario("T76", defects=("D8",))
def test_T76_disabling_an_active_level_interrupt_with_its_line_high(variant: str) -> None:
    bench = Bench(variant)
    bench.private(27, priority=0xA0)
    bench.inject(27, vcpu=0)
    bench.enter()
    assert bench.iar() == 27
    assert bench.lr() == 0x2A08001B
    bench.gicd_write(ICENABLER[0], 1 << 27)
    assert bench.listed() == [27]
    assert bench.lr() == bench.column(xen=0x3A08001B, correct=0x2A08001B)
    bench.eoi(27)
    bench.exit()
    assert bench.listed() == []
    assert bench.gicd_read(ISPENDR[0]) >> 27 & 1 == 1


@scenario("T76", defects=("D8",), columns=("correct",), setup="trace, automatic")
def test_T76_the_guest_never_takes_a_disabled_interrupt(variant: str) -> None:
    bench = Bench(variant, automatic=True)
    bench.private(27, priority=0xA0)
    bench.inject(27, vcpu=0)
    assert bench.iar() == 27
    bench.gicd_write(ICENABLER[0], 1 << 27)
    assert bench.active(27)
    bench.eoi(27)
    assert not bench.virq()
    assert bench.iar() == SPURIOUS
    assert bench.pending(27)
    bench.enable(27)
    assert bench.iar() == 27


@scenario("T77", defects=("D15",))
def test_T77_an_active_level_interrupt_is_no_reason_to_wake(variant: str) -> None:
    bench = Bench(variant)
    bench.spi(33, level=True)
    bench.inject(33)
    bench.enter()
    assert bench.iar() == 33
    bench.exit()
    assert bench.listed() == [33]
    assert bench.pending_check() == bench.column(xen=True, correct=False)


@scenario("T78", defects=("D15",), fixes=("F15",))
def test_T78_the_distributor_and_the_priority_mask_decide_about_waking(variant: str) -> None:
    bench = Bench(variant)
    bench.spi(32, priority=0xA0)
    bench.inject(32)
    assert bench.pending_check()
    bench.gicd_write(CTLR, 0)
    assert not bench.pending_check()
    bench.gicd_write(CTLR, 1)
    assert bench.pending_check()
    bench.enter()
    for mask, wakes in ((0xA8, True), (0xA0, False), (0x00, False)):
        bench.gicc_write(GICC_PMR, mask)
        bench.exit()
        assert bench.pending_check() == bench.column(xen=True, correct=wakes)
        bench.enter()


@scenario("T79", setup="trace, explicit and automatic")
def test_T79_a_pending_interrupt_wakes_whatever_the_core_masks(variant: str) -> None:
    """Nothing that wakes a core knows of PSTATE.I: the kick, the check before sleeping, and the output's level."""
    bench = Bench(variant)
    bench.spi(32)
    assert not bench.pending_check()
    bench.inject(32)
    assert bench.kicks == [0]
    assert bench.pending_check()
    bench.enter()
    assert bench.virq()
    bench = Bench(variant, automatic=True)
    bench.spi(32)
    assert not bench.virq()
    bench.inject(32)
    assert bench.virq()


@scenario("T80", defects=("D13",), columns=("xen",))
def test_T80_active_registers_ignore_writes(variant: str) -> None:
    bench = Bench(variant)
    bench.spi(32)
    bench.spi(33)
    bench.inject(32)
    bench.enter()
    assert bench.iar() == 32
    bench.exit()
    before = bench.snapshot()
    bench.gicd_write(ICACTIVER[1], 0b01)
    bench.gicd_write(ISACTIVER[1], 0b10)
    assert bench.kicks == []
    assert bench.snapshot() == before
    assert bench.gicd_read(ISACTIVER[1]) == 0b01
    assert bench.gicd_read(ICACTIVER[1]) == 0b01


@scenario("T80", defects=("D13",), columns=("correct",))
def test_T80_icactiver_deactivates(variant: str) -> None:
    """The owner's write is a trap, so its list register is folded."""
    bench = Bench(variant)
    bench.spi(32)
    bench.inject(32)
    bench.enter()
    assert bench.iar() == 32
    bench.gicd_write(ICACTIVER[1], 1)
    assert not bench.irq(32).active
    assert all(word >> 28 & 3 == 0 for word in bench.lr_state().lrs)
    bench.eoi(32)
    bench.inject(32)
    bench.answer_kicks()
    assert bench.iar() == 32


@scenario("T80", defects=("D13",), columns=("correct",), setup="trace, explicit; EOImode 0 and 1")
def test_T80_isactiver_makes_an_idle_spi_active_until_its_eoi_or_dir(variant: str) -> None:
    for mode in (1, EOIMODE_1):
        bench = Bench(variant)
        bench.spi(32)
        bench.enter()
        bench.gicc_write(GICC_CTLR, mode)
        bench.gicd_write(ISACTIVER[1], 1, vcpu=1)
        assert bench.kicks == [0]
        assert bench.rerun().lrs[0] == 0x20000020
        (bench.eoi if mode == 1 else bench.dir)(32)
        assert bench.lr() == 0x00000020
        bench.exit()
        assert bench.listed() == []


@scenario("T80", defects=("D13",), columns=("correct",), setup="trace, automatic; the owner inside")
def test_T80_the_other_vcpu_reads_and_writes_the_owners_active_state(variant: str) -> None:
    bench = Bench(variant, automatic=True)
    bench.spi(32)
    bench.inject(32)
    assert bench.iar(0) == 32
    assert bench.active(32, vcpu=1)
    bench.gicd_write(ICACTIVER[1], 1, vcpu=1)
    assert not bench.active(32, vcpu=0)
    bench.eoi(32, 0)
    bench.inject(32)
    assert bench.iar(0) == 32
    bench.eoi(32, 0)
    bench.gicd_write(ISACTIVER[1], 1, vcpu=1)
    assert bench.active(32, vcpu=0)
    bench.inject(32)
    bench.eoi(32, 0)
    assert not bench.active(32, vcpu=1)
    assert bench.iar(0) == 32


@scenario(fixes=("F17",), columns=("correct",), setup="trace, automatic; the owner inside")
@pytest.mark.parametrize("intid", [32, 33, 63, 64])
def test_reading_the_active_state_of_any_spi_folds_its_owner(variant: str, intid: int) -> None:
    """INTID 32 is the first SPI, not the last private interrupt."""
    bench = Bench(variant, automatic=True)
    bench.spi(intid)
    bench.inject(intid)
    assert bench.iar(0) == intid
    assert bench.active(intid, vcpu=1)
    bench.eoi(intid, 0)
    assert not bench.active(intid, vcpu=1)


@scenario(fixes=("F10", "F16"), columns=("correct",), setup="trace, explicit; RESTORE plane")
def test_restoring_an_active_sgi_names_source_0(variant: str) -> None:
    """No vCPU is the requester then; the guest's own ISACTIVER write names the writer."""
    bench = Bench(variant)
    bench.do(op.Write(1, op.Space.GICD, ISACTIVER[0], 4, 1 << 5, op.Plane.RESTORE))
    assert bench.irq(5, 1).active
    assert bench.irq(5, 1).active_source == 0
    bench = Bench(variant)
    bench.gicd_write(ISACTIVER[0], 1 << 5, vcpu=1)
    assert bench.irq(5, 1).active_source == 1
