"""What a run did, and what it cost."""

from __future__ import annotations

import statistics as of
import time
from typing import Final

_KEPT: Final = 200_000
"""Durations kept for the quantiles; those of later accesses are left out."""


class Statistics:
    """Counts of one run. `seconds` of an access: from the request's arrival until the CPU may go on."""

    def __init__(self) -> None:
        self.started = time.perf_counter()
        self.reads = 0
        self.writes = 0
        self.aborts = 0
        self.timer_changes = 0
        self._durations: list[float] = []
        self._between: list[float] = []
        self._last = 0.0

    def access(self, write: bool, begun: float) -> None:
        """An access has been answered that came at `begun`."""
        now = time.perf_counter()
        if write:
            self.writes += 1
        else:
            self.reads += 1
        if len(self._durations) < _KEPT:
            self._durations.append(now - begun)
            if self._last:
                self._between.append(now - self._last)
        self._last = now

    @property
    def rate(self) -> float:
        """Accesses per second while the guest makes one after the other: from the median distance of two; 0 if none."""
        return 1 / of.median(self._between) if self._between else 0.0

    def lines(self, signalled: int) -> list[str]:
        """For people: what there was, how long it took."""
        seconds = time.perf_counter() - self.started
        text = [
            f"{self.reads + self.writes} accesses to the GIC ({self.reads} reads, {self.writes} writes, {self.aborts} "
            f"aborts) in {seconds:.2f} s",
            f"{self.timer_changes} changes of timer lines, {signalled} interrupts of QEMU's devices",
        ]
        if len(self._durations) > 1:
            deciles = of.quantiles(self._durations, n=10)
            p10, p50, p90 = (deciles[at] * 1e6 for at in (0, 4, 8))
            text.append(f"in the bridge and the daemon: median {p50:.0f} us (p10 {p10:.0f}, p90 {p90:.0f}) an access")
        if self._between:
            text.append(f"from access to access: median {1e6 / self.rate:.0f} us, {self.rate:.0f} a second")
        return text
