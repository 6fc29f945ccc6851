"""T62 to T64 of 9.6, and 9.7 CPU interface: on the bare silicon and inside a domain of either variant."""

from __future__ import annotations

import pytest

from vgicd.domain import operations as op

from .catalogue import scenario
from .harness import (
    EOIMODE_1,
    GICC_ABPR,
    GICC_AHPPIR,
    GICC_AIAR,
    GICC_BPR,
    GICC_CTLR,
    GICC_DIR,
    GICC_EOIR,
    GICC_HPPIR,
    GICC_IAR,
    GICC_PMR,
    GICC_RPR,
    SPURIOUS,
    Bench,
)
from .interfaces import build

GICH_HCR, GICH_MISR, GICH_EISR, GICH_APR, GICH_LR0 = 0x00, 0x10, 0x20, 0xF0, 0x100
EN, UIE, LRENPIE, NPIE, VGRP0DIE, VGRP1EIE = 1 << 0, 1 << 1, 1 << 2, 1 << 3, 1 << 5, 1 << 6
PENDING, ACTIVE, EOI = 1 << 28, 2 << 28, 1 << 19
VIRQ, VFIQ = 1, 2

everywhere = pytest.mark.parametrize("place", ["silicon", "xen", "correct"])
SETUP = "bare silicon, and trace, explicit, in both variants"


@scenario("T62", columns=(), setup=SETUP)
@everywhere
def test_T62_an_eoi_without_a_list_register_is_counted(place: str) -> None:
    cpu = build(place)
    cpu.write_gich(GICH_HCR, EN | LRENPIE)
    cpu.write_gich(GICH_APR, 0x10)
    cpu.write(GICC_EOIR, 50)
    assert cpu.read_gich(GICH_HCR) == 0x08000005
    assert cpu.read_gich(GICH_MISR) == 0x04
    cpu.write(GICC_EOIR, 50)
    assert cpu.read_gich(GICH_HCR) == 0x08000005
    for count in range(2, 33):
        cpu.write_gich(GICH_APR, 0x10)
        cpu.write(GICC_EOIR, 50)
        assert cpu.read_gich(GICH_HCR) == count % 32 << 27 | EN | LRENPIE
    assert cpu.read_gich(GICH_MISR) == 0


@scenario("T63", columns=(), setup=SETUP)
@everywhere
def test_T63_maintenance_for_nothing_pending_and_for_groups(place: str) -> None:
    cpu = build(place)
    cpu.arrives(32)
    cpu.write_gich(GICH_HCR, EN | NPIE)
    assert cpu.read_gich(GICH_MISR) == 0
    assert cpu.read(GICC_IAR) == 32
    assert cpu.read_gich(GICH_MISR) == 0x08
    cpu.write_gich(GICH_HCR, EN | VGRP0DIE)
    assert cpu.read_gich(GICH_MISR) == 0
    cpu.write(GICC_CTLR, 0)
    assert cpu.read_gich(GICH_MISR) == 0x20
    cpu.write_gich(GICH_HCR, EN | VGRP1EIE)
    assert cpu.read_gich(GICH_MISR) == 0
    cpu.write(GICC_CTLR, 2)
    assert cpu.read_gich(GICH_MISR) == 0x40
    assert cpu.maintenance()


@scenario("T64", columns=(), setup=SETUP)
@everywhere
def test_T64_a_switched_off_interface_is_silent(place: str) -> None:
    cpu = build(place)
    cpu.arrives(32)
    assert cpu.outputs() == VIRQ
    cpu.write_gich(GICH_HCR, UIE)
    assert cpu.read(GICC_IAR) == SPURIOUS
    assert cpu.outputs() == 0
    assert cpu.read_gich(GICH_MISR) == 0x02
    assert not cpu.maintenance()
    cpu.write_gich(GICH_HCR, UIE | EN)
    assert cpu.maintenance()
    assert cpu.read(GICC_IAR) == 32


@scenario("T66", columns=(), setup=SETUP)
@everywhere
def test_T66_only_priorities_below_the_mask_are_signalled(place: str) -> None:
    cpu = build(place)
    cpu.write(GICC_PMR, 0xA0)
    cpu.arrives(32, 0xA0)
    assert cpu.read(GICC_IAR) == SPURIOUS
    assert cpu.outputs() == 0
    assert cpu.read(GICC_HPPIR) == 32
    cpu.write(GICC_PMR, 0xA8)
    assert cpu.outputs() == VIRQ
    assert cpu.read(GICC_IAR) == 32
    cpu.write(GICC_PMR, 0xFF)
    assert cpu.read(GICC_PMR) == 0xF8


