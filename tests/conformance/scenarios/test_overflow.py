"""9.6 Priorities, list register overflow, maintenance. (T62 to T64 are the CPU interface's: test_cpu_interface.py.)"""

from __future__ import annotations

from vgicd.domain import operations as op

from .catalogue import scenario
from .harness import EOIMODE_1, GICC_CTLR, GICC_PMR, IGROUPR, IPRIORITYR, ISACTIVER, SPURIOUS, Bench

SIX = range(32, 38)


@scenario("T55")
def test_T55_what_fits_keeps_its_order_of_arrival(variant: str) -> None:
    bench = Bench(variant)
    for intid, priority in ((32, 0xF0), (33, 0x10), (34, 0x80)):
        bench.spi(intid, priority=priority)
        bench.inject(intid)
    assert [word & 0x3FF for word in bench.enter().lrs[:3]] == [32, 33, 34]
    assert bench.iar() == 33


def six_of_descending_priority_value(variant: str) -> Bench:
    bench = Bench(variant)
    for place, intid in enumerate(SIX):
        bench.spi(intid, priority=0xF0 - 0x10 * place)
        bench.inject(intid)
    return bench


@scenario("T56", fixes=("F22",))
def test_T56_overflow_sorts_and_asks_for_underflow(variant: str) -> None:
    bench = six_of_descending_priority_value(variant)
    entry = bench.enter()
    assert entry.lrs == (0x1A000025, 0x1B000024, 0x1C000023, 0x1D000022)
    assert entry.hcr == bench.column(xen=0x3, correct=0x6B)


@scenario("T57")
def test_T57_underflow_brings_the_rest(variant: str) -> None:
    bench = six_of_descending_priority_value(variant)
    bench.enter()
    assert bench.iar() == 37
    assert bench.iar() == SPURIOUS
    bench.eoi(37)
    for intid in (36, 35):
        assert bench.misr() == 0
        assert bench.iar() == intid
        bench.eoi(intid)
    assert bench.misr() == 0x02
    assert bench.maintenance()
    assert bench.rerun().lrs == (0x1D000022, 0x1E000021, 0x1F000020, 0)


@scenario("T58", fixes=("F22",))
def test_T58_as_many_as_fit_are_neither_sorted_nor_short(variant: str) -> None:
    bench = Bench(variant)
    for place, intid in enumerate(range(32, 36)):
        bench.spi(intid, priority=0xF0 - 0x10 * place)
        bench.inject(intid)
    entry = bench.enter()
    assert [word & 0x3FF for word in entry.lrs] == [32, 33, 34, 35]
    assert entry.hcr == bench.column(xen=0x1, correct=0x61)


@scenario("T58", fixes=("F22",))
def test_T58_a_fifth_that_cannot_be_delivered(variant: str) -> None:
    """[X] sorts and asks for underflow; in `correct` what cannot be delivered is left out of the count (spec 4.8)."""
    bench = Bench(variant)
    for place, intid in enumerate(range(32, 37)):
        bench.spi(intid, priority=0xF0 - 0x10 * place)
        bench.inject(intid)
    bench.disable(36)
    assert bench.listed() == [32, 33, 34, 35, 36]
    entry = bench.enter()
    assert [word & 0x3FF for word in entry.lrs] == [35, 34, 33, 32]
    assert bench.listed() == [35, 34, 33, 32, 36]
    assert entry.hcr == bench.column(xen=0x3, correct=0x61)


@scenario("T59")
def test_T59_equal_priorities_keep_their_order_of_arrival(variant: str) -> None:
    bench = Bench(variant)
    order = [37, 35, 33, 32, 34, 36]
    for intid in SIX:
        bench.spi(intid)
    for intid in order:
        bench.inject(intid)
    assert [word & 0x3FF for word in bench.enter().lrs] == order[:4]
    assert bench.listed() == order


def active_32_then_33_and_34(variant: str, *, automatic: bool = False) -> Bench:
    """The scenario leaves 34's priority open; that 33 precedes it makes it lower: 0xA0, as that of 32."""
    bench = Bench(variant, lrs=2, automatic=automatic)
    for intid, priority in ((32, 0xA0), (33, 0x10), (34, 0xA0)):
        bench.spi(intid, priority=priority)
    bench.inject(32)
    if not automatic:
        bench.enter()
    assert bench.iar() == 32
    bench.inject(33)
    bench.inject(34)
    return bench


