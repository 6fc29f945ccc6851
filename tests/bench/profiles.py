"""Where the time goes, for the targets that were missed.

A profiler in the daemon would change what it measures.  So the stream is run in process for its cost, the rest of a
round trip is told apart by subtraction, and the shares of the core's functions come from a run of its sources: inside
machine code cProfile sees nothing.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from statistics import median
from typing import TYPE_CHECKING, Final

from tests.bench import inprocess, scripts, serving
from tests.bench.native import RUN_DEADLINE, CannotRunError
from tests.bench.targets import TARGETS, VECTOR, Sample, Target
from vgicd import compiled

if TYPE_CHECKING:
    from tests.bench.plan import Bench
    from tests.bench.workload import Stream

_LENGTH: Final = 3_000
_CROWDED: Final = (Sample.INPROCESS_CROWDED,)
_WORKING: Final = (Sample.WORKING, Sample.WORKING_VECTOR, Sample.INPROCESS)
_SEQUENTIAL: Final = (Sample.IDLE, Sample.WORKING)
_VECTORS: Final = (Sample.IDLE_VECTOR, Sample.WORKING_VECTOR)
_DEPTHS: Final = {Sample.IDLE_8: 8, Sample.IDLE_64: 64, Sample.IDLE_512: 512}


def profiles(
    bench: Bench, times: Mapping[Sample, Sequence[float]], missed: Sequence[Target], *, everything: bool = False
) -> dict[str, str]:
    """By title: the profile of each stream that a missed target (or any, with `everything`) is about."""
    targets = TARGETS if everything else missed
    texts: dict[str, str] = {}
    for target in targets:
        name, _ = _stream(bench, target.ours)
        title = f"profile of the {name} stream, in process, by the sources"
        if title not in texts:
            texts[title] = _profile(name)
    floor = median(times[Sample.ECHO])
    for sample in {target.ours for target in targets}:
        _, stream = _stream(bench, sample)
        texts[f"where the time goes: {sample.value}"] = _parts(sample, median(times[sample]), stream, floor)
    return texts


def _profile(name: str) -> str:
    command = [sys.executable, "-m", "tests.bench.inprocess", "--profile", "--length", str(_LENGTH), name]
    environment = {**os.environ, compiled.PURE: "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=RUN_DEADLINE, check=False)
    if done.returncode:
        raise CannotRunError(f"{' '.join(command)}: {done.stderr}")
    return done.stdout


def _stream(bench: Bench, sample: Sample) -> tuple[str, Stream]:
    if sample in _CROWDED:
        return "crowded", bench.crowded
    if sample in _WORKING:
        return "working", bench.working
    return "idle", bench.idle.cut(_LENGTH)


def _parts(sample: Sample, whole: float, stream: Stream, floor: float) -> str:
    rows = [("whole operation", whole)]
    if sample not in (Sample.INPROCESS, Sample.INPROCESS_CROWDED):
        served = _served(sample, stream)
        rows.append(("from a received frame to its reply: checks, codec and domain, in process", served))
        rest = whole - served
        if sample in _SEQUENTIAL:
            rows.append(("two context switches and four system calls (the C echo)", floor))
            rest -= floor
        rows.append(("the rest: receiving, sending, the event loop", rest))
    rows.append(("for comparison, one operation by Domain.apply", inprocess.nanoseconds(stream)))
    return "\n".join(f"{value / 1000:8.2f} µs  {what}" for what, value in rows)


def _served(sample: Sample, stream: Stream) -> float:
    if sample in _VECTORS:
        frames = scripts.vector_frames(stream.steps, VECTOR)
        return serving.nanoseconds(stream, frames, window=1, operations=VECTOR)
    frames = scripts.hot_frames(stream.steps)
    return serving.nanoseconds(stream, frames, window=_DEPTHS.get(sample, 1), operations=1)
