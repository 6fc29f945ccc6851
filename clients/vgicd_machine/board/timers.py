"""The generic timers of every CPU, in virtual time.

Time is the number of executed instructions; it is handed in and never read from a clock.  A timer's condition is met
while it is enabled and its compare value has been reached (DDI 0487 D11.2.4); its line is a level, high while the
condition is met and not masked.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from vgicd_machine.core.arm64 import PHYSICAL_TIMER_CRM, VIRTUAL_TIMER_CRM

VIRTUAL_PPI: Final = 27
PHYSICAL_PPI: Final = 30
FREQUENCY: Final = 62_500_000  # Hz, what CNTFRQ_EL0 reads

ENABLE, IMASK, ISTATUS = 1, 2, 4
"""The bits of CNTP_CTL_EL0 and CNTV_CTL_EL0."""

_MASK: Final = (1 << 64) - 1
_PPI_OF_CRM: Final = {PHYSICAL_TIMER_CRM: PHYSICAL_PPI, VIRTUAL_TIMER_CRM: VIRTUAL_PPI}
_TVAL, _CTL, _CVAL = 0, 1, 2  # op2 of each


@dataclass(slots=True)
class Timer:
    """One comparator, of the registers with `crm`. `met` and `line` are as last shown and driven."""

    crm: int
    enabled: bool = False
    masked: bool = False
    compare: int = 0
    met: bool = False
    line: bool = False

    @property
    def control(self) -> int:
        """What CTL reads."""
        return self.enabled * ENABLE | self.masked * IMASK | self.met * ISTATUS

    def write(self, op2: int, value: int, now: int) -> None:
        if op2 == _CTL:
            self.enabled, self.masked = bool(value & ENABLE), bool(value & IMASK)
        elif op2 == _CVAL:
            self.compare = value
        elif op2 == _TVAL:
            signed = (value & 0xFFFF_FFFF ^ 0x8000_0000) - 0x8000_0000
            self.compare = now + signed & _MASK


class Timers:
    """The timers of `cpus` CPUs.

    `drive(ppi, level, cpu)` is called once per change of a line; `show(cpu, crm, control, compare)` whenever CTL or
    CVAL of one has another value to read, and before its line is driven.
    """

    def __init__(
        self, cpus: int, drive: Callable[[int, int, int], None], show: Callable[[int, int, int, int], None]
    ) -> None:
        self._drive = drive
        self._show = show
        self._timers = [{crm: Timer(crm) for crm in sorted(_PPI_OF_CRM, reverse=True)} for _ in range(cpus)]
        self.due: int | None = None
        """The next time at which a condition is met by itself, if any."""

    def write(self, cpu: int, crm: int, op2: int, value: int, now: int) -> None:
        """The guest's MSR to op2 0 (TVAL), 1 (CTL) or 2 (CVAL); drives the line at once if its level changes."""
        timer = self._timers[cpu][crm]
        timer.write(op2, value, now)
        timer.met = timer.enabled and now >= timer.compare
        self._show(cpu, crm, timer.control, timer.compare)
        self._update(now)

    def timer(self, cpu: int, crm: int) -> Timer:
        """What is in the registers with `crm`, to be looked at."""
        return self._timers[cpu][crm]

    def reset(self, cpu: int, now: int) -> None:
        """As a CPU that is switched on finds them: disabled."""
        for timer in self._timers[cpu].values():
            timer.enabled = timer.met = False
        self._update(now)

    def advance(self, now: int) -> None:
        """Time has come to `now`: drive the lines that rise."""
        if self.due is not None and now >= self.due:
            self._update(now)

    def _update(self, now: int) -> None:
        due: int | None = None
        for cpu, timers in enumerate(self._timers):
            for crm, timer in timers.items():
                if not timer.enabled:
                    met = False
                elif not (met := now >= timer.compare) and (due is None or timer.compare < due):
                    due = timer.compare
                if met != timer.met:
                    timer.met = met
                    self._show(cpu, crm, timer.control, timer.compare)
                level = met and not timer.masked
                if level != timer.line:
                    timer.line = level
                    self._drive(_PPI_OF_CRM[crm], int(level), cpu)
        self.due = due
