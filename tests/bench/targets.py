"""What is promised, as ratios of two samples of one round; never an absolute time.

`at_most` targets bound a ratio of times, the others a ratio of rates (the base's time over ours).  A stretch goal is
reported and never fails a run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from tests.bench.ratios import Spread, paired

VECTOR: Final = 512  # entries of the VECTOR that is measured


class Sample(StrEnum):
    """What one round measures, in the order in which it does."""

    ECHO = "C echo, sequential"
    QTEST = "qtest readl TYPER, sequential"
    OVER_QTEST = "vgicd --qtest readl TYPER, sequential"
    IDLE = "vgicd (a) TYPER, sequential"
    WORKING = "vgicd (b) mix, sequential"
    CLIENT = "vgicd (a) TYPER, Python client"
    CLIENT_WORKING = "vgicd (b) mix, Python client"
    C_CLIENT = "vgicd (a) TYPER, C client"
    C_CLIENT_WORKING = "vgicd (b) mix, C client"
    QTEST_8 = "qtest readl TYPER, depth 8"
    IDLE_8 = "vgicd (a) TYPER, depth 8"
    QTEST_64 = "qtest readl TYPER, depth 64"
    IDLE_64 = "vgicd (a) TYPER, depth 64"
    QTEST_512 = "qtest readl TYPER, depth 512"
    IDLE_512 = "vgicd (a) TYPER, depth 512"
    OVER_QTEST_512 = "vgicd --qtest readl TYPER, depth 512"
    IDLE_VECTOR = "vgicd (a) TYPER, VECTOR 512"
    WORKING_VECTOR = "vgicd (b) mix, VECTOR 512"
    C_CLIENT_VECTOR = "vgicd (a) TYPER, C client, VECTOR 512"
    INPROCESS = "in process (b) mix, 16 listed"
    INPROCESS_CROWDED = "in process (c) mix, 900 listed"

    GDB_CONTROLLER = "gdb evaluate TYPER, GdbController"
    GDB_PIPE = "gdb evaluate TYPER, bare pipe loop"
    GDB_TRIO = "gdb evaluate TYPER, our trio client"
    GDB_BLOCKING = "gdb evaluate TYPER, our blocking client"
    GDB_NOTHING = "gdb evaluate 1+1, our trio client"
    RSP = "RSP m of TYPER, Python client"
    RSP_WIRE = "vgicd TYPER, Python client beside gdb"

    BOOT = "Linux boots, an operation of its GIC, daemon"
    BOOT_WHOLE = "Linux boots, all of it per operation, daemon"
    BOOT_LOCAL = "Linux boots, an operation of its GIC, in process"
    BOOT_LOCAL_WHOLE = "Linux boots, all of it per operation, in process"
    BOOT_AGAIN = "the boot's operations, Python client, sequential"
    BOOT_TYPER = "vgicd TYPER, Python client beside the boots"


GDB_SAMPLES: Final = tuple(sample for sample in Sample if sample.name.startswith(("GDB", "RSP")))
"""Those of the gdb section, `tests.bench.gdb`."""
BOOT_SAMPLES: Final = tuple(sample for sample in Sample if sample.name.startswith("BOOT"))
"""Those of `tests.bench.boot`."""
WIRE_SAMPLES: Final = tuple(sample for sample in Sample if sample not in {*GDB_SAMPLES, *BOOT_SAMPLES})


@dataclass(frozen=True)
class Target:
    """`ours` against `base`: a ratio of times that is `at_most` a limit, or of rates that is at least one."""

    text: str
    ours: Sample
    base: Sample
    limit: float
    stretch: float | None = None
    at_most: bool = False

    def measured(self, times: Mapping[Sample, Sequence[float]]) -> Spread:
        """The spread of the ratio over the rounds of `times` (nanoseconds per operation)."""
        ours, base = times[self.ours], times[self.base]
        return paired(ours, base) if self.at_most else paired(base, ours)

    def reached(self, ratio: float, limit: float) -> bool:
        return ratio <= limit if self.at_most else ratio >= limit

    def met(self, spread: Spread) -> bool:
        return self.reached(spread.median, self.limit)

    @property
    def sign(self) -> str:
        return "<=" if self.at_most else ">="


def _time(text: str, ours: Sample, base: Sample, limit: float, stretch: float | None = None) -> Target:
    return Target(text, ours, base, limit, stretch, at_most=True)


S = Sample
TARGETS: Final = (
    _time("(a) sequential, time / qtest's", S.IDLE, S.QTEST, 0.9, 0.75),
    _time("(a) sequential, time / C echo's", S.IDLE, S.ECHO, 1.7, 1.4),
    Target("(a) depth 8, rate / qtest's at 8", S.IDLE_8, S.QTEST_8, 2.0),
    Target("(a) depth 64, rate / qtest's at 64", S.IDLE_64, S.QTEST_64, 6.0),
    Target("(a) depth 512, rate / qtest's at 512", S.IDLE_512, S.QTEST_512, 5.0),
    Target("(a) VECTOR 512, rate / qtest's at 512", S.IDLE_VECTOR, S.QTEST_512, 6.0, 10.0),
    _time("(b) sequential, time / (a) sequential's", S.WORKING, S.IDLE, 1.3),
    Target("(b) VECTOR 512, rate / qtest's at 512", S.WORKING_VECTOR, S.QTEST_512, 1.5),
    _time("(c) in process, time / (b) in process", S.INPROCESS_CROWDED, S.INPROCESS, 4.0),
)

GDB_TARGETS: Final = (
    Target("trio client, rate / GdbController's at its defaults", S.GDB_TRIO, S.GDB_CONTROLLER, 60.0),
    Target("trio client, rate / bare pipe loop's", S.GDB_TRIO, S.GDB_PIPE, 0.5),
    Target("blocking client, rate / GdbController's at its defaults", S.GDB_BLOCKING, S.GDB_CONTROLLER, 60.0),
    Target("blocking client, rate / bare pipe loop's", S.GDB_BLOCKING, S.GDB_PIPE, 0.5),
    Target("RSP m..,4, rate / the wire protocol's", S.RSP, S.RSP_WIRE, 0.25),
)
BOOT_TARGETS: Final = (
    _time("boot, the GIC's share of its time, daemon", S.BOOT, S.BOOT_WHOLE, 0.05),
    _time("boot, the GIC's share of its time, in process", S.BOOT_LOCAL, S.BOOT_LOCAL_WHOLE, 0.05),
    _time("boot, time of an operation / the same, sequential", S.BOOT, S.BOOT_AGAIN, 1.5),
)
JUDGED: Final = (*TARGETS, *GDB_TARGETS, *BOOT_TARGETS)

# Shown and not judged: what users of the Python and of the C client get.
INFORMATION: Final = (
    _time("(a) Python client, time / C driver's", S.CLIENT, S.IDLE, 0.0),
    _time("(a) Python client, time / qtest's by C", S.CLIENT, S.QTEST, 0.0),
    _time("(b) Python client, time / C driver's", S.CLIENT_WORKING, S.WORKING, 0.0),
    _time("(a) C client, time / Python client's", S.C_CLIENT, S.CLIENT, 0.0),
    _time("(a) C client, time / C driver's", S.C_CLIENT, S.IDLE, 0.0),
    _time("(b) C client, time / Python client's", S.C_CLIENT_WORKING, S.CLIENT_WORKING, 0.0),
    _time("(a) C client VECTOR 512, time / C driver's", S.C_CLIENT_VECTOR, S.IDLE_VECTOR, 0.0),
    _time("--qtest sequential, time / qtest's", S.OVER_QTEST, S.QTEST, 0.0),
    _time("boot, time of an operation / TYPER's, sequential", S.BOOT, S.BOOT_TYPER, 0.0),
    Target("--qtest depth 512, rate / qtest's at 512", S.OVER_QTEST_512, S.QTEST_512, 0.0),
)
