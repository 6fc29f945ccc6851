"""9.3 Level SPIs and PPIs, and the devices that drive them."""

from __future__ import annotations

from .catalogue import scenario
from .harness import ICFGR, ICPENDR, ISPENDR, SPURIOUS, Bench

XEN_GUEST = "xen-guest, explicit"


def bench_with_level_spi(variant: str, intid: int = 33, *, priority: int = 0xA0, automatic: bool = False) -> Bench:
    bench = Bench(variant, automatic=automatic)
    bench.spi(intid, priority=priority, level=True)
    return bench


@scenario("T22")
def test_T22_only_a_change_of_level_counts(variant: str) -> None:
    bench = bench_with_level_spi(variant)
    bench.inject(33, 1)
    assert bench.kicks == [0]
    assert bench.listed() == [33]
    bench.inject(33, 1)
    assert bench.kicks == []
    assert bench.listed() == [33]
    assert bench.enter().lrs[0] == 0x1A080021


@scenario("T23", fixes=("F3",))
def test_T23_an_active_level_interrupt_with_its_line_high(variant: str) -> None:
    bench = bench_with_level_spi(variant)
    bench.inject(33, 1)
    bench.enter()
    assert bench.iar() == 33
    bench.exit()
    assert bench.irq(33).active == 1
    assert bench.irq(33).line_level == 1
    assert bench.enter().lrs[0] == bench.column(xen=0x3A080021, correct=0x2A080021)


@scenario("T24")
def test_T24_the_eoi_of_a_lowered_level_interrupt_asks_for_maintenance(variant: str) -> None:
    bench = bench_with_level_spi(variant)
    bench.inject(33, 1)
    bench.enter()
    assert bench.iar() == 33
    bench.rerun()
    bench.inject(33, 0)
    assert bench.rerun().lrs[0] == 0x2A080021
    bench.eoi(33)
    state = bench.lr_state()
    assert (state.lrs[0], state.eisr, state.elrsr, state.misr) == (0x0A080021, 0x1, 0xE, 0x1)
    assert bench.maintenance()
    bench.exit()
    assert bench.listed() == []


@scenario("T25", fixes=("F3",))
def test_T25_a_line_still_high_at_the_eoi_is_delivered_again(variant: str) -> None:
    bench = bench_with_level_spi(variant)
    bench.inject(33, 1)
    bench.enter()
    assert bench.iar() == 33
    bench.rerun()
    bench.eoi(33)
    if bench.xen:
        assert bench.lr() == 0x1A080021
    else:
        assert bench.lr() == 0x0A080021
        assert bench.maintenance()
        assert bench.rerun().lrs[0] == 0x1A080021
    assert bench.iar() == 33


@scenario("T25", fixes=("F3",), columns=("correct",), setup="trace, automatic")
def test_T25_the_guest_sees_the_line_until_its_device_lowers_it(variant: str) -> None:
    bench = bench_with_level_spi(variant, automatic=True)
    bench.inject(33, 1)
    for _ in range(2):
        assert bench.virq()
        assert bench.iar() == 33
        assert not bench.virq()
        bench.eoi(33)
    bench.inject(33, 0)
    assert not bench.virq()
    assert bench.iar() == SPURIOUS


@scenario("T26")
def test_T26_a_level_that_falls_before_the_entry_is_not_delivered(variant: str) -> None:
    bench = bench_with_level_spi(variant)
    bench.inject(33, 1)
    bench.inject(33, 0)
    assert not bench.pending(33)
    bench.enter()
    assert bench.iar() == SPURIOUS
    bench.exit()
    assert bench.listed() == []
    assert bench.gicd_read(ISPENDR[1]) == 0


@scenario("T27", defects=("D12",))
def test_T27_a_level_that_falls_while_its_vcpu_runs(variant: str) -> None:
    bench = bench_with_level_spi(variant)
    bench.inject(33, 1)
    bench.enter()
    bench.inject(33, 0)
    assert bench.kicks == bench.column(xen=[], correct=[0])
    bench.answer_kicks()
    assert bench.iar() == bench.column(xen=33, correct=SPURIOUS)


