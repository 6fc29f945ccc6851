"""What the gdb side costs: our gdb clients against pygdbmi's controller and a bare pipe loop, RSP against the wire.

    python -m tests.bench.gdb [--quick] [--rounds N] [--core N] [--json FILE]

Everything runs on one core: this process, the daemons and one gdb per client, all of them connected to one daemon.  The
wire protocol is asked at a second daemon, for those gdbs hold the guest of theirs.  A round takes every sample once,
and each ratio is of two samples of one round.  Exit status: 0 all targets met, 1 one was missed, 2 it could not be
measured.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter_ns
from types import TracebackType
from typing import Any, Final, Self

import trio
from pygdbmi.gdbcontroller import GdbController
from pygdbmi.gdbmiparser import parse_response
from rich.console import Console

from tests.bench import options, report
from tests.bench.native import CannotRunError, WrongAnswerError, pinned, preferred
from tests.bench.options import CANNOT_RUN, MET, MISSED
from tests.bench.ratios import time_per_operation
from tests.bench.rsp import RspClient
from tests.bench.targets import GDB_SAMPLES, Sample
from vgicd_client import Client, DaemonFailed, Space, connect, gdbmi, gdbmi_sync, private_daemon

COMMAND: Final = ("gdb", "--interpreter=mi4", "-nx", "-q")
EXPRESSION: Final = "gicd.TYPER"
ADDRESS: Final = 0x0800_0004  # GICD_TYPER of profile virt
SLICE: Final = 50


@dataclass(frozen=True)
class GdbEffort:
    """How much to measure: rounds, and operations of one sample."""

    rounds: int
    evaluations: int
    controller: int  # a fifth of a second each
    packets: int


FULL: Final = GdbEffort(rounds=11, evaluations=1000, controller=3, packets=5000)
QUICK: Final = GdbEffort(rounds=7, evaluations=400, controller=2, packets=2000)


class PipeLoop:
    """The least that a program can do with gdb and pygdbmi's parser: write, read lines, look for the token."""

    def __init__(self, path: str) -> None:
        self.process = subprocess.Popen(COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        if self.process.stdin is None or self.process.stdout is None:
            raise CannotRunError("no pipes to gdb")
        self._in, self._out = self.process.stdin.fileno(), self.process.stdout.fileno()
        self._token = 0
        self._rest = b""
        self.ask("-gdb-set mi-async on")
        self.ask(f"-target-select remote {path}")

    def ask(self, command: str) -> dict[str, Any]:
        """The parsed answer to `command`."""
        self._token += 1
        os.write(self._in, f"{self._token}{command}\n".encode())
        while True:
            data = os.read(self._out, 1 << 16)
            if not data:
                raise CannotRunError(f"gdb ended at {command}")
            *lines, self._rest = (self._rest + data).split(b"\n")
            for line in lines:
                record: dict[str, Any] = parse_response(line.decode())
                if record.get("token") == self._token:
                    return record

    def close(self) -> None:
        """End gdb, which does so at the end of its input."""
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()
        self.process.wait(10)


class GdbBench:
    """The daemons and the gdbs, started once; a context manager, which ends them."""

    def __init__(self, effort: GdbEffort, core: int) -> None:
        self.effort = effort
        self.core = core
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        try:
            with pinned(self.core):
                self._start()
        except BaseException as error:
            self._stack.close()
            if isinstance(error, gdbmi.GdbError | DaemonFailed | OSError):
                raise CannotRunError(str(error)) from error
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def _start(self) -> None:
        if shutil.which(COMMAND[0]) is None:
            raise CannotRunError("gdb is not installed (Debian: gdb)")
        enter = self._stack.enter_context
        folder = Path(enter(tempfile.TemporaryDirectory(prefix="vgicd-bench-")))
        self.path = str(folder / "gdb")
        enter(private_daemon(f"--gdb=unix:{self.path}", vcpus=1, spis=64))
        self.wire: Client = enter(connect(enter(private_daemon(vcpus=1, spis=64)).address, "guest"))
        self.loop = PipeLoop(self.path)
        self._stack.callback(self.loop.close)
        self.blocking = enter(gdbmi_sync.Gdb.launch())
        self.blocking.connect(self.path)
        self.controller = enter(_controller(self.path))
        self.expected = self.blocking.evaluate(EXPRESSION)
        self.typer = self.blocking.read(EXPRESSION)

    def measure(self, rounds: int, console: Console) -> dict[Sample, list[float]]:
        """Nanoseconds per operation of every sample in each of `rounds` rounds, after one that is not counted.

        Raises WrongAnswerError when somebody answers something else than the others.
        """
        times: dict[Sample, list[float]] = {sample: [] for sample in GDB_SAMPLES}
        with pinned(self.core), console.status("warming up") as status:
            for number in range(-1, rounds):
                for sample in GDB_SAMPLES:
                    status.update(f"round {max(number + 1, 0)} of {rounds}: {sample.value}")
                    value = self.sample(sample)
                    if number >= 0:
                        times[sample].append(value)
        return times

    def sample(self, sample: Sample) -> float:
        """Take one sample; nanoseconds per operation."""
        evaluations, packets = self.effort.evaluations, self.effort.packets
        match sample:
            case Sample.GDB_CONTROLLER:
                return _timed(self._ask_controller, self.effort.controller, self.expected, 1)
            case Sample.GDB_PIPE:
                command = f"-data-evaluate-expression {EXPRESSION}"
                return _timed(lambda: self.loop.ask(command)["payload"]["value"], evaluations, self.expected)
            case Sample.GDB_BLOCKING:
                return _timed(lambda: self.blocking.evaluate(EXPRESSION), evaluations, self.expected)
            case Sample.GDB_TRIO:
                return trio.run(self._ask_trio, EXPRESSION, self.expected)
            case Sample.GDB_NOTHING:
                return trio.run(self._ask_trio, "1+1", "2")
            case Sample.RSP:
                with RspClient(self.path) as stub:
                    return _timed(
                        lambda: stub.ask(b"m%x,4" % ADDRESS), packets, self.typer.to_bytes(4, "little").hex().encode()
                    )
            case Sample.RSP_WIRE:
                return _timed(lambda: self.wire.read(0, Space.PHYSICAL, ADDRESS), packets, self.typer)
        raise ValueError(f"{sample} is no sample of the gdb section")

    def _ask_controller(self) -> str:
        records = self.controller.write(f"-data-evaluate-expression {EXPRESSION}")
        return str(next(record["payload"]["value"] for record in records if record["type"] == "result"))

    async def _ask_trio(self, expression: str, expected: str) -> float:
        async with gdbmi.Gdb.launch() as gdb:
            await gdb.connect(self.path)
            return await _timed_async(lambda: gdb.evaluate(expression), self.effort.evaluations, expected)


@contextmanager
def _controller(path: str) -> Iterator[GdbController]:
    controller = GdbController(list(COMMAND))
    try:
        records = controller.write(f"-target-select remote {path}")
        if not any(record["message"] == "connected" for record in records):
            raise CannotRunError(f"GdbController does not connect: {records}")
        yield controller
    finally:
        if (process := controller.gdb_process) is not None:
            controller.exit()
            process.communicate()


def _timed(ask: Callable[[], object], count: int, expected: object, size: int = SLICE) -> float:
    windows = []
    for _ in range(count // size):
        started = perf_counter_ns()
        answers = [ask() for _ in range(size)]
        windows.append(perf_counter_ns() - started)
        _compare(answers, expected)
    return time_per_operation(windows, size, slice_operations=size)


async def _timed_async(ask: Callable[[], Awaitable[object]], count: int, expected: object) -> float:
    windows = []
    for _ in range(count // SLICE):
        started = perf_counter_ns()
        answers = [await ask() for _ in range(SLICE)]
        windows.append(perf_counter_ns() - started)
        _compare(answers, expected)
    return time_per_operation(windows, SLICE, slice_operations=SLICE)


def _compare(answers: Sequence[object], expected: object) -> None:
    for answer in answers:
        if answer != expected:
            raise WrongAnswerError(f"{answer!r} instead of {expected!r}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure the gdb section alone; the exit status."""
    description = (__doc__ or "").splitlines()[0]
    parser = options.parser("tests.bench.gdb", description, rounds=FULL.rounds, quick=QUICK.rounds)
    chosen = options.parsed(parser, arguments)
    effort = QUICK if chosen.quick else FULL
    console = options.console()
    try:
        with preferred(), GdbBench(effort, chosen.core) as bench:
            times = bench.measure(chosen.rounds or effort.rounds, console)
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
