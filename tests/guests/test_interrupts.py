"""The comparison of the kernel's counts with a log must itself be able to fail."""

from __future__ import annotations

import pytest

from tests.guests.interrupts import EOIR, IAR, Cell, Console, compare

LOG = [
    "# a header",
    f"1 0 r4 {IAR:#x} 0x1b 0x0",
    f"2 0 w4 {EOIR:#x} 0x1b 0x0",
    f"3 1 r4 {IAR:#x} 0x405 0x0",  # SGI 5 of CPU 1
    f"4 1 w4 {EOIR:#x} 0x405 0x0",
    f"5 1 r4 {IAR:#x} 0x3ff 0x0",
    "6 0 line 27 1 0x1",
    f"7 0 r4 {IAR:#x} 0x1b 0x0",
    f"8 0 w4 {EOIR:#x} 0x1b 0x0",
]


def guest(timer: int, ipi: int, begins: int = len(LOG), ends: int = len(LOG)) -> Console:
    console = Console()
    console.write("[    1.5] snap", 0)
    console.write("shot boot 01 begins\r\n", begins)
    console.write("[    1.6] snapshot boot 01 ends\r\n", ends)
    console.write("           CPU0       CPU1       \r\n", ends)
    console.write(f" 11:  {timer}   0   GIC-0  27 Level     arch_timer\r\n", ends)
    console.write(f"IPI5:  0   {ipi}       IRQ work interrupts\r\nErr:   0\r\n", ends)
    return console


def test_equal_numbers_are_exact() -> None:
    console = guest(2, 1)
    comparison = compare(console.snapshots, LOG)
    assert comparison.wrong == []
    assert comparison.exact == {Cell(0, 27): 1, Cell(1, 27): 1, Cell(0, 5): 1, Cell(1, 5): 1}
    assert console.snapshots[0].rows == {"arch_timer": 27, "IPI5": 5}


@pytest.mark.parametrize(("timer", "ipi"), [(1, 1), (3, 1), (2, 0), (2, 2)])
def test_one_more_or_less_is_wrong(timer: int, ipi: int) -> None:
    assert len(compare(guest(timer, ipi).snapshots, LOG).wrong) == 1


@pytest.mark.parametrize(("timer", "right"), [(0, False), (1, True), (2, True), (3, False)])
def test_interrupts_between_the_marks_leave_a_choice_but_settle_nothing(timer: int, right: bool) -> None:
    comparison = compare(guest(timer, 1, begins=7).snapshots, LOG)
    assert (comparison.wrong == []) is right
    assert Cell(0, 27) not in comparison.exact
