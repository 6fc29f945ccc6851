"""Carrying out `vgicctl run`: the interrupt controller, the terminal and the machine, from beginning to end."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final, NamedTuple, TextIO

import click

from vgicd_client import PrivateDaemon, private_daemon
from vgicd_machine.board.timers import FREQUENCY
from vgicd_machine.errors import GicLost, ImageError, Interrupted, MachineError
from vgicd_machine.gdb.debugger import GdbDebugger
from vgicd_machine.gdb.endpoint import Endpoint, open_endpoint
from vgicd_machine.gic.domain_port import DomainPort
from vgicd_machine.gic.socket_port import TIMEOUT, SocketPort, open_port, reset
from vgicd_machine.host.keyboard import HELP, Keyboard
from vgicd_machine.host.pace import Pace
from vgicd_machine.host.progress import Progress
from vgicd_machine.host.screen import Screen
from vgicd_machine.host.signals import Signals
from vgicd_machine.host.terminal import keys_to_guest
from vgicd_machine.instruments import Instruments, opened
from vgicd_machine.machine import Debugger
from vgicd_machine.options import say, write_error
from vgicd_machine.run import Guest, Outcome, Run
from vgicd_machine.settings import Settings

LARGEST_OF_GUEST: Final = 119
"""The largest exit status that is the guest's own."""

_BURIAL: Final = 0.3  # seconds between a process's sockets being closed and its status being there


class Controller(NamedTuple):
    """An interrupt controller with `vcpus`; `renew()` makes it as after reset; `daemon` if it is this run's own.

    `endpoint` is where gdb may connect to see the CPUs beside it.
    """

    port: SocketPort | DomainPort
    vcpus: int
    geometry: dict[str, object]
    renew: Callable[[], None]
    daemon: PrivateDaemon | None = None
    endpoint: Endpoint | None = None


def perform(settings: Settings) -> int:
    """Run the guest as often as it is to be run; yields the exit status.

    Raises as `Run`, `Run.perform`, `open_port` and `reset` do.
    """
    with Signals() as signals, ExitStack() as stack:
        endpoint = None if settings.gdb is None else stack.enter_context(open_endpoint(settings.gdb))
        if endpoint is not None:
            say(f"gdb: target remote {endpoint.address}")
        controller = _controller(settings, stack)
        try:
            return _perform(settings, controller._replace(endpoint=endpoint), signals)
        except GicLost as error:
            if signals.number:  # Ctrl-C is for all of a terminal's programs: the daemon has ended, too
                raise Interrupted(f"ended by {signal.Signals(signals.number).name}", signals.number) from error
            raise _with_its_last_words(error, controller.daemon) from error


def _perform(settings: Settings, controller: Controller, signals: Signals) -> int:
    keyboard = Keyboard(sys.stdin.fileno() if settings.hears else None, _tell if settings.types_on_terminal else None)
    guest = _guest(settings, controller.vcpus)
    screen = Screen()
    with opened(settings.log) as log:
        while (outcome := _boot(settings, controller, guest, keyboard, log, signals, screen)).reset:
            if settings.on_reset == "exit":
                say("the guest asked for a reset, which ends the run (--on-reset reboot goes on)")
                break
            controller.renew()
    return _status(outcome)


def _boot(
    settings: Settings,
    controller: Controller,
    guest: Guest,
    keyboard: Keyboard,
    log: TextIO | None,
    signals: Signals,
    screen: Screen,
) -> Outcome:
    """Load and run the guest once."""
    instruments = Instruments(
        controller.port, guest, controller.geometry, log=log, audit=settings.audit, stats=settings.stats
    )
    run = Run(
        instruments.port,
        guest,
        write=screen.write,
        patience=settings.patience,
        keyboard=keyboard,
        pace=Pace() if settings.is_paced else None,
        observer=instruments.audit,
        clock=instruments.clock,
        debugger=_debugger(settings, controller),
    )
    if settings.dump_dtb is not None:
        _dump(run.boot.tree, settings.dump_dtb)
        return Outcome(0, (), 0, reset=False)
    try:
        with _terminal(settings), _progress(run, screen) as screen.progress, signals.noted_at(keyboard):
            outcome = run.perform(settings.timeout)
    except BaseException:
        with contextlib.suppress(MachineError):  # why it ended comes first
            _report(settings, instruments, run)
        raise
    finally:
        screen.progress = None
    _report(settings, instruments, run)
    instruments.judge()
    if outcome.halted:
        say("the guest has told its status and waits for nothing, which ends the run")
    return outcome


