"""How long an interrupt controller takes: a port around a port, with a clock."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

from vgicd_machine.gic.port import GicPort, Window

_NANOSECONDS: Final = 1e-9


class Meter:
    """A `GicPort` that counts what goes through to `port`: reads, writes and changes of lines.

    What waits (`check`, `wait`) is not counted: it is not the guest's.
    """

    def __init__(self, port: GicPort) -> None:
        self._port = port
        self.windows: Sequence[Window] = port.windows
        self.outputs = port.outputs
        self.accesses = 0
        """Reads, writes and changes of lines so far."""
        self._nanoseconds = 0

    @property
    def seconds(self) -> float:
        """What they took together, wall time."""
        return self._nanoseconds * _NANOSECONDS

    def read(self, cpu: int, address: int, size: int) -> int:
        began = time.perf_counter_ns()
        try:
            return self._port.read(cpu, address, size)
        finally:
            self._done(began)

    def write(self, cpu: int, address: int, size: int, value: int) -> None:
        began = time.perf_counter_ns()
        try:
            self._port.write(cpu, address, size, value)
        finally:
            self._done(began)

    def line(self, intid: int, level: int, cpu: int | None = None) -> None:
        began = time.perf_counter_ns()
        try:
            self._port.line(intid, level, cpu)
        finally:
            self._done(began)

    def check(self) -> None:
        self._port.check()
        self.outputs = self._port.outputs

    def wait(self, seconds: float) -> bool:
        risen = self._port.wait(seconds)
        self.outputs = self._port.outputs
        return risen

    def _done(self, began: int) -> None:
        self._nanoseconds += time.perf_counter_ns() - began
        self.accesses += 1
        self.outputs = self._port.outputs
