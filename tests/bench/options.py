"""The command line that the whole benchmark and its gdb section have in common."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from rich.console import Console

LEAST_ROUNDS: Final = 7
MET, MISSED, CANNOT_RUN = 0, 1, 2  # exit statuses


def parser(
    program: str, description: str, *, rounds: int, quick: int, least: int = LEAST_ROUNDS
) -> argparse.ArgumentParser:
    """`rounds` and `quick` are the numbers of rounds without and with --quick, `least` that which may be asked for."""

    def enough(text: str) -> int:
        number = int(text)
        if number < least:
            raise argparse.ArgumentTypeError(f"at least {least}: fewer have no useful spread")
        return number

    parser = argparse.ArgumentParser(prog=program, description=description)
    parser.add_argument("--quick", action="store_true", help="shorter runs: half a minute, wider spread")
    parser.add_argument("--rounds", type=enough, help=f"interleaved rounds ({rounds}; --quick: {quick})")
    parser.add_argument("--core", type=int, help="the core to measure on (the last one that may be used)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    return parser


def parsed(parser: argparse.ArgumentParser, arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options, with `core` filled in."""
    chosen = parser.parse_args(arguments)
    if chosen.core is None:
        chosen.core = max(os.sched_getaffinity(0))
    return chosen


def console() -> Console:
    """Where the tables go; as wide as they are when it is no terminal."""
    return Console(width=None if sys.stdout.isatty() else 120)
