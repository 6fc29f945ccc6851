"""The domain alone, without a socket: what an operation costs, and where the time goes.

    python -m tests.bench.inprocess [--profile] [--length N] [WORKLOAD ...]

WORKLOAD is idle, working or crowded; all three by default.
"""

from __future__ import annotations

import argparse
import cProfile
import io
import pstats
from collections import defaultdict
from collections.abc import Callable, Sequence
from statistics import mean, median
from time import perf_counter_ns
from typing import Final

from rich.console import Console
from rich.table import Table

from tests.bench import workload
from tests.bench.native import WrongAnswerError
from tests.bench.ratios import time_per_operation
from tests.bench.workload import Kind, Stream
from vgicd.domain.domain import Domain

STREAMS: Final[dict[str, Callable[[int], Stream]]] = {
    "idle": workload.idle,
    "working": workload.working,
    "crowded": workload.crowded,
}
SLICE: Final = 100
PROFILE_LINES: Final = 25


def prepared(stream: Stream) -> Domain:
    """A new domain at the point where the stream's steps start."""
    domain = Domain(stream.config)
    for operation in stream.setup:
        domain.apply(operation)
    return domain


def run(stream: Stream) -> list[int]:
    """Apply every step to a new domain; the nanoseconds of each slice of `SLICE` operations.

    Raises WrongAnswerError when an answer is not the recorded one.
    """
    domain = prepared(stream)
    apply = domain.apply
    slices = []
    for at in range(0, len(stream.steps) - SLICE + 1, SLICE):
        part = stream.steps[at : at + SLICE]
        operations = [step.operation for step in part]
        started = perf_counter_ns()
        results = [apply(operation) for operation in operations]
        slices.append(perf_counter_ns() - started)
        for step, result in zip(part, results, strict=True):
            if (result.value or 0) != step.value or result.outputs != step.outputs:
                raise WrongAnswerError(f"{step} was answered {result}")
    return slices


def nanoseconds(stream: Stream) -> float:
    """Time per operation of one run."""
    return time_per_operation(run(stream), SLICE, slice_operations=SLICE)


def by_kind(stream: Stream) -> dict[Kind, list[int]]:
    """The nanoseconds of every operation, the clock's own included."""
    domain = prepared(stream)
    apply = domain.apply
    times: dict[Kind, list[int]] = defaultdict(list)
    for step in stream.steps:
        started = perf_counter_ns()
        apply(step.operation)
        times[step.kind].append(perf_counter_ns() - started)
    return times


def profile(stream: Stream) -> str:
    """cProfile of the steps, by time spent in each function itself."""
    domain = prepared(stream)
    operations = [step.operation for step in stream.steps]
    profiler = cProfile.Profile()
    profiler.enable()
    for operation in operations:
        domain.apply(operation)
    profiler.disable()
    out = io.StringIO()
    pstats.Stats(profiler, stream=out).sort_stats("tottime").print_stats(PROFILE_LINES)
    lines = [line for line in out.getvalue().splitlines() if line.strip()]
    return "\n".join(lines)


def _clock() -> int:
    """The cost of reading the clock, to be taken off each single operation's time."""
    samples = []
    for _ in range(1000):
        started = perf_counter_ns()
        samples.append(perf_counter_ns() - started)
    return int(median(samples))


def show(console: Console, name: str, stream: Stream) -> None:
    """Print the times of `stream`, in all and by kind."""
    console.print(
        f"[bold]{name}[/]: {nanoseconds(stream) / 1000:.2f} µs per operation, "
        f"{len(stream.steps)} operations, {mean(stream.in_flight):.1f} interrupts in flight on average"
    )
    table = Table("operation", "share", "median µs", "mean µs", "99 % µs")
    clock = _clock()
    shares = stream.shares()
    for kind, times in by_kind(stream).items():
        ordered = sorted(max(0, time - clock) / 1000 for time in times)
        figures = (median(ordered), mean(ordered), ordered[len(ordered) * 99 // 100])
        table.add_row(kind.value, f"{shares[kind]:.0%}", *(f"{figure:.2f}" for figure in figures))
    console.print(table)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; 0."""
    parser = argparse.ArgumentParser(prog="tests.bench.inprocess", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("workloads", nargs="*", choices=[*STREAMS, []], metavar="WORKLOAD", help=", ".join(STREAMS))
    parser.add_argument("--profile", action="store_true", help="add a profile of each workload")
    parser.add_argument("--length", type=int, default=10_000, help="operations of a workload (10000)")
    chosen = parser.parse_args(arguments)
    console = Console()
    for name in chosen.workloads or STREAMS:
        stream = STREAMS[name](chosen.length)
        show(console, name, stream)
        if chosen.profile:
            console.print(profile(stream), markup=False, highlight=False)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
