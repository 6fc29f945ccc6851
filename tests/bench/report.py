"""The tables on the terminal and the same figures as JSON."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.bench.ratios import Spread
from tests.bench.targets import INFORMATION, JUDGED, Sample, Target
from vgicd import compiled

Times = Mapping[Sample, Sequence[float]]


def verdicts(times: Times) -> dict[Target, Spread]:
    """Every target and information row that `times` has both samples of."""
    rows = (*JUDGED, *INFORMATION)
    return {row: row.measured(times) for row in rows if row.ours in times and row.base in times}


def missed(times: Times) -> list[Target]:
    """The targets that were measured and not met."""
    return [row for row, spread in verdicts(times).items() if row in JUDGED and not row.met(spread)]


def core_kind() -> str:
    """How the core runs, here and in the daemons."""
    return "compiled" if compiled.in_use() else "interpreted"


def show(console: Console, times: Times) -> None:
    """Print the times of each sample and the ratios against their targets."""
    rounds = len(next(iter(times.values())))
    samples = Table(
        title=f"Time per operation, µs ({rounds} interleaved rounds, {core_kind()} core)", title_justify="left"
    )
    samples.add_column("sample")
    for column in ("median", "least", "most", "operations/s"):
        samples.add_column(column, justify="right")
    for sample in Sample:
        if sample in times:
            values = [value / 1000 for value in times[sample]]
            middle = median(values)
            figures = (f"{x:.2f}" for x in (middle, min(values), max(values)))
            samples.add_row(sample.value, *figures, f"{1e6 / middle:,.0f}")
    console.print(samples)

    ratios = Table(title="Paired ratios: median over the rounds, quartiles, extremes", title_justify="left")
    for column in ("ratio", "target", "median", "quartiles", "extremes", "verdict"):
        ratios.add_column(column, justify="left" if column in ("ratio", "verdict") else "right")
    for row, spread in verdicts(times).items():
        judged = row in JUDGED
        limit = f"{row.sign} {row.limit:g}" if judged else ""
        if row.stretch is not None:
            limit += f" ({row.stretch:g})"
        ratios.add_row(
            row.text,
            limit,
            f"{spread.median:.2f}",
            f"{spread.lower:.2f} .. {spread.upper:.2f}",
            f"{spread.least:.2f} .. {spread.most:.2f}",
            _verdict(row, spread) if judged else "",
        )
    console.print(ratios)


def _verdict(row: Target, spread: Spread) -> str:
    if not row.met(spread):
        return "[bold red]missed[/]"
    if row.stretch is not None and row.reached(spread.median, row.stretch):
        return "[green]met, stretch too[/]"
    return "[green]met[/]"


def document(times: Times, *, core: int, profiles: Mapping[str, str]) -> dict[str, Any]:
    """Everything that was measured, for machines to read."""
    return {
        "format": "vgicd-bench/1",
        "machine": {
            "cpus": os.cpu_count(),
            "cpu": core,
            "kernel": platform.release(),
            "python": platform.python_version(),
            "core": core_kind(),
        },
        "nanoseconds_per_operation": {sample.name: list(values) for sample, values in times.items()},
        "ratios": [
            {
                "text": row.text,
                "ours": row.ours.name,
                "base": row.base.name,
                "sign": row.sign,
                "target": row.limit if row in JUDGED else None,
                "stretch": row.stretch,
                "met": row.met(spread) if row in JUDGED else None,
                **asdict(spread),
            }
            for row, spread in verdicts(times).items()
        ],
        "profiles": dict(profiles),
    }


def save(path: Path, report: Mapping[str, Any]) -> None:
    """Write `report` to `path` as JSON."""
    path.write_text(json.dumps(report, indent=2) + "\n")


def complain(missed: Sequence[Target]) -> None:
    """One line of standard error for each target that was missed."""
    for target in missed:
        print(f"bench: missed: {target.text} {target.sign} {target.limit:g}", file=sys.stderr)
