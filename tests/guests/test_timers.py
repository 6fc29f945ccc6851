"""The generic timers: levels, in virtual time."""

from __future__ import annotations

from vgicd_machine.board.timers import ENABLE, IMASK, ISTATUS, PHYSICAL_PPI, VIRTUAL_PPI, Timers
from vgicd_machine.core.arm64 import PHYSICAL_TIMER_CRM, VIRTUAL_TIMER_CRM

VIRTUAL_TVAL, VIRTUAL_CTL, VIRTUAL_CVAL = ((VIRTUAL_TIMER_CRM, op2) for op2 in range(3))
PHYSICAL_CTL, PHYSICAL_CVAL = ((PHYSICAL_TIMER_CRM, op2) for op2 in (1, 2))
Register = tuple[int, int]


class Rig:
    """Timers, what they drive, and what the guest would read."""

    def __init__(self, cpus: int = 1) -> None:
        self.driven: list[tuple[int, int, int]] = []
        self.shown: dict[tuple[int, Register], int] = {}
        self.timers = Timers(cpus, lambda ppi, level, cpu: self.driven.append((ppi, level, cpu)), self._show)

    def _show(self, cpu: int, crm: int, control: int, compare: int) -> None:
        self.shown[cpu, (crm, 1)], self.shown[cpu, (crm, 2)] = control, compare

    def write(self, cpu: int, register: Register, value: int, now: int) -> None:
        self.timers.write(cpu, *register, value, now)


def test_line_is_high_from_the_compare_value_on() -> None:
    rig = Rig()
    rig.write(0, VIRTUAL_CVAL, 100, 0)
    rig.write(0, VIRTUAL_CTL, ENABLE, 0)
    assert rig.timers.due == 100
    rig.timers.advance(99)
    assert rig.driven == []
    rig.timers.advance(100)
    assert rig.driven == [(VIRTUAL_PPI, 1, 0)]
    assert rig.timers.due is None
    rig.timers.advance(200)
    assert len(rig.driven) == 1, "a level is driven once"


def test_line_falls_with_a_later_compare_value() -> None:
    rig = Rig()
    rig.write(0, VIRTUAL_CTL, ENABLE, 50)
    rig.write(0, VIRTUAL_CVAL, 500, 60)
    assert rig.driven == [(VIRTUAL_PPI, 1, 0), (VIRTUAL_PPI, 0, 0)]
    assert rig.timers.due == 500


def test_mask_hides_the_line_but_not_the_status() -> None:
    rig = Rig()
    rig.write(0, VIRTUAL_CTL, ENABLE | IMASK, 50)
    assert rig.driven == []
    assert rig.shown[0, VIRTUAL_CTL] == ENABLE | IMASK | ISTATUS
    rig.write(0, VIRTUAL_CTL, ENABLE, 51)
    assert rig.driven == [(VIRTUAL_PPI, 1, 0)]


def test_status_reads_zero_while_disabled() -> None:
    rig = Rig()
    rig.write(0, VIRTUAL_CTL, ENABLE, 50)
    rig.write(0, VIRTUAL_CTL, 0, 60)
    assert rig.shown[0, VIRTUAL_CTL] == 0


def test_tval_is_a_signed_distance() -> None:
    rig = Rig()
    rig.write(0, VIRTUAL_TVAL, 1000, 500)
    assert rig.shown[0, VIRTUAL_CVAL] == 1500
    rig.write(0, VIRTUAL_TVAL, 0xFFFF_FFFF, 500)
    assert rig.shown[0, VIRTUAL_CVAL] == 499


def test_timers_of_cpus_and_kinds_are_apart() -> None:
    rig = Rig(2)
    rig.write(1, PHYSICAL_CVAL, 30, 0)
    rig.write(1, PHYSICAL_CTL, ENABLE, 0)
    rig.write(0, VIRTUAL_CVAL, 20, 0)
    rig.write(0, VIRTUAL_CTL, ENABLE, 0)
    assert rig.timers.due == 20
    rig.timers.advance(20)
    assert rig.timers.due == 30
    rig.timers.advance(30)
    assert rig.driven == [(VIRTUAL_PPI, 1, 0), (PHYSICAL_PPI, 1, 1)]


def test_reset_lowers_the_line() -> None:
    rig = Rig()
    rig.write(0, VIRTUAL_CTL, ENABLE, 10)
    rig.timers.reset(0, 10)
    assert rig.driven[-1] == (VIRTUAL_PPI, 0, 0)
    assert rig.timers.due is None


def test_status_of_a_masked_timer_changes_in_time() -> None:
    rig = Rig()
    rig.write(0, VIRTUAL_CVAL, 100, 0)
    rig.write(0, VIRTUAL_CTL, ENABLE | IMASK, 0)
    assert rig.timers.due == 100
    rig.timers.advance(100)
    assert rig.shown[0, VIRTUAL_CTL] == ENABLE | IMASK | ISTATUS
    assert rig.driven == []
