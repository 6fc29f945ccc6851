"""gdb as a library, blocking: the twin of `gdbmi`, with the same methods.

    with Gdb.launch() as gdb:
        gdb.connect("/run/vgicd/guest.gdb")
        print(gdb.evaluate("gich.LR[0]"))

One command at a time, for one thread.  A call that runs out of time or is interrupted by Ctrl-C stops waiting; gdb may
still carry the command out, its late answer is dropped, and the client goes on.  When gdb ends, the call gets
`GdbDied`, and so does every later one.
"""

from __future__ import annotations

import math
import os
import select
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

from vgicd_client import mi_calls
from vgicd_client.methods import as_method
from vgicd_client.mi_calls import Script
from vgicd_client.mi_conversation import Answer, Ask, Conversation, NextStop, Pending
from vgicd_client.mi_errors import BadAnswer, GdbDied, GdbError, GdbNotFound, GdbTimeout, MiError
from vgicd_client.mi_pipes import QUIT_DEADLINE, TRIES, Pipes, command_line
from vgicd_client.mi_stops import Breakpoint, Frame, Stop, Thread

__all__ = [
    "BadAnswer",
    "Breakpoint",
    "Frame",
    "Gdb",
    "GdbDied",
    "GdbError",
    "GdbNotFound",
    "GdbTimeout",
    "MiError",
    "Stop",
    "Thread",
]

P = ParamSpec("P")
T = TypeVar("T")


