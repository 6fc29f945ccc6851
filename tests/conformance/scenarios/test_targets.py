"""9.4 Targets, migration, distributor enable."""

from __future__ import annotations

from .catalogue import scenario
from .harness import CTLR, ISPENDR, ITARGETSR, SPURIOUS, Bench


def retarget(bench: Bench, intid: int, mask: int, *, vcpu: int = 0) -> None:
    bench.gicd_write(ITARGETSR.byte(intid), mask, size=1, vcpu=vcpu)


@scenario("T36", defects=("D11",), fixes=("F4",))
def test_T36_a_pending_spi_moves_when_its_holder_exits(variant: str) -> None:
    """SPI 40 is already on vCPU 1's list, so that the tail shows."""
    bench = Bench(variant)
    bench.spi(32)
    bench.spi(40, target=0x02)
    bench.inject(40)
    bench.inject(32)
    bench.enter(0)
    retarget(bench, 32, 0x02, vcpu=1)
    assert bench.listed(0) == [32]
    assert bench.kicks == bench.column(xen=[], correct=[0])
    bench.exit(0)
    assert bench.listed(0) == []
    assert bench.listed(1) == [40, 32]
    assert bench.kicks == bench.column(xen=[], correct=[1])
    assert bench.enter(1).lrs == (0x10000028, 0x10000020, 0, 0)


@scenario("T36", defects=("D11",), fixes=("F4",), columns=("correct",), setup="trace, automatic")
def test_T36_the_guest_takes_a_retargeted_spi_on_its_new_vcpu_alone(variant: str) -> None:
    bench = Bench(variant, automatic=True)
    bench.spi(32)
    bench.inject(32)
    assert (bench.virq(0), bench.virq(1)) == (True, False)
    retarget(bench, 32, 0x02, vcpu=1)
    assert (bench.virq(0), bench.virq(1)) == (False, True)
    assert bench.iar(0) == SPURIOUS
    assert bench.iar(1) == 32


@scenario("T37")
def test_T37_an_active_spi_stays_until_it_is_deactivated(variant: str) -> None:
    bench = Bench(variant)
    bench.spi(32)
    bench.inject(32)
    bench.enter(0)
    assert bench.iar(0) == 32
    retarget(bench, 32, 0x02, vcpu=0)
    bench.inject(32)
    assert bench.rerun(0).lrs[0] == 0x30000020
    assert bench.listed(0) == [32]
    bench.eoi(32, 0)
    bench.exit(0)
    assert bench.listed(0) == []
    assert bench.listed(1) == [32]
    assert bench.enter(1).lrs[0] == 0x10000020


@scenario("T38", defects=("D11",))
def test_T38_an_injection_kicks_the_new_target_and_should_kick_the_holder(variant: str) -> None:
    bench = Bench(variant)
    bench.spi(32)
    bench.inject(32)
    bench.enter(0)
    retarget(bench, 32, 0x02, vcpu=1)
    bench.inject(32)
    assert sorted(bench.kicks) == bench.column(xen=[1], correct=[0, 1])
    assert bench.listed(0) == [32]


@scenario("T39")
def test_T39_without_a_target_a_pending_spi_waits_for_the_next_queueing(variant: str) -> None:
    """The trigger here: the target returns and the line is pulsed once more."""
    bench = Bench(variant)
    bench.spi(32)
    bench.inject(32)
    retarget(bench, 32, 0x00)
    bench.enter()
    assert bench.iar() == SPURIOUS
    bench.exit()
    assert bench.listed(0) == bench.listed(1) == []
    assert bench.gicd_read(ISPENDR[1]) == 1
    bench.enter()
    assert bench.iar() == SPURIOUS
    retarget(bench, 32, 0x01, vcpu=1)
    bench.inject(32)
    bench.answer_kicks()
    assert bench.iar() == 32


@scenario("T40", defects=("D9",))
def test_T40_assigning_a_target_to_a_pending_spi(variant: str) -> None:
    bench = Bench(variant)
    bench.spi(32, target=0)
    bench.inject(32)
    assert bench.kicks == []
    assert bench.listed(0) == bench.listed(1) == []
    retarget(bench, 32, 0x01)
    assert bench.listed(0) == bench.column(xen=[], correct=[32])
    assert bench.kicks == bench.column(xen=[], correct=[0])
    assert bench.gicd_read(ISPENDR[1]) == 1
    bench.enter()
    assert bench.iar() == bench.column(xen=SPURIOUS, correct=32)


