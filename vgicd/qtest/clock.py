"""The clock of clock_step and clock_set: the domain's virtual time in nanoseconds.

The domain counts ticks, and others may advance it.  Between two ticks there are nanoseconds, which only this clock
knows; whenever the domain is elsewhere than it left it, it takes the first nanosecond of the domain's tick.
"""

from __future__ import annotations

from typing import Final

from vgicd.domain.devices.vtimer import ENABLE
from vgicd.domain.domain import Domain

_SECOND: Final = 10**9


class Clock:
    """One for all clients of `domain`."""

    def __init__(self, domain: Domain) -> None:
        self._domain = domain
        self._now = 0

    @property
    def now(self) -> int:
        """Nanoseconds."""
        if self.ticks(self._now) != self._domain.now:
            self._now = self._nanoseconds(self._domain.now)
        return self._now

    def reached(self, now: int) -> None:
        """The domain has been advanced to `ticks(now)`."""
        self._now = now

    def ticks(self, nanoseconds: int) -> int:
        """The tick in which a nanosecond lies."""
        return nanoseconds * self._domain.config.timer_hz // _SECOND

    def deadline(self) -> int | None:
        """The nanosecond in which the next of the domain's timers expires; None if none will."""
        timers = self._domain.devices.vtimer
        if timers is None:
            return None
        now = self._domain.now
        pending = [
            timer.cval
            for of_intid in timers.timers.values()
            for timer in of_intid
            if timer.ctl & ENABLE and timer.cval > now
        ]
        return self._nanoseconds(min(pending)) if pending else None

    def _nanoseconds(self, ticks: int) -> int:
        return -(-ticks * _SECOND // self._domain.config.timer_hz)
