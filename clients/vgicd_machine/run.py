"""Running an image to its end: loader, machine and console put together."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from vgicd_machine.board.board import RAM_SIZE, Board
from vgicd_machine.gic.port import GicPort
from vgicd_machine.host.console import Console, Verdict
from vgicd_machine.host.keyboard import Keyboard
from vgicd_machine.host.pace import Pace
from vgicd_machine.machine import Machine


class Outcome(NamedTuple):
    """How the guest ended: `status` is its own (0 if it named none), `ticks` the virtual time it took.

    `reset` is True when it asked for a reset, which ends a run like power off.
    """

    status: int
    verdicts: tuple[Verdict, ...]
    ticks: int
    late_stops: int
    reset: bool


def run_image(
    port: GicPort,
    image: Path,
    write: Callable[[str], object],
    *,
    cpus: int = 1,
    ram_size: int = RAM_SIZE,
    address: int | None = None,
    seconds: float | None = None,
    patience: float = 0,
    keyboard: Keyboard | None = None,
    pace: Pace | None = None,
) -> Outcome:
    """Run `image` on a machine with `port` until it switches the system off; its console lines go to `write`.

    Raises as `load` and `Machine.run` do; what the console has got by then has been written.
    """
    console = Console(write)
    board = Board(port, console.transmit, ram_size=ram_size)
    boot = board.load(image, address=address, cpus=cpus)
    machine = Machine(board, port, cpus=cpus, patience=patience, keyboard=keyboard, pace=pace)
    try:
        machine.run(boot.entry, boot.context, seconds=seconds)
    finally:
        console.flush()
    late = sum(cpu.late_stops for cpu in machine.cpus)
    return Outcome(console.status or 0, tuple(console.verdicts), machine.now, late, machine.reset_requested)