@scenario("T60", defects=("D14",), fixes=("F22", "F23"), setup="trace, explicit; 2 list registers")
def test_T60_an_active_interrupt_without_a_list_register(variant: str) -> None:
    """To end 32 its handler must first end 33, which preempted it: EOICount then counts the miss of 32 alone."""
    bench = active_32_then_33_and_34(variant)
    entry = bench.rerun()
    if bench.xen:
        assert entry.lrs == (0x2A000020, 0x11000021)
        assert entry.hcr == 0x3
        return
    assert entry.lrs == (0x11000021, 0x1A000022)
    assert bench.listed() == [33, 34, 32]
    assert entry.hcr == 0x67
    assert bench.iar() == 33
    bench.eoi(33)
    bench.eoi(32)
    assert bench.hcr() == 0x08000067
    assert bench.misr() & 0x04
    assert bench.maintenance()
    bench.exit()
    assert not bench.irq(32).active
    assert bench.listed() == [34]


@scenario(
    "T60", defects=("D14",), fixes=("F22", "F23"), columns=("correct",), setup="trace, automatic; 2 list registers"
)
def test_T60_the_guest_nests_beyond_the_list_registers(variant: str) -> None:
    bench = active_32_then_33_and_34(variant, automatic=True)
    assert bench.iar() == 33
    assert bench.gicd_read(ISACTIVER[1], vcpu=1) == 0b011
    bench.eoi(33)
    assert bench.iar() == SPURIOUS
    bench.eoi(32)
    assert bench.gicd_read(ISACTIVER[1], vcpu=1) == 0
    assert bench.iar() == 34
    bench.eoi(34)
    assert not bench.virq()


def four_active_and_a_fifth(variant: str, *, automatic: bool = False) -> Bench:
    """EOImode 1, equal priorities: 32 to 35 are acknowledged and dropped, 36 arrives."""
    bench = Bench(variant, automatic=automatic)
    if not automatic:
        bench.enter()
    bench.gicc_write(GICC_CTLR, EOIMODE_1)
    for intid in range(32, 37):
        bench.spi(intid)
    for intid in range(32, 36):
        bench.inject(intid)
        if not automatic:
            bench.rerun()
        assert bench.iar() == intid
        bench.eoi(intid)
    bench.inject(36)
    if not automatic:
        bench.rerun()
    return bench


@scenario("T61", defects=("D14",), fixes=("F22", "F23"))
def test_T61_five_active_interrupts_in_four_list_registers(variant: str) -> None:
    """[X] never loads a fifth while four are active, so its list register is written over with LR_SET."""
    bench = four_active_and_a_fifth(variant)
    if bench.xen:
        assert [word & 0x3FF for word in bench.lr_state().lrs] == [32, 33, 34, 35]
        bench.do(op.LrSet(0, 3, 0x20000024))
        entry = bench.rerun()
        assert [word & 0x3FF for word in entry.lrs] == [32, 33, 34, 35]
        bench.dir(36)
        assert bench.hcr() == 0x08000003
    else:
        assert bench.iar() == 36
        bench.eoi(36)
        assert bench.listed() == [36, 32, 33, 34, 35]
        bench.dir(35)
        assert bench.hcr() >> 27 == 0
    outside = 36 if bench.xen else 35
    for intid in {32, 33, 34, 35, 36} - {outside}:
        bench.dir(intid)
    bench.exit()
    assert [intid for intid in range(32, 37) if bench.irq(intid).active] == ([36] if bench.xen else [])


@scenario("T61", defects=("D14",), fixes=("F22", "F23"), columns=("correct",), setup="trace, automatic")
def test_T61_the_guest_deactivates_in_any_order_what_it_acknowledged(variant: str) -> None:
    for order in ((32, 33, 34, 35, 36), (36, 35, 34, 33, 32), (35, 32, 36, 34, 33)):
        bench = four_active_and_a_fifth(variant, automatic=True)
        assert bench.iar() == 36
        bench.eoi(36)
        left = 0b11111
        assert bench.gicd_read(ISACTIVER[1], vcpu=1) == left
        for intid in order:
            bench.dir(intid)
            left &= ~(1 << intid - 32)
            assert bench.gicd_read(ISACTIVER[1], vcpu=1) == left


