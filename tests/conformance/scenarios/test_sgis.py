"""9.5 SGIs."""

from __future__ import annotations

from vgicd.domain import operations as op
from vgicd.domain.errors import Code

from .catalogue import scenario
from .harness import CPENDSGIR, ICPENDR, ISPENDR, SGIR, SPENDSGIR, SPURIOUS, Bench

WITHOUT_D2 = "trace, explicit; xen without D2, to reach CPENDSGIR and SPENDSGIR"


def sources(bench: Bench, sgi: int) -> list[int]:
    return [bench.irq(sgi, vcpu).source for vcpu in range(bench.domain.config.vcpus)]


@scenario("T45", setup="trace, explicit; 4 vCPUs")
def test_T45_filter_1_reaches_all_but_the_sender(variant: str) -> None:
    bench = Bench(variant, vcpus=4)
    bench.sgi(3, by=2, filter_=1, to=0xFF)
    assert sources(bench, 3) == [4, 4, 0, 4]
    assert bench.kicks == [0, 1, 3]


@scenario("T46", fixes=("X1",), setup="trace, explicit; 4 vCPUs")
def test_T46_filter_2_reaches_the_sender_and_filter_3_nobody(variant: str) -> None:
    bench = Bench(variant, vcpus=4)
    bench.sgi(4, by=2, filter_=2, to=0xFF)
    assert sources(bench, 4) == [0, 0, 0x04, 0]
    assert bench.kicks == [2]
    before = sources(bench, 4), sources(bench, 6)
    bench.sgi(6, by=2, filter_=3, to=0xFF)
    assert bench.kicks == []
    bench.sgi(6, by=2, filter_=0, to=0xF0)
    assert bench.kicks == []
    assert (sources(bench, 4), sources(bench, 6)) == before
    assert bench.gicd_read(SGIR) == 0


@scenario("T47", defects=("D6",), fixes=("F1", "F2"), setup=f"{WITHOUT_D2}; 4 vCPUs")
def test_T47_multi_source_sgi_is_delivered_one_source_at_a_time(variant: str) -> None:
    bench = Bench(variant, vcpus=4, without=("D2",))
    bench.sgi(5, by=1, to=0x01)
    bench.sgi(5, by=3, to=0x01)
    assert bench.gicd_read(CPENDSGIR[1]) == 0x00000A00
    entry = bench.enter()
    assert entry.used == 1
    assert entry.lrs[0] == bench.column(xen=0x10000405, correct=0x10080405)
    assert bench.irq(5).source == 0x08
    assert bench.irq(5).pending_latch == 1
    assert bench.iar() == 0x405
    bench.eoi(0x405)
    if bench.xen:
        assert bench.lr() == 0x00000405
        assert bench.misr() == 0
    else:
        assert bench.lr_state().eisr == 1
        assert bench.maintenance()
    assert bench.rerun().lrs[0] == 0x10000C05
    assert bench.iar() == 0xC05


@scenario("T47", defects=("D6",), fixes=("F1", "F2"), columns=("correct",), setup="trace, automatic; 4 vCPUs")
def test_T47_the_guest_takes_each_source_in_turn(variant: str) -> None:
    bench = Bench(variant, vcpus=4, automatic=True)
    bench.sgi(5, by=1, to=0x01)
    bench.sgi(5, by=3, to=0x01)
    assert bench.gicd_read(CPENDSGIR[1]) == 0x00000A00
    for source in (0x405, 0xC05):
        assert bench.virq()
        assert bench.iar() == source
        bench.eoi(source)
    assert not bench.virq()
    assert bench.iar() == SPURIOUS


@scenario("T48", defects=("D5",), fixes=("F2",), setup="trace, explicit; 4 vCPUs, eoi_compares_source")
def test_T48_an_active_sgi_keeps_its_sender_over_the_world_switch(variant: str) -> None:
    bench = Bench(variant, vcpus=4, eoi_compares_source=True)
    bench.sgi(5, by=3, to=0x01)
    bench.enter()
    assert bench.iar() == 0xC05
    assert bench.rerun().lrs[0] == bench.column(xen=0x20000005, correct=0x20000C05)
    bench.eoi(0xC05)
    if bench.xen:
        assert bench.lr() == 0x20000005
        assert bench.hcr() == 0x08000001
    else:
        assert bench.lr() == 0x00000C05
        assert bench.hcr() == 0x61