def _report(settings: Settings, instruments: Instruments, run: Run) -> None:
    """What was asked for besides the console, on standard error."""
    if settings.json:
        if report := instruments.report(run.machine):
            write_error(json.dumps(report))
        return
    if settings.stats:
        for line in instruments.statistics(run.machine):
            say(line)
    if instruments.audit is not None:
        for line in instruments.audit.lines():
            say(line)


def _debugger(settings: Settings, controller: Controller) -> Debugger | None:
    if controller.endpoint is None:
        return None
    return GdbDebugger(controller.endpoint, controller.port, wait=settings.gdb_wait)


def _status(outcome: Outcome) -> int:
    if outcome.status > LARGEST_OF_GUEST:
        say(f"the guest's status {outcome.status} becomes {LARGEST_OF_GUEST}: larger ones are the machine's own")
    return min(outcome.status, LARGEST_OF_GUEST)


def _guest(settings: Settings, vcpus: int) -> Guest:
    cpus = vcpus if settings.cpus is None else settings.cpus
    return Guest(
        settings.image, settings.initrd, settings.dtb, settings.append, settings.load_address, settings.firmware,
        cpus, settings.ram << 20, settings.seed,
    )  # fmt: skip


# -- the interrupt controller


def _controller(settings: Settings, stack: ExitStack) -> Controller:
    vcpus = settings.cpus or 1
    if settings.in_process:
        geometry: dict[str, object] = {"lrs": settings.lrs, "spis": settings.spis, "variant": settings.variant}
        local = DomainPort(vcpus=vcpus, **geometry)
        return Controller(local, vcpus, geometry, local.renew)
    patient = None if settings.held else TIMEOUT
    daemon = None
    if settings.connect is None:
        daemon = stack.enter_context(
            private_daemon(vcpus=vcpus, lrs=settings.lrs, spis=settings.spis, variant=settings.variant)
        )
    address = settings.connect or (daemon.address if daemon is not None else "")
    remote = stack.enter_context(open_port(address, patient))
    if vcpus > remote.vcpus:
        raise click.UsageError(f"--cpus {vcpus}: the domain at {address} has {remote.vcpus} vCPUs.")
    if settings.anew:
        reset(address, patient)
        remote.check()
    if left := remote.left_over():
        say(
            f"warning: {address} has served before ({left}), and a guest expects an interrupt controller as after "
            "reset: `vgicctl reset`, or --reset here"
        )

    def renew() -> None:
        reset(address, patient, why="--on-reset reboot")
        remote.check()

    return Controller(remote, remote.vcpus, remote.geometry, renew, daemon)


def _with_its_last_words(error: GicLost, daemon: PrivateDaemon | None) -> GicLost:
    """`error`, and how a private daemon has ended, with what it said if that was by itself."""
    if daemon is None:
        return error
    try:
        code = daemon.process.wait(_BURIAL)
    except subprocess.TimeoutExpired:
        return error
    if code < 0:
        return GicLost(f"{error} (its process {daemon.pid} was ended by {signal.Signals(-code).name})")
    return GicLost(f"{error} (its process {daemon.pid} ended with status {code})\n{daemon.stderr().strip()}")


# -- the terminal


def _terminal(settings: Settings) -> contextlib.AbstractContextManager[None]:
    if not settings.types_on_terminal:
        return contextlib.nullcontext()
    if sys.stderr.isatty():
        _tell(HELP)
    return keys_to_guest(sys.stdin.fileno())


@contextmanager
def _progress(run: Run, screen: Screen) -> Iterator[Progress | None]:
    if not sys.stderr.isatty():
        yield None
        return
    with Progress(sys.stderr, lambda: _summary(run), lambda: screen.line_is_empty) as progress:
        yield progress


def _tell(text: str) -> None:
    sys.stderr.write(f"\n[{text}]\n")
    sys.stderr.flush()


# -- what comes out besides the console


def _summary(run: Run) -> str:
    done = run.machine.statistics
    return (
        f"[{done.ticks / FREQUENCY:.2f} s of the guest's time, {done.instructions / 1e6:.1f} million instructions, "
        f"{sum(done.irqs) + sum(done.fiqs)} interrupts]"
    )


def _dump(tree: bytes, path: Path) -> None:
    try:
        path.write_bytes(tree)
    except OSError as error:
        raise ImageError(f"cannot write the device tree to {path}: {error.strerror}") from error
