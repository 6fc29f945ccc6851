#!/usr/bin/env python3
"""Tell who touched the interrupt enables: each access to GICD_ISENABLERn and GICD_ICENABLERn, by vCPU, in order.

    who_touched_isenabler.py /run/vgicd/guest.gdb --intid 42 --changes

A line has the operation's number, the vCPU, the register, its value before and after, the interrupts that this enabled
(+) or disabled (-), and the vCPU's state.  The last line names who was last.  The guest stops for each access as long
as gdb takes to report it, a few milliseconds, and runs on when this ends.
"""

from __future__ import annotations

import argparse
import sys

import common

from vgicd_client.gdbmi_sync import Gdb


def main() -> int:
    """Run the script; its exit code."""
    parser = common.parser(__doc__, "0 somebody touched them; 1 nobody did")
    parser.add_argument("--intid", type=int, metavar="N", help="only the registers that hold interrupt N's bit")
    parser.add_argument("--changes", action="store_true", help="only accesses that change an enable")
    parser.add_argument("--count", type=common.count, metavar="N", help="end after N of them")
    return common.run(parser, watch)


def watch(gdb: Gdb, options: argparse.Namespace) -> int:
    """Watch, print, and sum up."""
    words = gdb.read("gicd.TYPER.ITLinesNumber") + 1
    if options.intid is not None and not 0 <= options.intid < words * 32:
        print(f"there is no interrupt {options.intid}: this GIC has 0 to {words * 32 - 1}", file=sys.stderr)
        return common.FAILED
    wanted = range(words) if options.intid is None else [options.intid // 32]
    names = {}
    known = {}
    for word in wanted:
        for register in (f"GICD_ISENABLER{word}", f"GICD_ICENABLER{word}"):
            names[gdb.awatch(register).number] = register, word
        for thread in gdb.threads():  # the first word is banked
            known[word, thread.number] = gdb.read(f"GICD_ISENABLER{word}", thread=thread.number)
    common.announce(f"watching {len(names)} registers")
    last = ""
    seen = 0
    for stop in common.stops(gdb, options.seconds):
        if stop.breakpoint not in names:  # a signal, or another debugger's interrupt
            continue
        register, word = names[stop.breakpoint]
        old, new = known[word, stop.thread or 1], int(stop.new or "0", 0)
        for number in [stop.thread or 1] if word == 0 else [number for _, number in known]:
            known[word, number] = new
        if options.changes and old == new:
            continue
        order = gdb.read("$order")
        last = f"vCPU {stop.vcpu}, {register}, operation {order}"
        state = common.line_of(gdb, stop)
        print(f"#{order} vCPU {stop.vcpu} {register} {change(old, new, word)}   ({state})", flush=True)
        seen += 1
        if seen == options.count:
            break
    print(f"last: {last}" if seen else "nobody touched them")
    return common.FOUND if seen else common.NOT_FOUND


def change(old: int, new: int, word: int) -> str:
    """What the access did to the interrupts of that word."""
    bits = [bit for bit in range(32) if (old ^ new) >> bit & 1]
    changes = " ".join(f"{'+' if new >> bit & 1 else '-'}{32 * word + bit}" for bit in bits)
    return f"{old:#010x} -> {new:#010x} {changes}" if bits else f"{new:#010x} (read, or nothing changed)"


if __name__ == "__main__":
    raise SystemExit(main())
