"""Guest time that keeps to the wall clock, for guests that wait for a person."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from vgicd_machine.board.timers import FREQUENCY

AHEAD: Final = 0.005
"""Seconds by which a guest that executes may be ahead before it is made to wait."""

BEHIND: Final = 0.1
"""Seconds that a guest which was held up makes up for; what it lost beyond them is lost."""


class Pace:
    """Compares ticks of `timers.FREQUENCY` with `clock`, in seconds; `sleep` waits for it."""

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], object] = time.sleep
    ) -> None:
        self.clock = clock
        self.sleep = sleep
        self._zero: float | None = None  # on the clock, when guest time was 0 or would have been

    def ahead(self, now: int) -> float:
        """Seconds by which guest time `now` is ahead of the clock: negative, but not below -BEHIND, if it is behind."""
        wall, guest = self.clock(), now / FREQUENCY
        if self._zero is None or guest - (wall - self._zero) < -BEHIND:
            self._zero = wall - guest - (0 if self._zero is None else BEHIND)
        return guest - (wall - self._zero)

    def reached(self, now: int, due: int) -> int:
        """The guest time that the clock says it is, not before `now` and not after `due`."""
        zero = self.clock() if self._zero is None else self._zero
        return max(now, min(due, round((self.clock() - zero) * FREQUENCY)))