@scenario("T48", defects=("D5",), fixes=("F2",), setup="trace, explicit; 4 vCPUs, EOI by INTID only")
def test_T48_where_the_hardware_ignores_the_sender_the_eoi_matches_all_the_same(variant: str) -> None:
    bench = Bench(variant, vcpus=4)
    bench.sgi(5, by=3, to=0x01)
    bench.enter()
    assert bench.iar() == 0xC05
    bench.rerun()
    bench.eoi(0xC05)
    assert bench.lr() == bench.column(xen=0x00000005, correct=0x00000C05)
    assert bench.hcr() >> 27 == 0


@scenario("T49", defects=("D5",), fixes=("F2",), setup="trace, explicit; 4 vCPUs")
def test_T49_an_sgi_from_another_sender_waits_for_the_active_one(variant: str) -> None:
    bench = Bench(variant, vcpus=4)
    bench.sgi(5, by=1, to=0x01)
    bench.enter()
    assert bench.iar() == 0x405
    bench.sgi(5, by=2, to=0x01)
    bench.rerun()
    if bench.xen:
        assert bench.lr() == 0x30000805
        return
    assert bench.lr() == 0x20080405
    assert bench.irq(5).source == 0x04
    bench.eoi(0x405)
    assert bench.maintenance()
    assert bench.rerun().lrs[0] == 0x10000805
    assert bench.iar() == 0x805


@scenario(
    "T49", defects=("D5",), fixes=("F2",), columns=("correct",), setup="trace, automatic; 4 vCPUs, both EOI matches"
)
def test_T49_the_guest_takes_the_second_sender_after_the_first(variant: str) -> None:
    for compares in (False, True):
        bench = Bench(variant, vcpus=4, automatic=True, eoi_compares_source=compares)
        bench.sgi(5, by=1, to=0x01)
        assert bench.iar() == 0x405
        bench.sgi(5, by=2, to=0x01)
        assert not bench.virq()
        assert bench.iar() == SPURIOUS
        bench.eoi(0x405)
        assert bench.virq()
        assert bench.iar() == 0x805
        bench.eoi(0x805)
        assert not bench.active(5)


@scenario("T50", setup=WITHOUT_D2)
def test_T50_sources_are_set_and_cleared_one_by_one(variant: str) -> None:
    bench = Bench(variant, without=("D2",))
    bench.gicd_write(SPENDSGIR.byte(5), 0x06, size=1)
    assert bench.gicd_read(CPENDSGIR[1]) == 0x00000600
    assert bench.gicd_read(SPENDSGIR[1]) == 0x00000600
    assert bench.gicd_read(ISPENDR[0]) == 0x20
    bench.gicd_write(CPENDSGIR.byte(5), 0x02, size=1)
    assert bench.gicd_read(CPENDSGIR[1]) == 0x00000400
    assert bench.gicd_read(ISPENDR[0]) == 0x20
    bench.gicd_write(CPENDSGIR.byte(5), 0xFF, size=1)
    assert bench.gicd_read(CPENDSGIR[1]) == 0
    assert bench.gicd_read(ISPENDR[0]) == 0


@scenario(defects=("D2",), columns=("xen",), setup="trace, explicit; D2 left in")
def test_the_wrong_sgi_number_of_the_sgi_pending_registers_is_fatal(variant: str) -> None:
    """Xen derives SGI 784 and more from the offset, which its debug builds assert against."""
    bench = Bench(variant)
    for access in (
        op.Read(0, op.Space.GICD, CPENDSGIR[0], 4),
        op.Write(0, op.Space.GICD, SPENDSGIR.byte(5), 1, 0x06),
        op.Write(0, op.Space.GICD, CPENDSGIR[3], 4, 0),
    ):
        with bench.refused(Code.FATAL_ASSERTION) as caught:
            bench.do(access)
        assert "(D2)" in caught.value.text


