"""What the interrupt controller costs a real guest: Debian's kernel booted to its end, GIC in a daemon and in process.

    python -m tests.bench.boot [--quick] [--rounds N] [--core N] [--json FILE]

A round boots the kernel twice, on one CPU of the guest's and one core of the host's: with the GIC in a daemon, then in
process.  The peer of a boot's operations is the blocking Python client, which performs the very same ones again, one
after the other with nothing in between, at the same daemon.  Exit status: 0 all targets met, 1 one was missed, 2 it
could not be measured.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from time import perf_counter_ns
from types import TracebackType
from typing import Final, Self

from rich.console import Console

from tests.bench import options, report
from tests.bench.native import CannotRunError, WrongAnswerError, pinned, preferred
from tests.bench.options import CANNOT_RUN, MET, MISSED
from tests.bench.ratios import time_per_operation
from tests.bench.targets import BOOT_SAMPLES, Sample
from vgicd_client import DaemonFailed, PrivateDaemon, Space, connect, private_daemon
from vgicd_machine import guests
from vgicd_machine.errors import MachineError
from vgicd_machine.gic.domain_port import DomainPort
from vgicd_machine.gic.port import GicPort
from vgicd_machine.gic.socket_port import SocketPort
from vgicd_machine.run import Guest, Run

APPEND: Final = "console=ttyAMA0 rdinit=/init cryptomgr.notests quiet"
GEOMETRY: Final = {"vcpus": 1, "spis": 256, "lrs": 4}
SLICE: Final = 1000  # operations: enough for the mix of a boot's interrupts
GICD_TYPER: Final = 4
TYPERS: Final = 5000
TIME_LIMIT: Final = 300.0  # seconds of a boot

FULL: Final = 7  # rounds
QUICK: Final = 3


@dataclass(slots=True)
class Operation:
    """An access (`size` bytes at `address`) or, if `size` is 0, a change of line `address`, and how long it took."""

    cpu: int | None
    address: int
    size: int
    value: int | None
    answer: int
    nanoseconds: int


class Timed:
    """A `GicPort` that remembers every operation on `port`, and its time."""

    def __init__(self, port: GicPort) -> None:
        self._port = port
        self.windows = port.windows
        self.outputs = port.outputs
        self.operations: list[Operation] = []

    def read(self, cpu: int, address: int, size: int) -> int:
        began = perf_counter_ns()
        value = self._port.read(cpu, address, size)
        self._took(Operation(cpu, address, size, None, value, perf_counter_ns() - began))
        return value

    def write(self, cpu: int, address: int, size: int, value: int) -> None:
        began = perf_counter_ns()
        self._port.write(cpu, address, size, value)
        self._took(Operation(cpu, address, size, value, 0, perf_counter_ns() - began))

    def line(self, intid: int, level: int, cpu: int | None = None) -> None:
        began = perf_counter_ns()
        self._port.line(intid, level, cpu)
        self._took(Operation(cpu, intid, 0, level, 0, perf_counter_ns() - began))

    def check(self) -> None:
        self._port.check()
        self.outputs = self._port.outputs

    def wait(self, seconds: float) -> bool:
        return self._port.wait(seconds)

    def _took(self, operation: Operation) -> None:
        self.operations.append(operation)
        self.outputs = self._port.outputs


class BootBench:
    """A daemon and the guest's files; a context manager, which ends the daemon."""

    def __init__(self, core: int) -> None:
        self.core = core
        self._stack = ExitStack()
        self.daemon: PrivateDaemon

    def __enter__(self) -> Self:
        try:
            with pinned(self.core):
                self.guest = Guest(guests.fetched("linux"), guests.initramfs(), append=APPEND)
                self.daemon = self._stack.enter_context(private_daemon(**GEOMETRY))
        except (MachineError, DaemonFailed) as error:
            self._stack.close()
            raise CannotRunError(str(error)) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def measure(self, rounds: int, console: Console) -> dict[Sample, list[float]]:
        """Nanoseconds per operation of every sample in each of `rounds` rounds.

        Raises WrongAnswerError when a boot fails, or the daemon answers otherwise the second time.
        """
        times: dict[Sample, list[float]] = {sample: [] for sample in BOOT_SAMPLES}
        with pinned(self.core), console.status("booting") as status:
            for number in range(rounds):
                status.update(f"boot {number + 1} of {rounds}")
                for sample, value in self._round().items():
                    times[sample].append(value)
        return times

    def _round(self) -> dict[Sample, float]:
        with connect(self.daemon.address, "control") as client:
            client.reset(GEOMETRY)
            client.reconnect()
            remote, whole = self._boot(SocketPort(client))
            client.reset(GEOMETRY)
            again = Timed(SocketPort(client))
            _repeat(remote.operations, again)
            asked = [client.read(0, Space.GICD, GICD_TYPER) for _ in range(SLICE)]
            typer = _windows(lambda: client.read(0, Space.GICD, GICD_TYPER), TYPERS)
        if len(set(asked)) != 1:
            raise WrongAnswerError("GICD_TYPER has changed")
        local, local_whole = self._boot(DomainPort(**GEOMETRY))
        if [operation.answer for operation in local.operations] != [o.answer for o in remote.operations]:
            raise WrongAnswerError("the guest has not done the same with its GIC in process as with a daemon")
        return {
            Sample.BOOT: _mean(remote),
            Sample.BOOT_WHOLE: whole / len(remote.operations),
            Sample.BOOT_LOCAL: _mean(local),
            Sample.BOOT_LOCAL_WHOLE: local_whole / len(local.operations),
            Sample.BOOT_AGAIN: _mean(again),
            Sample.BOOT_TYPER: time_per_operation(typer, 1, slice_operations=SLICE),
        }

    def _boot(self, port: GicPort) -> tuple[Timed, int]:
        """The operations of a boot, and nanoseconds of the whole of it."""
        timed = Timed(port)
        run = Run(timed, self.guest)
        began = perf_counter_ns()
        outcome = run.perform(TIME_LIMIT)
        if outcome.status:
            raise WrongAnswerError(f"the guest ended with status {outcome.status}")
        return timed, perf_counter_ns() - began


