#!/usr/bin/env python3
"""Stop the guest at the first EOI of an interrupt that its vCPU has not acknowledged, and show where it stands.

    eoi_without_ack.py /run/vgicd/guest.gdb --hold

Such an EOI is UNPREDICTABLE (IHI 0048B 3.2.3): the usual effects are a priority that is dropped twice and a nested
interrupt that comes too early.  Acknowledges and EOIs are followed on every vCPU, with what was active at the start
taken over; EOIs out of order are reported, and with --strict they count as well.  What is right stops the guest too,
for some milliseconds each time.  A daemon with `eoi_when_idle = "ignore"` reports no EOI while nothing is active.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence

import common

from vgicd_client.gdbmi_sync import Frame, Gdb, Stop

HANDLER = re.compile(r"irq([0-9]+)(?:_.*)?")


def main() -> int:
    """Run the script; its exit code."""
    parser = common.parser(__doc__, "0 one was found; 1 none")
    parser.add_argument("--strict", action="store_true", help="an EOI out of order counts too")
    parser.add_argument("--hold", action="store_true", help="keep the guest stopped until Enter")
    return common.run(parser, follow)


def follow(gdb: Gdb, options: argparse.Namespace) -> int:
    """Follow all vCPUs to the first wrong EOI."""
    gdb.console("set breakpoint always-inserted on")  # so that a stop does not take them all out and in again
    intids = range(32 * (gdb.read("gicd.TYPER.ITLinesNumber") + 1))
    begins = {gdb.break_(f"irq{intid}_ack").number: intid for intid in intids}
    ends = {gdb.break_(f"irq{intid}_eoi").number: intid for intid in intids}
    active = {thread.number: nesting(gdb.backtrace(thread.number)) for thread in gdb.threads()}
    common.announce(f"following {len(intids)} interrupts on {len(active)} vCPUs")
    for stop in common.stops(gdb, options.seconds):
        stack = active[stop.thread or 1]
        if stop.breakpoint in begins:
            stack.insert(0, begins[stop.breakpoint])
        intid = ends.get(stop.breakpoint or 0)
        if intid is None:
            continue
        if intid in stack:
            in_order = stack[0] == intid
            stack.remove(intid)
            if in_order:
                continue
            print(f"vCPU {stop.vcpu}: EOI of {intid} out of order; still active: {listed(stack)}", flush=True)
            if not options.strict:
                continue
        else:
            print(f"vCPU {stop.vcpu}: EOI of {intid}, which it has not acknowledged; active: {listed(stack)}")
        show(gdb, stop)
        if options.hold:
            print("The guest stands. Enter lets it go. ", flush=True)
            sys.stdin.readline()
        return common.FOUND
    print("no EOI without an acknowledge")
    return common.NOT_FOUND


def nesting(frames: Sequence[Frame]) -> list[int]:
    """The active interrupts of a backtrace, innermost first."""
    found = (HANDLER.fullmatch(frame.function) for frame in frames[1:])
    return [int(match[1]) for match in found if match]


def listed(stack: Sequence[int]) -> str:
    """Active interrupts for people, innermost first."""
    return " in ".join(map(str, stack)) or "nothing"


def show(gdb: Gdb, stop: Stop) -> None:
    """Where the vCPU is."""
    print(f"operation {gdb.read('$order')}; {common.line_of(gdb, stop)}")
    print(gdb.console("backtrace", thread=stop.thread), end="")
    print(gdb.monitor("lrs"), end="", flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
