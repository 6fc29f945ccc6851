"""Running an image to its end: loader, machine and console put together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from vgicd_machine.board.board import RAM_SIZE, Board
from vgicd_machine.board.timers import FREQUENCY
from vgicd_machine.core.cpu import Observer, Time
from vgicd_machine.errors import Deadlock, GuestFault, MachineError
from vgicd_machine.gic.port import GicPort
from vgicd_machine.host.console import Console, Verdict
from vgicd_machine.host.keyboard import Keyboard
from vgicd_machine.host.pace import Pace
from vgicd_machine.machine import Debugger, Machine


@dataclass(frozen=True, slots=True)
class Guest:
    """What runs, and on what: the parameters of `Board.load`, RAM in bytes, and the seed of the CPUs' turns."""

    image: Path
    initrd: Path | None = None
    dtb: Path | None = None
    append: str | None = None
    address: int | None = None
    firmware: bool = False
    cpus: int = 1
    ram_size: int = RAM_SIZE
    seed: int = 0


class Outcome(NamedTuple):
    """How the guest ended: `status` is its own (0 if it named none), `ticks` the virtual time it took.

    `reset` is True when it asked for a reset, which ends a run like power off; `halted` when it told its status and
    then waited for nothing, as programs do that expect a test device to end them.
    """

    status: int
    verdicts: tuple[Verdict, ...]
    ticks: int
    reset: bool
    halted: bool = False


class Run:
    """`guest`, loaded into a machine with `port`, and not yet started.

    Its console goes to `lines` and `write`, as `Console` says.  Raises as `Board.load` does.
    """

    def __init__(
        self,
        port: GicPort,
        guest: Guest,
        *,
        lines: Callable[[str], object] | None = None,
        write: Callable[[bytes], object] | None = None,
        patience: float = 0,
        keyboard: Keyboard | None = None,
        pace: Pace | None = None,
        observer: Observer | None = None,
        clock: Time | None = None,
        debugger: Debugger | None = None,
    ) -> None:
        self._debugger = debugger
        self.console = Console(lines, write)
        board = Board(port, self.console.transmit, ram_size=guest.ram_size)
        self.boot = board.load(
            guest.image, guest.initrd, guest.dtb, guest.append, guest.address,
            cpus=guest.cpus, firmware=guest.firmware, seed=guest.seed,
        )  # fmt: skip
        self._image = guest.image
        self._guessed = self.boot.kind == "flat" and guest.address is None
        machine = Machine(
            board, port, cpus=guest.cpus, seed=guest.seed, patience=patience, keyboard=keyboard, pace=pace,
            observer=observer, clock=clock, command=guest.append or "", debugger=debugger,
        )  # fmt: skip
        board.rtc.seconds = lambda: machine.now // FREQUENCY
        self.machine = machine

    @property
    def status(self) -> int | None:
        """What the guest has said it ends with, by semihosting or on its console; None if nothing yet."""
        return self.console.status if self.machine.status is None else self.machine.status

    def perform(self, seconds: float | None = None) -> Outcome:
        """Run the guest until it switches the system off, or has told its status and waits for nothing.

        Raises as `Machine.run`; the console is complete then.
        """
        try:
            outcome = self._perform(seconds)
        except MachineError as error:
            if self._debugger is not None:
                self._debugger.ended(error.status, str(error))
            raise
        if self._debugger is not None:
            self._debugger.ended(outcome.status)
        return outcome

    def _perform(self, seconds: float | None) -> Outcome:
        halted = False
        try:
            self.machine.run(self.boot.entry, self.boot.context, seconds=seconds)
        except GuestFault as error:
            if self._guessed:
                raise GuestFault(
                    f"{error}; {self._image} is neither an ELF nor an arm64 Image: it was loaded as a flat binary at "
                    f"{self.boot.entry:#x}"
                ) from error
            raise
        except Deadlock:
            self.console.flush()
            if self.status is None:
                raise
            halted = True
        finally:
            self.console.flush()
        verdicts = tuple(self.console.verdicts)
        return Outcome(self.status or 0, verdicts, self.machine.now, self.machine.reset_requested, halted)


def run_image(
    port: GicPort, image: Path, lines: Callable[[str], object], *, cpus: int = 1, seconds: float | None = None
) -> Outcome:
    """Run `image` on a machine with `port` until it switches the system off; its console's lines go to `lines`.

    Raises as `Run` and `Run.perform`; what the console has got by then has been written.
    """
    return Run(port, Guest(image, cpus=cpus), lines=lines).perform(seconds)
