"""The generic timers: levels, in virtual time."""

from __future__ import annotations

from vgicd_machine.board.timers import PHYSICAL_PPI, VIRTUAL_PPI, Timers
from vgicd_machine.core.arm64 import SystemRegister

VIRTUAL_TVAL, VIRTUAL_CTL, VIRTUAL_CVAL = (SystemRegister(3, 3, 14, 3, op2) for op2 in range(3))
PHYSICAL_CTL, PHYSICAL_CVAL = (SystemRegister(3, 3, 14, 2, op2) for op2 in (1, 2))
ENABLE, IMASK, ISTATUS = 1, 2, 4


def timers(cpus: int = 1) -> tuple[Timers, list[tuple[int, int, int]]]:
    driven: list[tuple[int, int, int]] = []
    return Timers(cpus, lambda ppi, level, cpu: driven.append((ppi, level, cpu))), driven


def test_line_is_high_from_the_compare_value_on() -> None:
    t, driven = timers()
    t.write(0, VIRTUAL_CVAL, 100, 0)
    t.write(0, VIRTUAL_CTL, ENABLE, 0)
    assert t.due == 100
    t.advance(99)
    assert driven == []
    t.advance(100)
    assert driven == [(VIRTUAL_PPI, 1, 0)]
    assert t.due is None
    t.advance(200)
    assert len(driven) == 1, "a level is driven once"


def test_line_falls_with_a_later_compare_value() -> None:
    t, driven = timers()
    t.write(0, VIRTUAL_CTL, ENABLE, 50)
    t.write(0, VIRTUAL_CVAL, 500, 60)
    assert driven == [(VIRTUAL_PPI, 1, 0), (VIRTUAL_PPI, 0, 0)]
    assert t.due == 500


def test_mask_hides_the_line_but_not_the_status() -> None:
    t, driven = timers()
    t.write(0, VIRTUAL_CTL, ENABLE | IMASK, 50)
    assert driven == []
    assert t.read(0, VIRTUAL_CTL, 50) == ENABLE | IMASK | ISTATUS
    t.write(0, VIRTUAL_CTL, ENABLE, 51)
    assert driven == [(VIRTUAL_PPI, 1, 0)]


def test_status_reads_zero_while_disabled() -> None:
    t, _ = timers()
    assert t.read(0, VIRTUAL_CTL, 1000) == 0


def test_tval_is_a_signed_distance() -> None:
    t, _ = timers()
    t.write(0, VIRTUAL_TVAL, 1000, 500)
    assert t.read(0, VIRTUAL_CVAL, 500) == 1500
    assert t.read(0, VIRTUAL_TVAL, 600) == 900
    assert t.read(0, VIRTUAL_TVAL, 1501) == 0xFFFF_FFFF
    t.write(0, VIRTUAL_TVAL, 0xFFFF_FFFF, 500)
    assert t.read(0, VIRTUAL_CVAL, 500) == 499


def test_timers_of_cpus_and_kinds_are_apart() -> None:
    t, driven = timers(2)
    t.write(1, PHYSICAL_CVAL, 30, 0)
    t.write(1, PHYSICAL_CTL, ENABLE, 0)
    t.write(0, VIRTUAL_CVAL, 20, 0)
    t.write(0, VIRTUAL_CTL, ENABLE, 0)
    assert t.due == 20
    t.advance(20)
    assert t.due == 30
    t.advance(30)
    assert driven == [(VIRTUAL_PPI, 1, 0), (PHYSICAL_PPI, 1, 1)]


def test_reset_lowers_the_line() -> None:
    t, driven = timers()
    t.write(0, VIRTUAL_CTL, ENABLE, 10)
    t.reset(0, 10)
    assert driven[-1] == (VIRTUAL_PPI, 0, 0)
    assert t.due is None


def test_registers_that_are_no_timer_registers() -> None:
    assert not Timers.owns(SystemRegister(3, 3, 14, 0, 2)), "CNTVCT_EL0"
    assert not Timers.owns(SystemRegister(3, 0, 14, 1, 0)), "CNTKCTL_EL1"
    assert Timers.owns(VIRTUAL_CVAL)
