"""What is where: the memories and windows that every CPU of the machine sees."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from vgicd_machine.board import pl011
from vgicd_machine.board.bus import Bus
from vgicd_machine.board.loader import load
from vgicd_machine.board.memory import Ram
from vgicd_machine.board.pl011 import Pl011
from vgicd_machine.gic.port import GicPort

RAM_SIZE: Final = 128 << 20


class Boot(NamedTuple):
    """How CPU 0 begins: at `entry`, with `context` in X0."""

    entry: int
    context: int = 0


class Board:
    """Memory and devices around `port`; `transmit(byte)` gets what the guest writes to the UART."""

    def __init__(self, port: GicPort, transmit: Callable[[int], None], *, ram_size: int = RAM_SIZE) -> None:
        self.ram = Ram(ram_size)
        self.memories = (self.ram,)
        self.uart = Pl011(transmit, lambda level: port.line(pl011.INTID, level))
        self.bus = Bus(port, self.uart)

    def load(self, image: Path, address: int | None = None) -> Boot:
        """Put `image` into memory; raises as `loader.load`."""
        return Boot(load(image, self.ram, address))
