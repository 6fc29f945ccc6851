#!/usr/bin/env python3
"""Log software generated interrupts: who sent which to whom, and who acknowledged it.

    log_sgis.py /run/vgicd/guest.gdb --seconds 10 --sgi 3

The guest is not stopped: this reads the live trace of the daemon (`monitor trace`), in which every access of the guest
is a line, so that a busy guest costs gdb time and not its own.  A target that is sent an SGI which it has pending from
the same vCPU gets it once (IHI 0048B 4.3.15); both sends are logged.
"""

from __future__ import annotations

import argparse
import re
import time
from collections.abc import Iterator
from typing import NamedTuple

import common

from vgicd_client.gdbmi_sync import Gdb, GdbTimeout

SENT = re.compile(r"#(\d+) vcpu(\d+) write GICD_SGIR = (0x[0-9a-f]+)")
TAKEN = re.compile(r"#(\d+) irq(\d+)(?:_\w+)? from cpu (\d+) ack by vcpu(\d+)")


class Sgi(NamedTuple):
    """One line of the log; of a send `targets` are the vCPUs, of an acknowledge the one that did it."""

    order: int
    verb: str
    intid: int
    source: int
    targets: tuple[int, ...]

    def __str__(self) -> str:
        to = ", ".join(f"vCPU {target}" for target in self.targets) or "nobody"
        return f"#{self.order} SGI {self.intid} {self.verb} vCPU {self.source} -> {to}"


def main() -> int:
    """Run the script; its exit code."""
    parser = common.parser(__doc__, "0 some were seen; 1 none")
    parser.add_argument("--sgi", type=int, choices=range(16), metavar="N", help="only SGI N, 0 to 15")
    parser.add_argument("--count", type=common.count, metavar="N", help="end after N lines")
    return common.run(parser, log)


def log(gdb: Gdb, options: argparse.Namespace) -> int:
    """Print until the time is over."""
    vcpus = len(gdb.threads())
    gdb.monitor("trace access ack")
    common.announce("logging")
    gdb.resume()
    seen = 0
    for line in lines(gdb, options.seconds):
        sgi = parsed(line, vcpus)
        if sgi is not None and options.sgi in (None, sgi.intid):
            print(sgi, flush=True)
            seen += 1
            if seen == options.count:
                break
    gdb.interrupt()
    gdb.monitor("trace off")
    if not seen:
        print("no SGI was sent or taken")
    return common.FOUND if seen else common.NOT_FOUND


def lines(gdb: Gdb, seconds: float | None) -> Iterator[str]:
    """The lines of the trace, until `seconds` have passed or Ctrl-C."""
    deadline = None if seconds is None else time.monotonic() + seconds
    rest = ""
    while deadline is None or time.monotonic() < deadline:
        try:
            gdb.wait_stop(common.STEP)
            gdb.resume()  # of somebody else's doing
        except GdbTimeout:
            pass
        except KeyboardInterrupt:
            return
        *whole, rest = (rest + gdb.take_output()).split("\n")
        yield from whole


def parsed(line: str, vcpus: int) -> Sgi | None:
    """What a line of the trace tells of an SGI; None if it is about something else."""
    if sent := SENT.match(line):
        order, source, value = int(sent[1]), int(sent[2]), int(sent[3], 16)
        everybody = range(vcpus)
        match value >> 24 & 3:  # TargetListFilter
            case 0:
                targets = tuple(vcpu for vcpu in everybody if value >> 16 + vcpu & 1)
            case 1:
                targets = tuple(vcpu for vcpu in everybody if vcpu != source)
            case 2:
                targets = (source,)
            case _:
                targets = ()
        return Sgi(order, "sent by", value & 0xF, source, targets)
    if taken := TAKEN.match(line):
        return Sgi(int(taken[1]), "taken from", int(taken[2]), int(taken[3]), (int(taken[4]),))
    return None


if __name__ == "__main__":
    raise SystemExit(main())