def _repeat(operations: Sequence[Operation], port: GicPort) -> None:
    """Perform `operations` again, one after the other."""
    for operation in operations:
        if not operation.size:
            port.line(operation.address, operation.value or 0, operation.cpu)
        elif operation.value is not None:
            port.write(operation.cpu or 0, operation.address, operation.size, operation.value)
        elif (answer := port.read(operation.cpu or 0, operation.address, operation.size)) != operation.answer:
            raise WrongAnswerError(f"{answer:#x} at {operation.address:#x}, but {operation.answer:#x} in the boot")


def _mean(timed: Timed) -> float:
    return time_per_operation([operation.nanoseconds for operation in timed.operations], 1, slice_operations=SLICE)


def _windows(ask: Callable[[], object], count: int) -> list[int]:
    windows = []
    for _ in range(count):
        began = perf_counter_ns()
        ask()
        windows.append(perf_counter_ns() - began)
    return windows


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure the boots alone; the exit status."""
    description = (__doc__ or "").splitlines()[0]
    chosen = options.parsed(
        options.parser("tests.bench.boot", description, rounds=FULL, quick=QUICK, least=QUICK), arguments
    )
    console = options.console()
    try:
        with preferred(), BootBench(chosen.core) as bench:
            times = bench.measure(chosen.rounds or (QUICK if chosen.quick else FULL), console)
    except (CannotRunError, WrongAnswerError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return CANNOT_RUN
    report.show(console, times)
    if chosen.json:
        report.save(chosen.json, report.document(times, core=chosen.core, profiles={}))
    missed = report.missed(times)
    report.complain(missed)
    return MISSED if missed else MET


if __name__ == "__main__":
    raise SystemExit(main())
