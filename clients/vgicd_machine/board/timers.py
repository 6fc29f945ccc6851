"""The generic timers of every CPU, in virtual time.

Time is the number of executed instructions; it is handed in and never read from a clock.  A timer's line is a level:
high while it is enabled, not masked and its compare value has been reached.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from vgicd_machine.core.arm64 import SystemRegister

VIRTUAL_PPI: Final = 27
PHYSICAL_PPI: Final = 30
FREQUENCY: Final = 62_500_000  # Hz, what CNTFRQ_EL0 reads

_CTL_ENABLE, _CTL_IMASK, _CTL_ISTATUS = 1, 2, 4
_MASK: Final = (1 << 64) - 1
_PPI_OF_CRM: Final = {2: PHYSICAL_PPI, 3: VIRTUAL_PPI}  # CRm of the CNTP_* and CNTV_* registers
_TVAL, _CTL, _CVAL = 0, 1, 2  # op2 of each


@dataclass(slots=True)
class Timer:
    """One comparator. `line` is the level last driven."""

    enabled: bool = False
    masked: bool = False
    compare: int = 0
    line: bool = False

    def expired(self, now: int) -> bool:
        return now >= self.compare

    def level(self, now: int) -> bool:
        return self.enabled and not self.masked and self.expired(now)

    def read(self, op2: int, now: int) -> int:
        if op2 == _CTL:
            status = _CTL_ISTATUS if self.enabled and self.expired(now) else 0
            return self.enabled * _CTL_ENABLE | self.masked * _CTL_IMASK | status
        return self.compare if op2 == _CVAL else self.compare - now & 0xFFFF_FFFF

    def write(self, op2: int, value: int, now: int) -> None:
        if op2 == _CTL:
            self.enabled, self.masked = bool(value & _CTL_ENABLE), bool(value & _CTL_IMASK)
        elif op2 == _CVAL:
            self.compare = value
        else:
            signed = (value & 0xFFFF_FFFF ^ 0x8000_0000) - 0x8000_0000
            self.compare = now + signed & _MASK


class Timers:
    """The timers of `cpus` CPUs. `drive(ppi, level, cpu)` is called once per change of a line."""

    def __init__(self, cpus: int, drive: Callable[[int, int, int], None]) -> None:
        self._drive = drive
        self._timers = [{VIRTUAL_PPI: Timer(), PHYSICAL_PPI: Timer()} for _ in range(cpus)]
        self.due: int | None = None
        """The next time at which a line rises by itself, if any."""

    @staticmethod
    def owns(register: SystemRegister) -> bool:
        """True for CNTP_{TVAL,CTL,CVAL}_EL0 and CNTV_{TVAL,CTL,CVAL}_EL0."""
        return register[:3] == (3, 3, 14) and register.crm in _PPI_OF_CRM and register.op2 <= _CVAL

    def read(self, cpu: int, register: SystemRegister, now: int) -> int:
        return self._timers[cpu][_PPI_OF_CRM[register.crm]].read(register.op2, now)

    def write(self, cpu: int, register: SystemRegister, value: int, now: int) -> None:
        """The guest's write; drives the line at once if its level changes."""
        self._timers[cpu][_PPI_OF_CRM[register.crm]].write(register.op2, value, now)
        self._update(now)

    def reset(self, cpu: int, now: int) -> None:
        """As a CPU that is switched on finds them: disabled."""
        for timer in self._timers[cpu].values():
            timer.enabled = False
        self._update(now)

    def advance(self, now: int) -> None:
        """Time has come to `now`: drive the lines that rise."""
        if self.due is not None and now >= self.due:
            self._update(now)

    def _update(self, now: int) -> None:
        self.due = None
        for cpu, timers in enumerate(self._timers):
            for ppi, timer in timers.items():
                level = timer.level(now)
                if level != timer.line:
                    timer.line = level
                    self._drive(ppi, int(level), cpu)
                if timer.enabled and not timer.masked and not level:
                    self.due = timer.compare if self.due is None else min(self.due, timer.compare)
