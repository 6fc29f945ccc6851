"""What the example scripts share: their options, their exit codes, and saying what went wrong in one line."""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Callable, Iterator
from typing import Final

from vgicd_client.errors import ClientError
from vgicd_client.gdbmi_sync import Gdb, GdbTimeout, Stop

FOUND, NOT_FOUND, FAILED, INTERRUPTED = 0, 1, 2, 130


def parser(text: str, codes: str) -> argparse.ArgumentParser:
    """The options that all have; `text` is the script's docstring, `codes` what its exit codes mean."""
    about, _, more = text.partition("\n")
    parser = argparse.ArgumentParser(
        description=about,
        epilog=f"{more.strip()}\n\nexit codes: {codes}; 2 it could not be done; 130 interrupted",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("address", help="the daemon's gdb endpoint: a path or HOST:PORT")
    parser.add_argument("--gdb", default="gdb", metavar="PROGRAM", help="the gdb to run: gdb (default), gdb-multiarch")
    parser.add_argument("--seconds", type=seconds, metavar="S", help="give up after S seconds (default: at Ctrl-C)")
    return parser


def seconds(text: str) -> float:
    """An option's duration, which is more than 0."""
    if not 0 < (value := float(text)) < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is no time: it must be more than 0 seconds")
    return value


def count(text: str) -> int:
    """An option's number of lines, 1 or more."""
    if (value := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not enough: it must be 1 or more")
    return value


def run(parser: argparse.ArgumentParser, work: Callable[[Gdb, argparse.Namespace], int]) -> int:
    """Parse the options, connect, do the `work` and let the guest go again; the exit code."""
    options = parser.parse_args()
    try:
        with Gdb.launch(options.gdb) as gdb:
            gdb.connect(options.address)
            return work(gdb, options)
    except ClientError as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED


STEP: Final = 0.2
"""Seconds between looks at what else there is to do."""


def announce(what: str) -> None:
    """Everything is in place, and the guest, which stands since the connection, is let go next."""
    print(f"{what}; Ctrl-C ends it", file=sys.stderr, flush=True)


def stops(gdb: Gdb, seconds: float | None) -> Iterator[Stop]:
    """Let the guest run to each stop in turn, until `seconds` have passed or Ctrl-C; the guest runs in between."""
    deadline = None if seconds is None else time.monotonic() + seconds
    while True:
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        try:
            yield gdb.continue_until_stop(left)
        except (GdbTimeout, KeyboardInterrupt):
            gdb.interrupt()
            return


def line_of(gdb: Gdb, stop: Stop) -> str:
    """The state of the vCPU that stopped, in its thread's one line."""
    return next((thread.details for thread in gdb.threads() if thread.number == stop.thread), "")