@scenario("T61", fixes=("F22",), columns=("correct",), setup="trace, automatic")
def test_T61_another_vcpu_may_deactivate_an_spi(variant: str) -> None:
    """Its DIR misses its own list registers, is trapped, and finds the holder's."""
    bench = Bench(variant, automatic=True)
    for vcpu in (0, 1):
        bench.gicc_write(GICC_CTLR, EOIMODE_1, vcpu=vcpu)
    bench.spi(32)
    bench.inject(32)
    assert bench.iar(0) == 32
    bench.eoi(32, 0)
    bench.dir(32, 1)
    assert not bench.active(32)
    assert bench.hcr(1) >> 27 == 0
    bench.inject(32)
    assert bench.iar(0) == 32


@scenario(fixes=("F23",), columns=("correct",), setup="trace, explicit; 2 list registers")
def test_a_late_replay_of_an_eoi_spares_what_got_a_list_register(variant: str) -> None:
    """The guest takes 34 before the maintenance interrupt for the EOI of 32 arrives; 34 precedes 32 in the list."""
    bench = active_32_then_33_and_34(variant)
    bench.rerun()
    assert bench.iar() == 33
    bench.eoi(33)
    bench.eoi(32)
    assert bench.iar() == 34
    bench.exit()
    assert bench.irq(34).active
    assert not bench.irq(32).active
    assert bench.listed() == [34]


@scenario(fixes=("F23",), columns=("correct",), setup="trace, automatic; 1 list register")
def test_the_replay_of_an_eoi_finds_a_disabled_interrupt(variant: str) -> None:
    """Three nested, the highest disabled while active: its EOI is the first, whatever cannot be delivered any more."""
    bench = Bench(variant, lrs=1, automatic=True)
    for intid, priority in ((32, 0x60), (34, 0x48), (33, 0x30)):
        bench.spi(intid, priority=priority)
        bench.inject(intid)
        assert bench.iar() == intid
    bench.disable(33)
    bench.eoi(33)
    assert bench.gicd_read(ISACTIVER[1]) == 0b101
    bench.eoi(34)
    assert bench.gicd_read(ISACTIVER[1]) == 0b001


@scenario(fixes=("F22",), columns=("correct",), setup="trace, automatic; 2 list registers")
def test_a_group_that_the_guest_switches_on_gets_list_registers(variant: str) -> None:
    """Group 1 is off, so its interrupt waits behind two of group 0; enabling it sorts anew."""
    bench = Bench(variant, lrs=2, automatic=True)
    for intid, priority in ((32, 0x80), (33, 0x90), (34, 0x10)):
        bench.spi(intid, priority=priority)
    bench.gicd_write(IGROUPR[1], 1 << 2)
    for intid in (34, 32, 33):
        bench.inject(intid)
    assert bench.iar() == 32
    bench.eoi(32)
    bench.gicc_write(GICC_CTLR, 0x7)
    assert bench.iar() == 34
    bench.eoi(34)
    assert bench.iar() == 33


@scenario("T65", setup="trace, explicit")
def test_T65_a_loaded_list_register_keeps_its_priority_until_the_next_entry(variant: str) -> None:
    """Only the distributor can change a priority, so the bare silicon has no such scenario."""
    bench = Bench(variant)
    bench.spi(32, priority=0xA0)
    bench.inject(32)
    bench.enter()
    bench.gicd_write(IPRIORITYR.byte(32), 0x80, size=1, vcpu=1)
    assert bench.lr() == 0x1A000020
    assert bench.kicks == bench.column(xen=[], correct=[0])
    assert bench.rerun().lrs[0] == 0x18000020


@scenario(fixes=("F22", "F15"), columns=("correct",), setup="trace, explicit")
def test_the_priority_mask_is_read_back_when_deciding_to_sleep(variant: str) -> None:
    bench = Bench(variant)
    bench.spi(32, priority=0xA0)
    bench.inject(32)
    bench.enter()
    assert bench.pending_check()
    bench.gicc_write(GICC_PMR, 0xA0)
    assert not bench.pending_check()
    bench.exit()
    assert not bench.pending_check()