@scenario("T51", setup="trace, explicit; 1 vCPU; xen without D2")
def test_T51_sources_are_not_limited_to_existing_vcpus(variant: str) -> None:
    bench = Bench(variant, vcpus=1, without=("D2",))
    bench.gicd_write(SPENDSGIR.byte(2), 0x80, size=1)
    assert bench.enter().lrs[0] == 0x10001C02
    assert bench.iar() == 0x1C02


@scenario("T52", defects=("D3",), fixes=("F13",))
def test_T52_setting_an_sgi_pending_without_a_sender(variant: str) -> None:
    """[X] accepts the write and stops at the entry that should load it."""
    bench = Bench(variant)
    before = bench.snapshot()
    bench.gicd_write(ISPENDR[0], 0x1)
    if bench.xen:
        with bench.refused(Code.FATAL_ASSERTION):
            bench.enter()
    else:
        assert bench.snapshot() == before
        assert bench.kicks == []


@scenario("T52", defects=("D3",), fixes=("F13",), columns=("correct",))
def test_T52_clearing_an_sgi_by_icpendr_has_no_effect(variant: str) -> None:
    bench = Bench(variant)
    bench.sgi(5, by=1, to=0x01)
    bench.gicd_write(ICPENDR[0], 0x20)
    assert bench.irq(5).source == 0x02
    assert bench.pending(5)
    bench.enter()
    assert bench.iar() == 0x405


@scenario(defects=("D3",), columns=("xen",))
def test_clearing_an_sgi_by_icpendr_leaves_its_senders_behind(variant: str) -> None:
    """The next SGI from another CPU then delivers the old one first."""
    bench = Bench(variant, without=("D2",))
    bench.sgi(5, by=1, to=0x01)
    bench.gicd_write(ICPENDR[0], 0x20)
    assert not bench.pending(5)
    assert bench.gicd_read(CPENDSGIR[1]) == 0x00000200
    bench.sgi(5, by=0, to=0x01)
    bench.enter()
    assert bench.iar() == 0x005
    bench.rerun()
    bench.eoi(0x005)
    bench.rerun()
    assert bench.iar() == 0x405


@scenario("T53", defects=("D4",))
def test_T53_an_sgi_injected_like_a_line(variant: str) -> None:
    """No device of a guest can do this, so the injection is called by itself, as Xen's firmware notifications do."""
    bench = Bench(variant)
    vgic = bench.domain.vgic
    assert vgic.inject(vgic.vcpus[1], 8, True) == 0
    if bench.xen:
        with bench.refused(Code.FATAL_ASSERTION):
            bench.enter(1)
    else:
        assert bench.enter(1).lrs[0] == 0x10000408
        assert bench.iar(1) == 0x408


@scenario("T54", setup=WITHOUT_D2)
def test_T54_sgis_are_banked(variant: str) -> None:
    bench = Bench(variant, without=("D2",))
    bench.sgi(1, by=1, to=0x01)
    assert bench.gicd_read(ISPENDR[0], vcpu=0) == 0x2
    assert bench.gicd_read(CPENDSGIR[0], vcpu=0) == 0x0200
    assert bench.gicd_read(ISPENDR[0], vcpu=1) == 0
    assert bench.gicd_read(CPENDSGIR[0], vcpu=1) == 0


@scenario(fixes=("X1",), setup="trace, explicit; 1..8 vCPUs")
def test_sgir_reaches_existing_vcpus_only(variant: str) -> None:
    """Every list, by filter 0 and by the reserved filter 3."""
    for vcpus in range(1, 9):
        bench = Bench(variant, vcpus=vcpus)
        for targets in range(256):
            bench.sgi(7, by=0, to=targets)
            assert bench.kicks == [vcpu for vcpu in range(vcpus) if targets >> vcpu & 1]
            bench.sgi(7, by=0, to=targets, filter_=3)
            assert bench.kicks == []