def _method(build: Callable[P, Script[T]]) -> Callable[Concatenate[Gdb, P], T]:
    """The method that goes through the steps which `build` makes."""

    def call(self: Gdb, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self.run(build(*args, **kwargs))

    return as_method(build, call, "Gdb")


class Gdb:
    """A gdb process; made and started by `launch`, ended by `close` or its `with` block.

    `timeout` is the patience with one command in seconds (None: for ever); waiting for a stop has its own.  All
    methods raise `GdbError`s, see `mi_errors`.
    """

    def __init__(
        self, program: str, arguments: Sequence[str], timeout: float | None, environment: Mapping[str, str] | None
    ) -> None:
        """Start it; `launch` is the way to make one."""
        self.program = program
        self.timeout = timeout
        self._talk = Conversation()
        self._pipes = Pipes(self._talk)
        self._closed = False
        try:
            stdin, stdout, stderr = self._pipes.theirs
            self._process = subprocess.Popen(
                command_line(program, arguments),
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
                env=environment,
                process_group=0,
            )
        except OSError as error:
            self._pipes.close()
            raise GdbNotFound(program, error.strerror or str(error)) from error
        self._pipes.started()
        self._death_notice = os.pidfd_open(self._process.pid)
        self._poll = select.poll()
        for descriptor in (self._pipes.stdout, self._pipes.stderr, self._death_notice):
            self._poll.register(descriptor, select.POLLIN)

    @classmethod
    def launch(
        cls,
        program: str = "gdb",
        arguments: Sequence[str] = (),
        *,
        timeout: float | None = 10.0,
        environment: Mapping[str, str] | None = None,
    ) -> Self:
        """A new `program` (gdb 13 or later) with further `arguments`.

        It reads no init files, gets no Ctrl-C of the terminal, and has this process's environment unless given one.
        Raises `GdbNotFound` when it cannot be started and `GdbDied` when it does not stay.
        """
        gdb = cls(program, arguments, timeout, environment)
        try:
            gdb.run(mi_calls.prepare())
        except BaseException:
            gdb.close()
            raise
        return gdb

    # --- the process --------------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End gdb, which lets its target go; idempotent. At most twice `QUIT_DEADLINE` and a SIGKILL."""
        if self._closed:
            return
        self._closed = True
        ways: tuple[Callable[[], object], ...] = (self._quit, self._process.terminate, self._process.kill)
        for way in ways:
            if self._process.poll() is None:
                way()
                self._listen(lambda: self._process.poll() is not None, time.monotonic() + QUIT_DEADLINE)
        self._talk.fail(self._death)
        self._pipes.close()
        os.close(self._death_notice)

    def _quit(self) -> None:
        self._pipes.send(b"-gdb-exit\n")

    def _death(self) -> GdbDied:
        return GdbDied(self.program, self._process.returncode, self._pipes.said)

    def _listen(self, done: Callable[[], bool], deadline: float) -> bool:
        """Hear gdb until `done`; False when the deadline came first."""
        pipes = self._pipes
        while not done():
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            for descriptor in self._ready(None if left == math.inf else math.ceil(left * 1000)):
                self._hear(descriptor)
            pipes.flush()
        return True

    def _ready(self, milliseconds: int | None) -> list[int]:
        """The descriptors that have something; none when the time is over, or when gdb takes what is unsent."""
        waits = bool(self._pipes.unsent)
        if waits:
            self._poll.register(self._pipes.stdin, select.POLLOUT)
        try:
            return [descriptor for descriptor, _ in self._poll.poll(milliseconds)]
        finally:
            if waits:  # also when Ctrl-C ends it: a pipe that has room would end every later wait at once
                self._poll.unregister(self._pipes.stdin)

    def _hear(self, descriptor: int) -> None:
        pipes = self._pipes
        if descriptor == pipes.stderr and not pipes.drain():
            self._poll.unregister(pipes.stderr)
        elif descriptor == pipes.stdout and not pipes.receive():
            self._poll.unregister(pipes.stdout)
            try:
                self._process.wait(QUIT_DEADLINE)  # its code says more than the end of its output
            except subprocess.TimeoutExpired:
                self._talk.fail(self._death)
        elif descriptor == self._death_notice:
            self._poll.unregister(self._death_notice)
            self._process.wait()
            pipes.finish()
            self._talk.fail(self._death)

    @property
    def pid(self) -> int:
        """The process id of gdb."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the target runs, or any thread of it, as far as gdb has told."""
        return self._talk.running

    @property
    def stderr(self) -> str:
        """The last part of what gdb has written to standard error."""
        return self._pipes.said

    def take_output(self) -> str:
        """What gdb and its target have said since the last call, the answers to commands apart: dprintf, traces."""
        return self._talk.take_output()

    # --- commands -----------------------------------------------------------------------------------------------

    def run(self, script: Script[T]) -> T:
        """Go through the steps of a function like those of `mi_calls`; its result."""
        try:
            step = next(script)
            while True:
                try:
                    result = self._answer(step) if isinstance(step, Ask) else self._stop(step)
                except GdbError as error:
                    step = script.throw(error)
                else:
                    step = script.send(result)
        except StopIteration as end:
            value: T = end.value
            return value
        finally:
            script.close()

    def _answer(self, ask: Ask) -> Answer:
        pipes = self._pipes
        if ask.listens and self._talk.alive:
            pipes.receive()
        pending, line = self._talk.ask(ask)
        pipes.send(line)
        for _ in range(TRIES):
            if not pipes.receive():
                break
            if pending.settled:
                return pending.outcome()
            os.sched_yield()
        self._wait(pending, self.timeout)
        return pending.outcome()

    def _stop(self, step: NextStop) -> Stop:
        pending = self._talk.expect_stop(step)
        try:
            self._wait(pending, step.timeout)
        finally:
            self._talk.forget(pending)
        return pending.outcome()

    def _wait(self, pending: Pending[Any], seconds: float | None) -> None:
        """Until it is settled. Raises `GdbTimeout`."""
        patience = math.inf if seconds is None else seconds
        if not self._listen(lambda: pending.settled, time.monotonic() + patience):
            raise pending.late(patience)

    def interrupt(self, timeout: float | None = 10.0) -> Stop:
        """Stop the running target and wait for the stop; of one that stands, the stop that there was."""
        return self.run(mi_calls.interrupt(self._talk, timeout))

    connect = _method(mi_calls.connect)
    detach = _method(mi_calls.detach)
    evaluate = _method(mi_calls.evaluate)
    read = _method(mi_calls.read)
    write = _method(mi_calls.write)
    watch = _method(mi_calls.watch)
    rwatch = _method(mi_calls.rwatch)
    awatch = _method(mi_calls.awatch)
    break_ = _method(mi_calls.break_)
    delete = _method(mi_calls.delete)
    resume = _method(mi_calls.resume)
    wait_stop = _method(mi_calls.wait_stop)
    continue_until_stop = _method(mi_calls.continue_until_stop)
    step = _method(mi_calls.step)
    threads = _method(mi_calls.threads)
    select = _method(mi_calls.select)
    backtrace = _method(mi_calls.backtrace)
    custom = _method(mi_calls.custom)
    console = _method(mi_calls.console)
    monitor = _method(mi_calls.monitor)
    info_os = _method(mi_calls.info_os)