@scenario("T66", columns=(), setup=SETUP)
@everywhere
def test_T66_mask_0_and_priority_0xF8_silence(place: str) -> None:
    cpu = build(place)
    cpu.write(GICC_PMR, 0)
    cpu.arrives(32, 0)
    assert cpu.outputs() == 0
    assert cpu.read(GICC_IAR) == SPURIOUS
    cpu = build(place)
    cpu.write(GICC_PMR, 0xFF)
    cpu.arrives(32, 0xF8)
    assert cpu.outputs() == 0
    assert cpu.read(GICC_IAR) == SPURIOUS


@scenario("T67", columns=(), setup=SETUP)
@everywhere
def test_T67_binary_points_have_a_minimum(place: str) -> None:
    cpu = build(place)
    cpu.write(GICC_BPR, 0)
    cpu.write(GICC_ABPR, 0)
    assert cpu.read(GICC_BPR) == 2
    assert cpu.read(GICC_ABPR) == 3
    cpu.write(GICC_BPR, 0xFFFFFFFF)
    cpu.write(GICC_ABPR, 0xFFFFFFFF)
    assert cpu.read(GICC_BPR) == 7
    assert cpu.read(GICC_ABPR) == 7


@scenario("T68", columns=(), setup=SETUP)
@everywhere
def test_T68_a_higher_priority_preempts_and_returns(place: str) -> None:
    cpu = build(place)
    cpu.write(GICC_BPR, 2)
    cpu.arrives(32, 0x88)
    assert cpu.read(GICC_IAR) == 32
    assert (cpu.read_gich(GICH_APR), cpu.read(GICC_RPR)) == (0x00020000, 0x88)
    cpu.arrives(33, 0x80)
    assert cpu.read(GICC_IAR) == 33
    assert (cpu.read_gich(GICH_APR), cpu.read(GICC_RPR)) == (0x00030000, 0x80)
    cpu.write(GICC_EOIR, 33)
    assert (cpu.read_gich(GICH_APR), cpu.read(GICC_RPR)) == (0x00020000, 0x88)


@scenario("T69", columns=(), setup=SETUP)
@everywhere
def test_T69_within_a_priority_group_nothing_preempts(place: str) -> None:
    cpu = build(place)
    cpu.write(GICC_BPR, 3)
    cpu.arrives(32, 0x88)
    assert cpu.read(GICC_IAR) == 32
    assert (cpu.read_gich(GICH_APR), cpu.read(GICC_RPR)) == (0x00010000, 0x80)
    cpu.arrives(33, 0x80)
    assert cpu.read(GICC_IAR) == 1023
    assert cpu.read(GICC_HPPIR) == 33
    cpu.write(GICC_EOIR, 32)
    assert cpu.read(GICC_IAR) == 33


@scenario("T70", columns=(), setup=SETUP)
@everywhere
def test_T70_group_1_is_acknowledged_through_the_alias_or_ackctl(place: str) -> None:
    """In variant xen the list register's group bit is written by LR_SET: its distributor has none."""
    cpu = build(place)
    cpu.write(GICC_CTLR, 0x3)
    cpu.arrives(32, 0xA0, group=1)
    before = cpu.read_gich(GICH_LR0), cpu.read_gich(GICH_APR)
    assert before[0] >> 30 & 1 == 1
    assert cpu.read(GICC_IAR) == 1022
    assert cpu.read(GICC_HPPIR) == 1022
    assert (cpu.read_gich(GICH_LR0), cpu.read_gich(GICH_APR)) == before
    assert cpu.read(GICC_AHPPIR) == 32
    assert cpu.read(GICC_AIAR) == 32
    assert cpu.read_gich(GICH_LR0) >> 28 & 3 == 2

    cpu = build(place)
    cpu.write(GICC_CTLR, 0x7)
    cpu.arrives(32, 0xA0, group=1)
    assert cpu.read(GICC_HPPIR) == 32
    assert cpu.read(GICC_IAR) == 32

    cpu = build(place)
    cpu.write(GICC_CTLR, 0x3)
    cpu.arrives(32, 0xA0)
    assert cpu.read(GICC_AIAR) == 1023
    assert cpu.read(GICC_AHPPIR) == 1023
    assert cpu.read(GICC_IAR) == 32


@scenario("T71", columns=(), setup=SETUP)
@everywhere
def test_T71_fiqen_turns_group_0_into_fiqs(place: str) -> None:
    cpu = build(place)
    cpu.arrives(32)
    assert cpu.outputs() == VIRQ
    cpu.write(GICC_CTLR, 0x9)
    assert cpu.outputs() == VFIQ
    assert cpu.read(GICC_IAR) == 32
    assert cpu.outputs() == 0