@scenario("T27", defects=("D12",), columns=("correct",), setup="trace, automatic")
def test_T27_the_guest_never_sees_a_level_that_fell(variant: str) -> None:
    bench = bench_with_level_spi(variant, automatic=True)
    bench.inject(33, 1)
    assert bench.virq()
    bench.inject(33, 0)
    assert not bench.virq()
    assert bench.iar() == SPURIOUS


@scenario("T28")
def test_T28_the_line_and_the_latch_are_two_reasons_to_be_pending(variant: str) -> None:
    bench = bench_with_level_spi(variant)
    bench.inject(33, 1)
    bench.gicd_write(ICPENDR[1], 1 << 1)
    assert bench.pending(33)
    bench.inject(33, 0)
    assert not bench.pending(33)
    bench.gicd_write(ISPENDR[1], 1 << 1)
    assert bench.pending(33)
    bench.gicd_write(ICPENDR[1], 1 << 1)
    assert not bench.pending(33)


@scenario("T29", fixes=("F3",))
def test_T29_the_acknowledge_consumes_a_soft_pend(variant: str) -> None:
    bench = bench_with_level_spi(variant, 32)
    bench.gicd_write(ISPENDR[1], 1)
    assert bench.enter().lrs[0] == 0x1A080020
    assert bench.iar() == 32
    bench.exit()
    assert not bench.pending(32)
    assert bench.active(32)


@scenario("T30")
def test_T30_a_soft_pend_while_active_is_a_second_delivery(variant: str) -> None:
    """[R+] shows a level interrupt as active only; the EOI's maintenance exit brings the second delivery."""
    bench = bench_with_level_spi(variant, 32, priority=0)
    bench.gicd_write(ISPENDR[1], 1)
    bench.enter()
    assert bench.iar() == 32
    bench.gicd_write(ISPENDR[1], 1)
    assert bench.lr() == bench.column(xen=0x30080020, correct=0x20080020)
    bench.eoi(32)
    if not bench.xen:
        assert bench.maintenance()
        bench.rerun()
    assert bench.lr() == 0x10080020
    assert bench.iar() == 32


@scenario("T31", defects=("D16",))
def test_T31_a_soft_pend_by_the_other_vcpu_while_the_owner_runs(variant: str) -> None:
    bench = bench_with_level_spi(variant, 32, priority=0)
    bench.gicd_write(ISPENDR[1], 1)
    bench.enter()
    assert bench.iar() == 32
    bench.gicd_write(ISPENDR[1], 1, vcpu=1)
    bench.rerun()
    assert bench.lr() == 0x20080020
    bench.eoi(32)
    bench.rerun()
    assert bench.iar() == bench.column(xen=SPURIOUS, correct=32)


@scenario("T31", defects=("D16",), columns=("correct",), setup="trace, automatic")
def test_T31_the_guest_sees_every_soft_pend_written_after_its_acknowledge(variant: str) -> None:
    bench = bench_with_level_spi(variant, 32, automatic=True)
    bench.gicd_write(ISPENDR[1], 1, vcpu=1)
    assert bench.iar() == 32
    bench.gicd_write(ISPENDR[1], 1, vcpu=1)
    bench.eoi(32)
    assert bench.iar() == 32
    bench.eoi(32)
    assert bench.iar() == SPURIOUS


@scenario("T32")
def test_T32_the_trigger_type_chooses_what_pending_means(variant: str) -> None:
    bench = bench_with_level_spi(variant, 32)
    bench.inject(32, 1)
    bench.gicd_write(ICFGR[2], 0x2)
    assert bench.gicd_read(ISPENDR[1]) == 0
    bench.gicd_write(ICFGR[2], 0x0)
    assert bench.gicd_read(ISPENDR[1]) == 1
