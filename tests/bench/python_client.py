"""The blocking Python client on the measured core: what a Python user of the daemon gets.

    python -m tests.bench.python_client ADDRESS STREAM

STREAM is a pickled list of steps, whose answers are compared.  Prints nanoseconds per operation, a slice of them per
line.
"""

from __future__ import annotations

import pickle
import sys
from pathlib import Path
from time import perf_counter_ns
from typing import Final

from tests.bench.workload import Operation, Step
from vgicd.domain import operations as op
from vgicd_client import Client, connect

SLICE: Final = 100


def ask(gic: Client, operation: Operation) -> int | None:
    """Carry out the operation with the method that a user would call."""
    match operation:
        case op.Read(vcpu, space, address, size):
            return gic.read(vcpu, space, address, size)
        case op.Write(vcpu, space, address, size, value):
            gic.write(vcpu, space, address, value, size)
        case op.Line(intid, level, _, pulse):  # SPIs only
            if pulse:
                gic.pulse(intid)
            else:
                gic.line(intid, level)
    return None


def main() -> int:
    """Run the stream once; 1 when an answer is not the recorded one."""
    address, path = sys.argv[1:]
    steps: list[Step] = pickle.loads(Path(path).read_bytes())
    with connect(address, role="guest") as gic:
        for at in range(0, len(steps) - SLICE + 1, SLICE):
            part = steps[at : at + SLICE]
            started = perf_counter_ns()
            values = [ask(gic, step.operation) for step in part]
            print(perf_counter_ns() - started)
            for step, value in zip(part, values, strict=True):
                if (value or 0) != step.value:
                    print(f"{step} was answered {value}", file=sys.stderr)
                    return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