@scenario("T41", defects=("D10",))
def test_T41_enabling_the_distributor_with_an_interrupt_pending(variant: str) -> None:
    bench = Bench(variant, distributor=False)
    bench.spi(32)
    bench.inject(32)
    assert bench.kicks == []
    assert bench.listed() == []
    bench.gicd_write(CTLR, 1)
    assert set(bench.kicks) == bench.column(xen=set(), correct={0})
    assert bench.pending(32)
    bench.enter()
    assert bench.iar() == bench.column(xen=SPURIOUS, correct=32)


@scenario("T41b", defects=("D10",))
def test_T41b_a_distributor_toggle_by_the_owner(variant: str) -> None:
    bench = Bench(variant)
    bench.spi(32)
    bench.inject(32)
    bench.enter()
    bench.gicd_write(CTLR, 0)
    bench.gicd_write(CTLR, 1)
    assert bench.listed() == bench.column(xen=[], correct=[32])
    if bench.xen:
        assert bench.pending(32)
    assert bench.iar() == bench.column(xen=SPURIOUS, correct=32)


@scenario("T41b", defects=("D10",), columns=("correct",), setup="trace, automatic")
def test_T41b_the_guest_loses_nothing_by_a_toggle(variant: str) -> None:
    bench = Bench(variant, automatic=True)
    bench.spi(32)
    bench.inject(32)
    bench.gicd_write(CTLR, 0)
    assert not bench.virq()
    assert bench.pending(32)
    bench.gicd_write(CTLR, 1)
    assert bench.virq()
    assert bench.iar() == 32


@scenario(defects=("D10",), columns=("correct",), setup="trace, automatic")
def test_an_edge_withheld_by_a_toggle_is_delivered_after_its_eoi(variant: str) -> None:
    """The active instance keeps it listed, so that enabling has nothing to queue, but its holder must reload it."""
    bench = Bench(variant, automatic=True)
    bench.spi(32)
    bench.inject(32)
    assert bench.iar() == 32
    bench.inject(32)
    bench.gicd_write(CTLR, 0, vcpu=1)
    bench.gicd_write(CTLR, 1, vcpu=1)
    bench.eoi(32)
    assert bench.virq()
    assert bench.iar() == 32


@scenario("T42")
def test_T42_a_pending_list_register_outlives_the_distributor_until_the_exit(variant: str) -> None:
    """The kick of [R] is left unanswered: that is the time between the write and the exit."""
    bench = Bench(variant)
    bench.spi(32)
    bench.inject(32)
    bench.enter()
    bench.gicd_write(CTLR, 0, vcpu=1)
    assert bench.lr() == 0x10000020
    assert bench.virq()
    bench.exit()
    assert bench.listed() == []


@scenario("T42")
def test_T42_an_active_spi_outlives_the_distributor_until_its_eoi(variant: str) -> None:
    bench = Bench(variant)
    bench.spi(32)
    bench.inject(32)
    bench.enter()
    assert bench.iar() == 32
    bench.gicd_write(CTLR, 0, vcpu=1)
    assert bench.rerun().lrs[0] == 0x20000020
    assert bench.listed() == [32]
    bench.eoi(32)
    assert bench.lr() == 0x00000020
    bench.exit()
    assert bench.listed() == []


@scenario("T43")
def test_T43_enabling_the_distributor_kicks_who_has_something_pending(variant: str) -> None:
    bench = Bench(variant)
    bench.spi(40, target=0x02)
    bench.inject(40)
    bench.gicd_write(CTLR, 0)
    assert bench.listed(1) == [40]
    bench.gicd_write(CTLR, 1)
    assert set(bench.kicks) == {1}
    bench.gicd_write(CTLR, 1)
    assert bench.kicks == []


@scenario("T44", setup="trace, explicit; 4 vCPUs")
def test_T44_one_target_is_chosen_and_all_are_read_back(variant: str) -> None:
    bench = Bench(variant, vcpus=4)
    bench.spi(32, target=0x06)
    bench.inject(32)
    assert bench.kicks == [1]
    assert [bench.listed(vcpu) for vcpu in range(4)] == [[], [32], [], []]
    assert bench.gicd_read(ITARGETSR.byte(32), size=1) == 0x06


@scenario(fixes=("F4",), columns=("correct",), setup="trace, automatic; 1 vCPU")
def test_with_one_cpu_an_spi_without_a_target_goes_to_it(variant: str) -> None:
    """Programs for one CPU never write ITARGETSR, which the architecture makes RAZ/WI there."""
    bench = Bench(variant, vcpus=1, automatic=True)
    bench.enable(32)
    bench.inject(32)
    assert bench.iar() == 32
    assert bench.gicd_read(ITARGETSR[8]) == 0
