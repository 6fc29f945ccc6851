"""Measure vgicd against QEMU's qtest server and a C echo, and judge it by ratios.

    python -m tests.bench [--quick] [--rounds N] [--core N] [--json FILE]

One C driver asks all servers; driver and servers share one core; every round measures every sample once, and a ratio
is always of two samples of one round.  A missed target is reported with a profile.  Exit status: 0 all targets met,
1 one was missed, 2 it could not be measured.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from tests.bench import report
from tests.bench.native import CannotRunError, WrongAnswerError, preferred
from tests.bench.plan import FULL, QUICK, Bench, Effort
from tests.bench.profiles import profiles

MET, MISSED, CANNOT_RUN = 0, 1, 2
LEAST_ROUNDS = 7


def _rounds(text: str) -> int:
    rounds = int(text)
    if rounds < LEAST_ROUNDS:
        raise argparse.ArgumentTypeError(f"at least {LEAST_ROUNDS}: fewer have no useful spread")
    return rounds


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tests.bench", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="shorter runs: half a minute, wider spread")
    parser.add_argument("--rounds", type=_rounds, help=f"interleaved rounds ({FULL.rounds}; --quick: {QUICK.rounds})")
    parser.add_argument("--core", type=int, help="the core to measure on (the last one that may be used)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    parser.add_argument("--profile", action="store_true", help="show the profiles even when all targets are met")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the whole benchmark; the exit status."""
    chosen = _arguments(arguments)
    console = Console(width=None if sys.stdout.isatty() else 120)
    effort: Effort = QUICK if chosen.quick else FULL
    core = max(os.sched_getaffinity(0)) if chosen.core is None else chosen.core
    try:
        with preferred(), Bench(effort, core) as bench:
            times = bench.measure(chosen.rounds or effort.rounds, console)
            report.show(console, times)
            missed = report.missed(times)
            shown = profiles(bench, times, missed, everything=chosen.profile)
    except (CannotRunError, WrongAnswerError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return CANNOT_RUN
    for title, text in shown.items():
        console.rule(title)
        console.print(text, markup=False, highlight=False)
    if chosen.json:
        report.save(chosen.json, report.document(times, core=core, profiles=shown))
    for target in missed:
        print(f"bench: missed: {target.text} {target.sign} {target.limit:g}", file=sys.stderr)
    return MISSED if missed else MET


if __name__ == "__main__":
    raise SystemExit(main())
