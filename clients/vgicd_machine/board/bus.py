"""What a CPU reaches beside memory: the interrupt controller's windows, and the machine's own devices."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple, Protocol

from vgicd_machine.errors import MachineError
from vgicd_machine.gic.port import GicPort, Window


class Device(Protocol):
    """Something behind a window; offsets are from its base, sizes 1, 2 or 4 bytes."""

    def read(self, offset: int, size: int) -> int: ...

    def write(self, offset: int, size: int, value: int) -> None: ...


class Place(NamedTuple):
    """`device` is seen at `window`."""

    window: Window
    device: Device


class Bus:
    """Routes an access by its address; `outputs` are the interrupt inputs of all CPUs after it.

    Raises `MachineError` when two windows overlap.  What no window covers does not come here: the CPU takes an
    external abort.
    """

    def __init__(self, port: GicPort, places: Sequence[Place] = ()) -> None:
        self._port = port
        self._places = tuple((place.window.base, place.window.base + place.window.size, place) for place in places)
        self.windows = (*port.windows, *(place.window for place in places))
        ordered = sorted(self.windows, key=lambda window: window.base)
        for below, above in pairwise(ordered):
            if below.base + below.size > above.base:
                raise MachineError(
                    f"{below.name} at {below.base:#x} and {above.name} at {above.base:#x} overlap on the machine's "
                    "bus: the daemon's frames are where the machine has its own devices"
                )

    @property
    def outputs(self) -> int:
        return self._port.outputs

    def read(self, cpu: int, address: int, size: int) -> int:
        """`size` is 1, 2 or 4. Raises `BusAbort`, or `GicLost` when nobody answers."""
        for base, end, place in self._places:
            if base <= address < end:
                return place.device.read(address - base, size)
        return self._port.read(cpu, address, size)

    def write(self, cpu: int, address: int, size: int, value: int) -> None:
        """As `read`."""
        for base, end, place in self._places:
            if base <= address < end:
                place.device.write(address - base, size, value)
                return
        self._port.write(cpu, address, size, value)
