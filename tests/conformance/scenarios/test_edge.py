"""9.2 Edge SPIs."""

from __future__ import annotations

from .catalogue import scenario
from .harness import CTLR, GICC_RPR, ICPENDR, ISPENDR, SPURIOUS, Bench

SPI32 = 0x1A000020  # pending, priority 0xA0


def bench_with_spi_32(variant: str, *, automatic: bool = False) -> Bench:
    bench = Bench(variant, automatic=automatic)
    bench.spi(32, priority=0xA0)
    return bench


@scenario("T14", fixes=("F17",))
def test_T14_an_injected_edge_moves_from_the_latch_into_a_list_register(variant: str) -> None:
    """[R] folds the owner before the other vCPU's read; with the world switch in the test's hand, the test does."""
    bench = bench_with_spi_32(variant)
    bench.inject(32)
    assert bench.kicks == [0]
    entry = bench.enter()
    assert entry.lrs[0] == SPI32
    assert entry.hcr == bench.column(xen=0x1, correct=0x61)
    assert entry.used == 1
    assert bench.irq(32).pending_latch == 0
    if not bench.xen:
        bench.exit()
    assert bench.gicd_read(ISPENDR[1], vcpu=1) == bench.column(xen=0, correct=1)


@scenario("T14", fixes=("F17",), columns=("correct",), setup="trace, automatic")
def test_T14_the_other_vcpu_reads_what_the_list_register_holds(variant: str) -> None:
    bench = bench_with_spi_32(variant, automatic=True)
    bench.inject(32)
    assert bench.gicd_read(ISPENDR[1], vcpu=1) == 1
    assert bench.iar() == 32
    assert bench.gicd_read(ISPENDR[1], vcpu=1) == 0
    assert bench.active(32, vcpu=1)
    bench.eoi(32)
    assert not bench.active(32, vcpu=1)


@scenario("T15")
def test_T15_acknowledging_makes_it_active_and_raises_the_running_priority(variant: str) -> None:
    bench = bench_with_spi_32(variant)
    bench.inject(32)
    bench.enter()
    assert bench.iar() == 0x20
    assert bench.lr() == 0x2A000020
    assert bench.lr_state().apr == 0x00100000
    assert bench.gicc_read(GICC_RPR) == 0xA0
    assert bench.iar() == SPURIOUS


@scenario("T16")
def test_T16_an_edge_while_active_is_a_second_delivery_after_the_eoi(variant: str) -> None:
    bench = bench_with_spi_32(variant)
    bench.inject(32)
    bench.enter()
    assert bench.iar() == 0x20
    bench.inject(32)
    assert bench.rerun().lrs[0] == 0x3A000020
    bench.eoi(0x20)
    assert bench.lr() == SPI32
    assert bench.lr_state().apr == 0
    assert bench.iar() == 0x20
    bench.eoi(0x20)
    assert bench.lr() == 0x0A000020
    assert bench.lr_state().elrsr == 0xF
    assert bench.lr_state().eisr == 0
    assert bench.exit().hcr == 0
    assert bench.listed() == []


@scenario("T17")
def test_T17_edges_before_the_acknowledge_merge_and_a_falling_edge_is_nothing(variant: str) -> None:
    bench = bench_with_spi_32(variant)
    bench.inject(32, 0)
    assert bench.kicks == []
    assert bench.listed() == []
    assert not bench.pending(32)
    bench.inject(32)
    bench.inject(32)
    bench.inject(32, 0)
    assert bench.kicks == []
    assert bench.listed() == [32]
    bench.enter()
    assert bench.iar() == 32
    bench.eoi(32)
    bench.rerun()
    assert bench.iar() == SPURIOUS


@scenario("T18")
def test_T18_an_edge_while_pending_in_a_running_list_register_kicks_and_merges(variant: str) -> None:
    bench = bench_with_spi_32(variant)
    bench.inject(32)
    bench.enter()
    bench.inject(32)
    assert bench.kicks == [0]
    assert bench.listed() == [32]
    assert bench.rerun().lrs[0] == SPI32
    assert bench.iar() == 32
    bench.eoi(32)
    bench.rerun()
    assert bench.iar() == SPURIOUS


@scenario("T19")
def test_T19_an_edge_after_an_unseen_eoi_is_delivered_again(variant: str) -> None:
    bench = bench_with_spi_32(variant)
    bench.inject(32)
    bench.enter()
    assert bench.iar() == 32
    bench.eoi(32)
    bench.inject(32)
    assert bench.kicks == [0]
    assert bench.exit().lrs[0] == 0x0A000020
    assert bench.irq(32).pending_latch == 1
    assert bench.listed() == [32]
    assert bench.enter().lrs[0] == SPI32
    assert bench.iar() == 32


@scenario("T20")
def test_T20_ispendr_is_an_injection_and_icpendr_takes_it_back(variant: str) -> None:
    bench = bench_with_spi_32(variant)
    bench.gicd_write(ISPENDR[1], 1)
    assert bench.kicks == [0]
    assert bench.listed() == [32]
    bench.gicd_write(ICPENDR[1], 1)
    bench.enter()
    assert bench.iar() == SPURIOUS
    bench.exit()
    assert bench.listed() == []
    bench.gicd_write(ISPENDR[1], 1)
    assert bench.enter().lrs[0] == SPI32
    assert bench.iar() == 32


@scenario("T21")
def test_T21_disabling_keeps_the_pending_state_for_the_next_enable(variant: str) -> None:
    bench = bench_with_spi_32(variant)
    bench.inject(32)
    bench.disable(32)
    assert bench.kicks == bench.column(xen=[], correct=[0])
    bench.enter()
    assert bench.iar() == SPURIOUS
    bench.exit()
    assert bench.listed() == []
    assert bench.irq(32).pending_latch == 1
    assert bench.gicd_read(ISPENDR[1]) == 1
    bench.enable(32)
    assert bench.kicks == [0]
    assert bench.enter().lrs[0] == SPI32
    assert bench.iar() == 32


@scenario(defects=("D12",), setup="trace, explicit")
def test_disabling_what_a_running_vcpu_holds_kicks_it(variant: str) -> None:
    """[X] leaves the disabled interrupt acknowledgeable until the vCPU exits for another reason."""
    bench = bench_with_spi_32(variant)
    bench.inject(32)
    bench.enter()
    bench.disable(32, vcpu=1)
    assert bench.kicks == bench.column(xen=[], correct=[0])
    bench.answer_kicks()
    assert bench.iar() == bench.column(xen=32, correct=SPURIOUS)


@scenario(defects=("D12",), setup="trace, explicit")
def test_switching_the_distributor_off_kicks_every_vcpu_with_a_list(variant: str) -> None:
    bench = bench_with_spi_32(variant)
    bench.inject(32)
    bench.enter()
    bench.gicd_write(CTLR, 0, vcpu=1)
    assert bench.kicks == bench.column(xen=[], correct=[0])
    bench.answer_kicks()
    assert bench.iar() == bench.column(xen=32, correct=SPURIOUS)
