"""What a CPU finds at an address: the machine's devices, the interrupt controller's, and what says it is not there."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.guests.fakes import GICD, FakeGic
from vgicd_machine.board import pl011, pl031
from vgicd_machine.board.board import Board
from vgicd_machine.board.pl031 import START, Pl031
from vgicd_machine.gic.port import Window

DR, MR, LR, CR, IMSC, RIS, MIS, ICR = range(0, 0x20, 4)


def board(gic: FakeGic | None = None) -> Board:
    return Board(gic or FakeGic(), lambda _byte: None, ram_size=1 << 20)


def test_an_access_goes_to_whoever_is_there() -> None:
    gic = FakeGic()
    gic.values[4] = 0x12345678
    bus = board(gic).bus
    assert bus.read(1, GICD + 4, 4) == 0x12345678
    bus.write(1, GICD + 8, 2, 0xABCD)
    assert gic.log == [("read", 1, 4, 4), ("write", 1, 8, 2, 0xABCD)]
    assert bus.read(0, pl011.BASE + 0xFE0, 4) == 0x11
    assert bus.read(0, pl031.BASE + 0xFE0, 4) == 0x31
    assert len(gic.log) == 2


@pytest.mark.parametrize(
    ("address", "size", "value"),
    [
        (0x0A00_0000, 4, 0x7472_6976),  # a virtio slot is there ...
        (0x0A00_3E00, 4, 0x7472_6976),
        (0x0A00_3E08, 4, 0),  # ... and empty
        (0x0A00_0001, 1, 0x69),
        (0x0902_0008, 2, 0),  # no firmware configuration
        (0x0903_0FE0, 4, 0x61),
        (0x0802_0008, 4, 0),  # an MSI frame without interrupts
        (0x40_1000_0000, 4, 0xFFFF_FFFF),  # nobody on the PCI bus
        (0x40_1000_0002, 2, 0xFFFF),
    ],
)
def test_what_qemus_board_has_more_says_that_it_is_not_there(address: int, size: int, value: int) -> None:
    gic = FakeGic()
    bus = board(gic).bus
    bus.write(0, address, size, 0x55)
    assert bus.read(0, address, size) == value
    assert gic.log == []


def test_the_interrupt_controller_comes_before_what_is_not_there() -> None:
    gic = FakeGic()
    gic.windows = (Window("GICD", 0x0800_0000, 0x1000), Window("GICC", 0x0802_0000, 0x2000))
    assert "v2m" not in {window.name for window in board(gic).bus.windows}
    board(gic).bus.read(0, 0x0802_0000, 4)
    assert len(gic.log) == 1


@pytest.fixture
def clock() -> tuple[Pl031, Callable[[int], None]]:
    rtc = Pl031()

    def at(seconds: int) -> None:
        rtc.seconds = lambda: seconds

    return rtc, at


def test_the_clock_counts_the_machines_seconds_from_its_start(clock: tuple[Pl031, Callable[[int], None]]) -> None:
    rtc, at = clock
    assert (rtc.read(DR, 4), rtc.read(LR, 4), rtc.read(CR, 4)) == (START, START, 1)
    at(5)
    assert rtc.read(DR, 4) == START + 5
    rtc.write(LR, 4, 1000)
    assert rtc.read(DR, 4) == 1000
    at(8)
    assert (rtc.read(DR, 4), rtc.read(LR, 4)) == (1003, 1000)


def test_the_clock_wraps_at_32_bits(clock: tuple[Pl031, Callable[[int], None]]) -> None:
    rtc, at = clock
    rtc.write(LR, 4, 0xFFFF_FFFF)
    at(2)
    assert rtc.read(DR, 4) == 1


def test_the_alarm_is_a_status_until_it_is_cleared(clock: tuple[Pl031, Callable[[int], None]]) -> None:
    rtc, at = clock
    rtc.write(MR, 4, START + 2)
    rtc.write(IMSC, 4, 3)
    assert (rtc.read(RIS, 4), rtc.read(IMSC, 4)) == (0, 1)
    at(3)
    assert (rtc.read(RIS, 4), rtc.read(MIS, 4), rtc.read(MR, 4)) == (1, 1, START + 2)
    rtc.write(ICR, 4, 1)
    at(4)
    assert rtc.read(RIS, 4) == 0


def test_the_clock_is_recognised_as_one() -> None:
    rtc = Pl031()
    assert bytes(rtc.read(0xFE0 + 4 * n, 4) for n in range(8)) == bytes.fromhex("31101400 0df005b1")
