"""Compare vgicd with QEMU from the command line: `python -m tests.differential --case a --seed 7 --count 500`."""

from __future__ import annotations

import sys
import time
from collections import Counter

import click

from tests.differential.compare import Mismatch
from tests.differential.divergences import TABLE
from tests.differential.runs import CASES, STEPS, compare

HELP = "; ".join(f"{case}: {text}" for case, text in CASES.items())


@click.command()
@click.option("--case", type=click.Choice(sorted(CASES)), default="a", show_default=True, help=HELP)
@click.option("--seed", default=0, show_default=True, help="Of the first run; the next run has the next one.")
@click.option("--count", type=int, help="Operations to compare; default: one run.")
@click.option("--served", is_flag=True, help="Case a only: vgicd over qtest, as a daemon, instead of in this process.")
@click.option("--table", is_flag=True, help="Print the allowed divergences instead.")
def main(case: str, seed: int, count: int | None, served: bool, table: bool) -> None:
    """Compare vgicd with Debian's QEMU, operation by operation; exit status 1 at the first difference."""
    if table:
        for entry in TABLE:
            click.echo(f"{entry.name} (cases {', '.join(entry.cases)}; {entry.action.value})")
            for title in ("register", "clause", "right", "why"):
                click.echo(f"    {title}: {getattr(entry, title)}")
        return
    if served and case != "a":
        raise click.UsageError("--served is for case a: no list registers and no program are reached over qtest.")
    applied: Counter[str] = Counter()
    steps: Counter[str] = Counter()
    started = time.monotonic()
    try:
        for run in compare(case, seed, count or STEPS[case], served=served):
            applied += run.applied
            steps += run.seen
    except Mismatch as mismatch:
        click.echo(mismatch)
        sys.exit(1)
    seconds = time.monotonic() - started
    click.echo(f"case {case} ({CASES[case]}): {steps.total()} operations compared, no difference, {seconds:.1f} s")
    for title, counter in (("divergences met", applied), ("operations", steps)):
        click.echo(f"{title}: " + ", ".join(f"{name} {number}" for name, number in counter.most_common()))


main()
