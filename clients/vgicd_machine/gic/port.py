"""The way from the machine to its interrupt controller.

An access answers with the level of every CPU's interrupt outputs, so there is never a second round trip: `outputs`
is what the last reply said.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol


class Window(NamedTuple):
    """A page-aligned range of guest-physical addresses that the port decodes."""

    name: str
    base: int
    size: int


class GicPort(Protocol):
    """An interrupt controller and what else is decoded behind it."""

    outputs: int
    """Bit 2v: the IRQ, bit 2v+1: the FIQ input of CPU v, as of the last answer."""

    @property
    def windows(self) -> Sequence[Window]:
        """What the machine has to map to it."""

    def read(self, cpu: int, address: int, size: int) -> int:
        """The architectural read of `size` (1, 2 or 4) bytes; raises `BusAbort` when the access faults."""

    def write(self, cpu: int, address: int, size: int, value: int) -> None:
        """The architectural write; raises `BusAbort` when the access faults."""

    def line(self, intid: int, level: int, cpu: int | None = None) -> None:
        """Drive the input line of SPI `intid`, or of `cpu`'s PPI."""

    def check(self) -> None:
        """Take in what happened unasked; raises `GicLost` when the controller is gone. Does not wait for anything."""

    def wait(self, seconds: float) -> bool:
        """Wait until somebody else raises a line and an output with it; False when none did for `seconds`."""