@scenario("T72", columns=(), setup=f"{SETUP}; DIR's miss is counted by the hardware and trapped by correct")
@everywhere
def test_T72_eoimode_1_separates_the_priority_drop_from_the_deactivation(place: str) -> None:
    """`correct` traps a DIR that misses the list registers and finds nothing to deactivate (spec 4.8)."""
    cpu = build(place)
    cpu.write(GICC_CTLR, EOIMODE_1)
    cpu.arrives(32)
    assert cpu.read(GICC_IAR) == 32
    cpu.write(GICC_EOIR, 32)
    assert cpu.read_gich(GICH_LR0) & ~EOI == 0x20000020
    assert cpu.read_gich(GICH_APR) == 0
    assert cpu.read(GICC_IAR) == SPURIOUS
    cpu.arrives(33)
    assert cpu.read(GICC_IAR) == 33
    cpu.write(GICC_EOIR, 33)
    cpu.write(GICC_DIR, 33)
    cpu.write(GICC_DIR, 32)
    assert cpu.read_gich(GICH_LR0) == 0x00000020
    assert cpu.read_gich(GICH_HCR) == EN
    cpu.write(GICC_DIR, 32)
    assert cpu.read_gich(GICH_HCR) == (0x08000001 if cpu.counts_missed_dir else EN)


@scenario("T72", columns=(), setup=SETUP)
@everywhere
def test_T72_eoimode_0_ignores_dir(place: str) -> None:
    cpu = build(place)
    cpu.arrives(32)
    assert cpu.read(GICC_IAR) == 32
    cpu.write(GICC_DIR, 32)
    cpu.write(GICC_DIR, 50)
    assert cpu.read_gich(GICH_LR0) == 0x20000020
    assert cpu.read_gich(GICH_HCR) == EN


@scenario("T73", columns=(), setup=SETUP)
@everywhere
def test_T73_special_numbers_are_ignored_and_an_idle_eoi_deactivates(place: str) -> None:
    cpu = build(place)
    cpu.write(GICC_CTLR, EOIMODE_1)
    cpu.arrives(32, 0xA0)
    assert cpu.read(GICC_IAR) == 32
    state = [cpu.read_gich(offset) for offset in (GICH_LR0, GICH_APR, GICH_HCR)]
    for special in range(1020, 1024):
        cpu.write(GICC_EOIR, special)
        cpu.write(GICC_DIR, special)
    assert [cpu.read_gich(offset) for offset in (GICH_LR0, GICH_APR, GICH_HCR)] == state
    cpu.write(GICC_EOIR, 32)
    assert cpu.read_gich(GICH_APR) == 0
    cpu.write(GICC_CTLR, 1)
    cpu.write(GICC_EOIR, 32)
    assert cpu.read_gich(GICH_LR0) == 0x0A000020


@scenario("T73", columns=(), setup=f"{SETUP}; eoi_when_idle = ignore")
@everywhere
def test_T73_hardware_that_ignores_an_idle_eoi(place: str) -> None:
    cpu = build(place, eoi_when_idle="ignore")
    cpu.write(GICC_CTLR, EOIMODE_1)
    cpu.arrives(32, 0xA0)
    assert cpu.read(GICC_IAR) == 32
    cpu.write(GICC_EOIR, 32)
    cpu.write(GICC_CTLR, 1)
    cpu.write(GICC_EOIR, 32)
    assert cpu.read_gich(GICH_LR0) == 0x2A000020


@scenario("T74", columns=(), setup=SETUP)
@everywhere
def test_T74_the_eoi_of_pending_and_active_leaves_pending_and_reports_nothing(place: str) -> None:
    cpu = build(place)
    cpu.arrives(32)
    assert cpu.read(GICC_IAR) == 32
    cpu.write_gich(GICH_LR0, PENDING | ACTIVE | EOI | 32)
    cpu.write(GICC_EOIR, 32)
    assert cpu.read_gich(GICH_LR0) == PENDING | EOI | 32
    assert cpu.read_gich(GICH_EISR) == 0
    assert cpu.read_gich(GICH_MISR) == 0


@scenario("T75", columns=(), setup=SETUP)
@everywhere
def test_T75_a_restored_apr_is_the_running_priority(place: str) -> None:
    cpu = build(place)
    cpu.write_gich(GICH_APR, 0x00100000)
    assert cpu.read(GICC_RPR) == 0xA0


@scenario("T75")
def test_T75_active_priorities_survive_the_world_switch(variant: str) -> None:
    bench = Bench(variant)
    bench.enter()
    bench.do(op.Gich(0, GICH_APR, 0x00100000))
    bench.rerun()
    assert bench.gicc_read(GICC_RPR) == 0xA0
    assert bench.lr_state().apr == 0x00100000
