"""Guest time that keeps to a clock: here one that moves only when somebody waits for it."""

from __future__ import annotations

import struct
from collections.abc import Callable

import pytest

from tests.guests.fakes import RESULTS, VECTORS, FakeGic, machine_on, words
from vgicd_machine.board.memory import BASE
from vgicd_machine.board.timers import FREQUENCY
from vgicd_machine.host.pace import AHEAD, BEHIND, Pace

SECOND = (1 << 26) / FREQUENCY
"""For which `UNTIL_TIMER` waits: a little more than a second."""

UNTIL_TIMER = """
    91400414    add     x20, x0, #0x1000            // RESULTS
    d2a10015    mov     x21, #0x8000000             // GICD
    b90012bf    str     wzr, [x21, #0x10]
    d53be046    mrs     x6, cntvct_el0
    d2800027    mov     x7, #1
    d36694e8    lsl     x8, x7, #26
    8b0800c8    add     x8, x6, x8
    d51be348    msr     cntv_cval_el0, x8
    d51be327    msr     cntv_ctl_el0, x7
    d503207f    wfi
    d53be048    mrs     x8, cntvct_el0
    cb060108    sub     x8, x8, x6
    f9000288    str     x8, [x20]
"""
OFF = """
    52b08000    mov     w0, #0x84000000             // PSCI SYSTEM_OFF
    11002000    add     w0, w0, #8
    d4000002    hvc     #0
"""
COUNT_DOWN = """
    d2a00406    mov     x6, #0x200000
    f10004c6    subs    x6, x6, #1
    54ffffe1    b.ne    .-4
"""


class Clock:
    """Seconds, which pass in `sleep` only."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.now += seconds


class PatientGic(FakeGic):
    """Time passes while one waits for it, and while it holds an access; CPU 0's interrupt rises at `raised_at`."""

    def __init__(self, clock: Clock, raised_at: float = float("inf"), held: float = 0) -> None:
        super().__init__()
        self.line_outputs = lambda _intid, level, _cpu: level
        self._clock = clock
        self._raised_at = raised_at
        self._held = held
        self.waits = 0

    def write(self, cpu: int, address: int, size: int, value: int) -> None:
        super().write(cpu, address, size, value)
        self._clock.now += self._held

    def wait(self, seconds: float) -> bool:
        self.waits += 1
        if self.outputs:
            return True
        risen = self._clock.now + seconds >= self._raised_at
        self._clock.now = max(self._clock.now, self._raised_at) if risen else self._clock.now + seconds
        self.outputs = int(risen)
        return risen


def run(gic: FakeGic, code: str, clock: Clock) -> tuple[float, float]:
    """(seconds on the clock, seconds that the guest has measured)."""
    began = clock.now
    machine = machine_on(gic, pace=Pace(clock, clock.sleep))
    machine.board.ram.write(BASE, words(code))
    machine.run(BASE, VECTORS, seconds=10)
    (ticks,) = struct.unpack("<Q", machine.board.ram.read(RESULTS, 8))
    return clock.now - began, ticks / FREQUENCY


@pytest.mark.parametrize("gic", [PatientGic, lambda _clock: FakeGic()], ids=["waits", "answers at once"])
def test_a_guest_that_waits_for_a_timer_takes_as_long(gic: Callable[[Clock], FakeGic]) -> None:
    clock = Clock()
    port = gic(clock)
    port.line_outputs = lambda _intid, level, _cpu: level
    passed, measured = run(port, UNTIL_TIMER + OFF, clock)
    assert passed == pytest.approx(SECOND, abs=AHEAD)
    assert measured == pytest.approx(SECOND, abs=0.001)


def test_somebody_elses_line_ends_the_wait_when_it_rises() -> None:
    clock = Clock()
    passed, measured = run(PatientGic(clock, raised_at=clock.now + 0.4), UNTIL_TIMER + OFF, clock)
    assert passed == pytest.approx(0.4, abs=AHEAD)
    assert measured == pytest.approx(0.4, abs=AHEAD)


def test_an_output_that_is_high_already_does_not_make_it_look_without_rest() -> None:
    clock = Clock()
    gic = PatientGic(clock)
    gic.line_outputs = lambda _intid, level, _cpu: 4 | level  # CPU 1's, which the machine does not have
    gic.outputs = 4
    passed, _ = run(gic, UNTIL_TIMER + OFF, clock)
    assert passed == pytest.approx(SECOND, abs=AHEAD)
    assert gic.waits == 0


def test_time_in_which_the_guest_was_held_is_not_made_up_for() -> None:
    clock = Clock()
    passed, measured = run(PatientGic(clock, held=3600), UNTIL_TIMER + OFF, clock)
    assert passed - 3600 == pytest.approx(SECOND - BEHIND, abs=0.001)
    assert measured == pytest.approx(SECOND, abs=0.001)


def test_a_guest_that_does_not_wait_is_not_ahead_either() -> None:
    clock = Clock()
    passed, _ = run(FakeGic(), COUNT_DOWN + OFF, clock)
    assert passed == pytest.approx((2 << 21) / FREQUENCY, abs=AHEAD)
