"""What a round measures: the servers, the scripts that they are asked, and how often."""

from __future__ import annotations

import pickle
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from rich.console import Console

from tests.bench import c_client, inprocess, native, peers, scripts, workload
from tests.bench.native import CannotRunError, Frame, WrongAnswerError, pinned
from tests.bench.ratios import time_per_operation
from tests.bench.targets import VECTOR, WIRE_SAMPLES, Sample
from tests.bench.workload import Stream


@dataclass(frozen=True)
class Effort:
    """How much to measure: rounds, and operations of one sample."""

    rounds: int
    sequential: int
    pipelined: int
    working: int  # a multiple of `VECTOR`
    inprocess: int
    crowded: int


FULL: Final = Effort(rounds=11, sequential=10_000, pipelined=40_960, working=20_480, inprocess=10_000, crowded=4_000)
QUICK: Final = Effort(rounds=7, sequential=3_000, pipelined=10_240, working=5_120, inprocess=3_000, crowded=1_500)


@dataclass(frozen=True)
class Run:
    """One sample taken by the C driver."""

    connection: socket.socket
    script: Path
    window: int  # frames
    count: int  # windows
    operations: int  # of a window
    prepare: Callable[[], None] | None = None


class Bench:
    """All servers, started once; `measure` asks them in turn.  A context manager: leaving it ends the servers."""

    def __init__(self, effort: Effort, core: int) -> None:
        self.effort = effort
        self.core = core
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def _start(self) -> None:
        effort, core, enter = self.effort, self.core, self._stack.enter_context
        self.idle = workload.idle(effort.pipelined)
        self.working = workload.working(effort.working)
        self.inprocess = self.working.cut(effort.inprocess)
        self.crowded = workload.crowded(effort.crowded)

        self.directory = Path(enter(tempfile.TemporaryDirectory(prefix="vgicd-bench-")))
        echo = enter(peers.echo(core))
        qtest = enter(peers.qtest(core, self.directory))
        self.idle_daemon = enter(peers.vgicd(core, self.idle.config))
        self.working_daemon = enter(peers.vgicd(core, self.working.config))
        self.runs = self._runs(echo, qtest)

    def _runs(self, echo: socket.socket, qtest: socket.socket) -> dict[Sample, Run]:
        effort = self.effort
        typer = scripts.hot_frames(self.idle.steps[:VECTOR])
        lines = self.idle_daemon.qtest
        readl, our_readl = ([peers.qtest_typer(server)] * VECTOR for server in (qtest, lines))
        idle, working = self.idle_daemon.connection, self.working_daemon.connection

        def pipelined(connection: socket.socket, name: str, frames: list[Frame], depth: int) -> Run:
            total = effort.sequential if depth == 1 else effort.pipelined
            script = self._script(f"{name}-{depth}", frames)
            return Run(connection, script, depth, total // depth, depth)

        def batched(connection: socket.socket, name: str, stream: Stream, prepare: Callable[[], None] | None) -> Run:
            frames = scripts.vector_frames(stream.steps, VECTOR)
            return Run(connection, self._script(name, frames), 1, len(frames), VECTOR, prepare)

        restart = self._restart_working
        mix = self._script("working-1", scripts.hot_frames(self.working.steps))
        runs = {
            Sample.ECHO: pipelined(echo, "echo", [scripts.echoed(frame) for frame in typer], 1),
            Sample.QTEST: pipelined(qtest, "qtest", readl, 1),
            Sample.OVER_QTEST: pipelined(lines, "lines", our_readl, 1),
            Sample.OVER_QTEST_512: pipelined(lines, "lines", our_readl, 512),
            Sample.IDLE: pipelined(idle, "idle", typer, 1),
            Sample.WORKING: Run(working, mix, 1, len(self.working.steps), 1, restart),
            Sample.IDLE_VECTOR: batched(idle, "idle-vector", self.idle, None),
            Sample.WORKING_VECTOR: batched(working, "working-vector", self.working, restart),
        }
        depths = ((8, Sample.QTEST_8, Sample.IDLE_8), (64, Sample.QTEST_64, Sample.IDLE_64))
        for depth, theirs, ours in (*depths, (512, Sample.QTEST_512, Sample.IDLE_512)):
            runs[theirs] = pipelined(qtest, "qtest", readl, depth)
            runs[ours] = pipelined(idle, "idle", typer, depth)
        return runs

    def _script(self, name: str, frames: list[Frame]) -> Path:
        path = self.directory / f"{name}.script"
        native.save_script(path, frames)
        return path

    def _restart_working(self) -> None:
        self.working_daemon.restart(self.working)

    # --- one round ----------------------------------------------------------------------------------------------

    def measure(self, rounds: int, console: Console) -> dict[Sample, list[float]]:
        """Nanoseconds per operation of every sample in each of `rounds` rounds, after one that is not counted.

        Raises WrongAnswerError when a server answers anything else than it did when the stream was recorded.
        """
        times: dict[Sample, list[float]] = {sample: [] for sample in WIRE_SAMPLES}
        with console.status("warming up") as status:
            for number in range(-1, rounds):
                for sample in WIRE_SAMPLES:
                    status.update(f"round {max(number + 1, 0)} of {rounds}: {sample.value}")
                    value = self.sample(sample)
                    if number >= 0:
                        times[sample].append(value)
        return times

    def sample(self, sample: Sample) -> float:
        """Take one sample; nanoseconds per operation."""
        match sample:
            case Sample.CLIENT:
                steps = self.effort.sequential
                return self._python_client(self.idle_daemon, "idle", self.idle, min(steps, len(self.idle.steps)))
            case Sample.CLIENT_WORKING:
                self._restart_working()
                return self._python_client(self.working_daemon, "working", self.working, self.effort.sequential)
            case Sample.C_CLIENT | Sample.C_CLIENT_VECTOR:
                return self._c_client(self.idle_daemon, "idle", self.idle, 1 if sample is Sample.C_CLIENT else VECTOR)
            case Sample.C_CLIENT_WORKING:
                self._restart_working()
                return self._c_client(self.working_daemon, "working", self.working, 1)
            case Sample.INPROCESS | Sample.INPROCESS_CROWDED:
                stream = self.inprocess if sample is Sample.INPROCESS else self.crowded
                with pinned(self.core):
                    return inprocess.nanoseconds(stream)
        run = self.runs[sample]
        if run.prepare:
            run.prepare()
        windows = native.drive(run.connection, run.script, window=run.window, count=run.count, core=self.core)
        return time_per_operation(windows, run.operations)

    def _c_client(self, daemon: peers.Daemon, name: str, stream: Stream, entries: int) -> float:
        length = self.effort.sequential if entries == 1 else self.effort.pipelined
        path = self.directory / f"{name}-{length}.c-steps"
        if not path.exists():
            c_client.save_steps(path, stream.steps[:length])
        slices = c_client.run(daemon.address, path, entries=entries, core=self.core)
        return time_per_operation(slices, c_client.SLICE if entries == 1 else entries)

    def _python_client(self, daemon: peers.Daemon, name: str, stream: Stream, length: int) -> float:
        path = self.directory / f"{name}-{length}.steps"
        if not path.exists():
            path.write_bytes(pickle.dumps(stream.steps[:length]))
        command = [sys.executable, "-m", "tests.bench.python_client", daemon.address, str(path)]
        with pinned(self.core):
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        out, err = process.communicate(timeout=native.RUN_DEADLINE)
        if process.returncode == 1:
            raise WrongAnswerError(f"Python client: {err}")
        if process.returncode:
            raise CannotRunError(f"Python client: {err}")
        return time_per_operation([int(line) for line in out.split()], 100)
