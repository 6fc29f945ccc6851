"""gdb as a library for trio: a process of one's own, driven through its machine interface.

    async with Gdb.launch() as gdb:
        await gdb.connect("/run/vgicd/guest.gdb")
        await gdb.watch("GICD_ISENABLER1")
        stop = await gdb.continue_until_stop(30)
        print(stop.vcpu, stop.old, stop.new)

Tasks may share a client: commands are sent in the order of the calls, without waiting for each other's answers.  A
call that is cancelled or runs out of time stops waiting; gdb may still carry the command out, its late answer is
dropped, and the client goes on.  When gdb ends, whoever waits gets `GdbDied`, and so does every later call.

The blocking twin with the same methods is `gdbmi_sync`.
"""

from __future__ import annotations

import functools
import math
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

import trio

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


def _method(build: Callable[P, Script[T]]) -> Callable[Concatenate[Gdb, P], Awaitable[T]]:
    """The method that goes through the steps which `build` makes."""

    async def call(self: Gdb, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self.run(build(*args, **kwargs))

    return as_method(build, call, "Gdb")


class Gdb:
    """A gdb process, alive within its `async with` block; `launch` makes one.

    `timeout` is the patience with one command in seconds (None: for ever); waiting for a stop has its own.  All
    methods raise `GdbError`s, see `mi_errors`.
    """

    def __init__(
        self, program: str, arguments: Sequence[str], timeout: float | None, environment: Mapping[str, str] | None
    ) -> None:
        """Not started yet; `launch` is the way to make one."""
        self.program = program
        self.timeout = timeout
        self._arguments = arguments
        self._environment = environment
        self._talk = Conversation()
        self._pipes: Pipes
        self._process: trio.Process
        self._tasks: Any = None  # the manager of the nursery in which `_serve` runs
        self._scope = trio.CancelScope(shield=True)  # shielded: gdb is still heard while a cancelled block ends it
        self._stuck = trio.Event()  # there is something to write

    @classmethod
    def launch(
        cls,
        program: str = "gdb",
        arguments: Sequence[str] = (),
        *,
        timeout: float | None = 10.0,
        environment: Mapping[str, str] | None = None,
    ) -> Self:
        """A client of a new `program` (gdb 13 or later) with further `arguments`, started by `async with`.

        It reads no init files, gets no Ctrl-C of the terminal, and has this process's environment unless given one.
        Entering raises `GdbNotFound` when it cannot be started and `GdbDied` when it does not stay.
        """
        return cls(program, arguments, timeout, environment)

    # --- the process --------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        self._pipes = Pipes(self._talk)
        try:
            stdin, stdout, stderr = self._pipes.theirs
            command = command_line(self.program, self._arguments)
            self._process = await trio.lowlevel.open_process(
                command, stdin=stdin, stdout=stdout, stderr=stderr, env=self._environment, process_group=0
            )
        except OSError as error:
            self._pipes.close()
            raise GdbNotFound(self.program, error.strerror or str(error)) from error
        except BaseException:
            self._pipes.close()
            raise
        self._pipes.started()
        self._tasks = trio.open_nursery()
        nursery = await self._tasks.__aenter__()
        nursery.start_soon(self._serve)
        try:
            await self.run(mi_calls.prepare())
        except BaseException:
            await self._end()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._end()

    async def _end(self) -> None:
        """End gdb, which lets its target go. What the block raised goes on by itself, not wrapped in a group."""
        ways: tuple[Callable[[], object], ...] = (self._quit, self._process.terminate, self._process.kill)
        with trio.CancelScope(shield=True):  # bounded: SIGKILL follows after twice QUIT_DEADLINE
            for way in ways:
                if self._process.returncode is None:
                    way()
                    with trio.move_on_after(QUIT_DEADLINE):
                        await self._process.wait()
        self._talk.fail(self._death)
        self._scope.cancel()
        await self._tasks.__aexit__(None, None, None)
        self._pipes.close()

    def _quit(self) -> None:
        self._put(b"-gdb-exit\n")

    async def _serve(self) -> None:
        """Hear gdb until it ends."""
        with self._scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._hear)
                nursery.start_soon(self._drain)
                nursery.start_soon(self._write)
                await self._process.wait()
                self._pipes.finish()
                self._talk.fail(self._death)
                nursery.cancel_scope.cancel()

    async def _hear(self) -> None:
        while True:
            await trio.lowlevel.wait_readable(self._pipes.stdout)
            if not self._pipes.receive():
                break
        with trio.move_on_after(QUIT_DEADLINE):  # its code says more than the end of its output
            await trio.sleep_forever()
        self._talk.fail(self._death)

    async def _drain(self) -> None:
        while True:
            await trio.lowlevel.wait_readable(self._pipes.stderr)
            if not self._pipes.drain():
                break

    async def _write(self) -> None:
        while True:
            await self._stuck.wait()
            await trio.lowlevel.wait_writable(self._pipes.stdin)
            self._pipes.flush()
            if not self._pipes.unsent:
                self._stuck = trio.Event()

    def _death(self) -> GdbDied:
        return GdbDied(self.program, self._process.returncode, self._pipes.said)

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

    async def run(self, script: Script[T]) -> T:
        """Go through the steps of a function like those of `mi_calls`; its result."""
        try:
            step = next(script)
            while True:
                try:
                    result = await (self._answer(step) if isinstance(step, Ask) else self._stop(step))
                except GdbError as error:
                    step = script.throw(error)
                else:
                    step = script.send(result)
        except StopIteration as end:
            value: T = end.value
            return value
        finally:
            script.close()

    async def _answer(self, ask: Ask) -> Answer:
        await trio.lowlevel.checkpoint_if_cancelled()
        pipes = self._pipes
        if ask.listens and self._talk.alive:
            pipes.receive()
        pending, line = self._talk.ask(ask)
        self._put(line)
        for _ in range(TRIES):
            if not pipes.receive():
                break
            if pending.settled:
                await trio.lowlevel.cancel_shielded_checkpoint()
                return pending.outcome()
            os.sched_yield()
        await self._wait(pending, self.timeout)
        return pending.outcome()

    async def _stop(self, step: NextStop) -> Stop:
        pending = self._talk.expect_stop(step)
        try:
            await self._wait(pending, step.timeout)
        finally:
            self._talk.forget(pending)
        return pending.outcome()

    def _put(self, line: bytes) -> None:
        self._pipes.send(line)
        if self._pipes.unsent:
            self._stuck.set()

    async def _wait(self, pending: Pending[Any], seconds: float | None) -> None:
        """Until it is settled; at least one checkpoint. Raises `GdbTimeout`."""

        def abort(_: object) -> trio.lowlevel.Abort:
            pending.wake = None
            return trio.lowlevel.Abort.SUCCEEDED

        with trio.move_on_after(math.inf if seconds is None else seconds) as scope:
            if pending.settled:
                await trio.lowlevel.checkpoint()
            else:
                pending.wake = functools.partial(trio.lowlevel.reschedule, trio.lowlevel.current_task())
                await trio.lowlevel.wait_task_rescheduled(abort)
        if scope.cancelled_caught and not pending.settled:
            raise pending.late(math.inf if seconds is None else seconds)

    def interrupt(self, timeout: float | None = 10.0) -> Awaitable[Stop]:
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
