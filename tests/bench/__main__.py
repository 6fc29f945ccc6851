"""Measure vgicd against QEMU's qtest server and a C echo, and its gdb side against gdb's other users, by ratios.

    python -m tests.bench [--quick] [--rounds N] [--core N] [--json FILE]

One C driver asks all servers; driver and servers share one core; every round measures every sample once, and a ratio
is always of two samples of one round.  A missed target is reported with a profile.  After that come, in the same way,
the gdb section and what the GIC costs a booting kernel; `python -m tests.bench.gdb` and `python -m tests.bench.boot`
measure them alone.  Exit status: 0 all targets met, 1 one was missed, 2 it could not be measured.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from tests.bench import boot, gdb, options, report
from tests.bench.native import CannotRunError, WrongAnswerError, preferred
from tests.bench.options import CANNOT_RUN, MET, MISSED
from tests.bench.plan import FULL, QUICK, Bench, Effort
from tests.bench.profiles import profiles


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = options.parser("tests.bench", (__doc__ or "").splitlines()[0], rounds=FULL.rounds, quick=QUICK.rounds)
    parser.add_argument("--profile", action="store_true", help="show the profiles even when all targets are met")
    return options.parsed(parser, arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the whole benchmark; the exit status."""
    chosen = _arguments(arguments)
    console = options.console()
    effort: Effort = QUICK if chosen.quick else FULL
    rounds = chosen.rounds or effort.rounds
    try:
        with preferred():
            with Bench(effort, chosen.core) as bench:
                times = bench.measure(rounds, console)
                report.show(console, times)
                missed = report.missed(times)
                shown = profiles(bench, times, missed, everything=chosen.profile)
            with gdb.GdbBench(gdb.QUICK if chosen.quick else gdb.FULL, chosen.core) as bench_of_gdb:
                gdb_times = bench_of_gdb.measure(rounds, console)
                report.show(console, gdb_times)
                missed += report.missed(gdb_times)
            with boot.BootBench(chosen.core) as bench_of_boots:
                boot_times = bench_of_boots.measure(boot.QUICK if chosen.quick else boot.FULL, console)
                report.show(console, boot_times)
                missed += report.missed(boot_times)
    except (CannotRunError, WrongAnswerError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return CANNOT_RUN
    for title, text in shown.items():
        console.rule(title)
        console.print(text, markup=False, highlight=False)
    if chosen.json:
        report.save(
            chosen.json, report.document({**times, **gdb_times, **boot_times}, core=chosen.core, profiles=shown)
        )
    report.complain(missed)
    return MISSED if missed else MET


if __name__ == "__main__":
    raise SystemExit(main())
