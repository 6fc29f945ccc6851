"""From durations to verdicts: one robust time per run, one paired ratio per round, a median and its spread.

Absolute times swing by tens of per cent between minutes on a shared machine; a ratio of two runs made one after the
other does not.  Nothing here judges an absolute time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median, quantiles


def time_per_operation(windows: Sequence[int], operations: int, *, slice_operations: int = 100) -> float:
    """Nanoseconds per operation of one run: the median over slices of the mean within a slice.

    `windows` are the durations of consecutive windows of `operations` operations each.  The mean within a slice of at
    least `slice_operations` keeps the mix of cheap and dear operations; the median over slices drops those in which
    another process had the core.
    """
    group = max(1, -(-slice_operations // operations))
    slices = [windows[at : at + group] for at in range(0, len(windows) - group + 1, group)]
    if not slices:
        raise ValueError(f"{len(windows)} windows are less than one slice of {group}")
    return median(sum(part) for part in slices) / (group * operations)


@dataclass(frozen=True)
class Spread:
    """The median of paired ratios, the quartiles around it and the extremes."""

    median: float
    lower: float
    upper: float
    least: float
    most: float
    rounds: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Of one value per round; at least two rounds."""
        lower, _, upper = quantiles(values, n=4, method="inclusive")
        return cls(median(values), lower, upper, min(values), max(values), len(values))


def paired(numerators: Sequence[float], denominators: Sequence[float]) -> Spread:
    """The spread of the ratios of two configurations, each pair from one round."""
    return Spread.of([top / bottom for top, bottom in zip(numerators, denominators, strict=True)])
